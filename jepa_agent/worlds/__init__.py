"""What an environment may offer, and how it is named, built and framed."""
