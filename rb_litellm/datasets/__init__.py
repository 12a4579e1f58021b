"""Public measurements, read from their repositories and written as the rows that the commands read."""
