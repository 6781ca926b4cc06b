"""Results in experiment trackers: `mmke track`, and `--track` of `mmke run` and `mmke stream`.

`protocol.py` is what a tracker promises, `reading.py` makes what is sent from a results folder, `sending.py` sends it.
Each tracker is one file and one extra; its own package is imported only when the tracker is asked for.
"""
