"""Training editors: one loop, its progress, its checkpoints and its curves."""
