"""One request on its way in: arrival, prompt, rights, budget, levels of effort, and what it waits for."""
