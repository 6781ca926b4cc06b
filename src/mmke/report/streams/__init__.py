"""What is reported of a stream of edits: its files -> figures, curves and cost -> tables and plots."""
