"""What is looked at before a proxy serves: its files, groups, settings, and the line it starts with."""
