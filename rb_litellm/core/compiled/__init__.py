"""What of a decision may run as compiled loops, and which loops a process uses."""
