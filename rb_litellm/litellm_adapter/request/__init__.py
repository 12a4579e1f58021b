"""One request on its way in: arrival, prompt, controls, access, budget, micro-batch."""
