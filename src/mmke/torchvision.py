"""Leaving out a torchvision that cannot be imported, before transformers looks for one.

transformers imports torchvision wherever it is installed, and one that was built for another torch raises then, which
would end every command. Nothing here needs it: pictures are processed by Pillow.
"""

import importlib.util
import logging
import sys

NAME = "torchvision"

log = logging.getLogger(__name__)


def leave_out_if_broken() -> None:
    """Import torchvision where it is installed; where it raises, let it be as if it were not installed."""
    if NAME in sys.modules or importlib.util.find_spec(NAME) is None:
        return
    try:
        importlib.import_module(NAME)
    except Exception as error:  # noqa: BLE001 - whatever its own code raises; it is told, and nothing needs it
        for name in [name for name in sys.modules if name.partition(".")[0] == NAME]:
            del sys.modules[name]
        # Python's own way to say that a module cannot be found.
        sys.modules[NAME] = None  # type: ignore[assignment]
        _forget_that_it_was_found()
        log.warning(
            "the installed torchvision cannot be imported and is left out (%s: %s); mmke works without, other programs "
            "need the one that fits this torch",
            type(error).__name__,
            str(error).strip().partition("\n")[0],
        )


def _forget_that_it_was_found() -> None:
    """Let transformers look again, where a part of it was imported before and has looked."""
    looking = sys.modules.get("transformers.utils.import_utils")
    for name, function in vars(looking).items() if looking is not None else ():
        if NAME in name and hasattr(function, "cache_clear"):
            function.cache_clear()
