"""Best of n: one model answers several times, and a judge picks the answer that the client gets."""
