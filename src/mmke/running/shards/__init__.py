"""A run divided among workers: the same rows, byte for byte, as one process writes."""
