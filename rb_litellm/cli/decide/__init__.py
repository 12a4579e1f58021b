"""Commands that say what other decisions would come to."""
