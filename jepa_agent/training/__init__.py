"""Training: config, losses, objective, the loop, the run's folder."""
