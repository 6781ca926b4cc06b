"""Pages in the browser, served from this machine: one style, one page template, one set of safeguards.

`safeguards.py` is what every request passes, `app.py` makes an application of a page and its calls, `server.py` runs
it. `files/` and `templates/` are what the browser gets. `verify/` is the page where people decide on records, `play/`
the one where they edit a model and ask it. `serve/` has no page: other programs ask a model there.
"""

HOST = "127.0.0.1"
"""Where pages are served unless the user says otherwise."""
