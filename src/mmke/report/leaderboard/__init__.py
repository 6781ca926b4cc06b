"""`mmke leaderboard`: the runs of any number of results folders side by side, and what each lacks for its place.

`entries.py` reads the folders, `checks.py` says what a run must pass, `boards.py` puts the rows in order, and
`render.py` and `page.py` show them.
"""
