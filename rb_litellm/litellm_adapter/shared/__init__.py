"""What the parts of one worker share: facts of deployments, exchange of loads, predictors, timers."""
