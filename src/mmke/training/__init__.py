"""Training editors: one loop, its pace, its checkpoints and its curves."""
