"""How many threads of the processor a command takes: one, unless the user says more.

Threads of one computation wait for each other; on a busy machine an operation with two threads takes ten times as long
as with one. Several processes of one thread each use several cores better.
"""

import os
import sys

VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")
"""Read by PyTorch, NumPy and the tokenizers when they are loaded."""


def limit_threads(threads: int | None) -> None:
    """Let this process compute with so many threads.

    Call it before PyTorch is imported, and once more afterwards: the first call reaches what reads its number when it
    is loaded, the second one PyTorch's own pools.

    Args:
        threads: as the user gave it; None: one. Beside a GPU too: the sentence encoder and the reading of pictures are
            the processor's work there as well.
    """
    number = threads or 1
    os.environ.update(dict.fromkeys(VARIABLES, str(number)))
    torch = sys.modules.get("torch")
    if torch is None:
        return
    torch.set_num_threads(number)
    if torch.get_num_interop_threads() != number:
        try:
            torch.set_num_interop_threads(number)
        except RuntimeError:  # it has begun to use them, in a program that calls several commands
            return
