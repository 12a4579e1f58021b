"""What the host of public entry points is made of."""
