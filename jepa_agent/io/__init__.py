"""Checkpoints and configs on the disk."""
