"""A grid: backbones x editors x benchmarks x hops x protocols x seeds, and streams, as one command.

`file.py` reads what is wanted, `expand.py` makes requests and trainings of it, `checks.py` finds what cannot be made
before anything runs, `work.py` does the rest, and `estimate.py` says what it will cost.
"""
