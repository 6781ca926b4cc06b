"""Edits as files: a folder that holds what was edited and the session's state; stacks of them, and ordinary models."""
