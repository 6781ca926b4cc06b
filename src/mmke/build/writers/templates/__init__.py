"""The writer without a model: sentences by a grammar."""
