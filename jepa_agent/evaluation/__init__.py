"""Evaluation: episodes, metrics, diagnostics."""
