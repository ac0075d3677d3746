"""Pictures: plans, imagination, plots, videos, the window, the report."""
