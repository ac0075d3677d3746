"""The agent: a world model and a planner behind `predict`."""
