"""Trajectories: files, windows, latents, recording."""
