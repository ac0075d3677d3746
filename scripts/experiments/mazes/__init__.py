"""Parts of the experiment on mazes."""
