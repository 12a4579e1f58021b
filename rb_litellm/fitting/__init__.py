"""The servers behind a log: how fast each is, alone and under load, and what its tokens cost."""
