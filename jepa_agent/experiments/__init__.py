"""Studies that compare trainings: ablations, baselines, imitators."""
