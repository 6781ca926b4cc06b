"""Multimodal knowledge editing, measured."""
