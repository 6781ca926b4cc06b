"""The command lines of the published benchmark, which call the same runner."""
