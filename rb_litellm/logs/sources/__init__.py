"""Where rows of logs come from: LiteLLM's database, and files of several forms."""
