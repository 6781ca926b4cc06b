"""What editors share: sites, settings, losses, edited matrices, trained checkpoints."""
