"""`mmke ls`: the names that can be given."""

from typing import Annotated

import typer

from mmke import registry

NounName = registry.Noun


def ls(
    noun: Annotated[
        NounName | None, typer.Argument(help="Only these, with a line about each.", show_default=False)
    ] = None,
) -> int:
    """List what can be chosen."""
    nouns = [noun] if noun else list(registry.BUILT_IN)
    for each in nouns:
        open_names = {f"{prefix}NAME": where for prefix, where in registry.PREFIXES.get(each, {}).items()}
        found = {**registry.names(each), **open_names}
        if len(nouns) > 1:
            print(f"{each}: {' '.join(found)}")
            continue
        width = max(map(len, found), default=0)
        for name, where in found.items():
            print(f"{name:<{width}}  {registry.summary(where)}")
    return 0
