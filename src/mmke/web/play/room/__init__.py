"""What the worker's thread does with the model; the only part of the page that imports torch."""
