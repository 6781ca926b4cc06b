"""Accepted records as a benchmark that others can use: published format, splits, manifest, card, the hub."""
