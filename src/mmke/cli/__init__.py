"""The command line: one file a command, the options that they share in `options.py`. How a command ends: `exits.py`."""

from mmke.cli.app import main, parse, show_messages

__all__ = ["main", "parse", "show_messages"]
