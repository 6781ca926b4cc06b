"""Multimodal knowledge editing, measured; see `mmke.api` for the calls and their example."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmke.api import (
        PAPER,
        STRICT,
        Ask,
        Edit,
        Probe,
        Query,
        Request,
        StreamSettings,
        UserError,
        load_backbone,
        load_edit,
        load_editor,
        open_benchmark,
        picture,
        read_streams,
        run_benchmark,
        run_stream,
        say,
        store,
    )

__all__ = [
    "PAPER",
    "STRICT",
    "Ask",
    "Edit",
    "Probe",
    "Query",
    "Request",
    "StreamSettings",
    "UserError",
    "load_backbone",
    "load_edit",
    "load_editor",
    "open_benchmark",
    "picture",
    "read_streams",
    "run_benchmark",
    "run_stream",
    "say",
    "store",
]


def __getattr__(name: str) -> Any:
    # Imported when asked for, so that a table is made without loading torch.
    if name not in __all__:
        raise AttributeError(f"module 'mmke' has no attribute {name!r}")
    from mmke import api

    return getattr(api, name)
