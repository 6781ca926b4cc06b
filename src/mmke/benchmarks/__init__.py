"""Benchmarks: published annotation files and pictures -> `EditCase`. Nothing here imports torch."""
