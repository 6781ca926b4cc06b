"""How a command ends: its exit code, and one message instead of a traceback where the cause lies outside the program.

Exit codes: 0 done, 1 a bug (with its traceback) or a run that left something out, 2 the user's mistake or the disk's
(the message alone), 130 interrupted, 141 the reader of the output went away (`mmke table | head -1`).
"""

import errno
import io
import os
import sys
from collections.abc import Callable, Mapping

from mmke.errors import UserError

_PLACE = "give it the rights it needs, or name another place"
_ROOM = "make room and give the same command again: what is finished is kept"

WAYS_OUT: Mapping[int | None, str] = {
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), _PLACE),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), _ROOM),
    **dict.fromkeys((errno.EISDIR, errno.ENOTDIR, errno.EEXIST), "move it away, or name another place"),
    **dict.fromkeys((errno.ENAMETOOLONG, errno.ELOOP), "name another place"),
    **dict.fromkeys((errno.EIO, errno.ESTALE, errno.ENOLCK), "look after the disk, or name another place"),
}
"""What the file system can refuse without a bug of ours, and what the user can do about it."""


def exit_code(command: Callable[[], int]) -> int:
    """Run a command and return its exit code, having told the user in one message what stopped it."""
    _escape_what_the_terminal_cannot_show()
    try:
        code = command()
        if sys.stdout is not None:
            sys.stdout.flush()
    except UserError as error:
        return _told(str(error), 2)
    except KeyboardInterrupt:
        return _told("interrupted; what is written is kept, and the same command continues", 130)
    except BrokenPipeError:
        _drop_what_is_left_to_print()
        return 141
    except OSError as error:
        if error.errno not in WAYS_OUT:
            raise
        return _told(f"{error.filename or 'output'}: {error.strerror}; {WAYS_OUT[error.errno]}", 2)
    return code


def _told(message: str, code: int) -> int:
    print(f"mmke: {message}", file=sys.stderr)
    return code


def _escape_what_the_terminal_cannot_show() -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _drop_what_is_left_to_print() -> None:
    # Python flushes once more when it ends, and would complain again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
