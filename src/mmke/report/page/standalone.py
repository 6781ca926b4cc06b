"""One file of a template: style and scripts stand in it, and a policy in its head forbids everything from elsewhere.

In: the name of a template in `templates/` that extends `standalone.html`, and what it shows. Out: the page's text. The
policy lets only the page's own style and script act, by their digests: what a user's data brings is never run.
Needs the extra `mmke[report]`.
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from mmke.errors import UserError

STYLE = "page.css"
"""Of every page; lies in `mmke.web`, as `elements.js` does, the rest beside this module."""
SHARED = (STYLE, "elements.js")

_IMPORT = re.compile(r"^import .*?;\n", re.MULTILINE)
"""Scripts stand behind each other in one module, so that they see each other's names without imports."""


def render_page(template: str, *, styles: Sequence[str] = (), scripts: Sequence[str] = (), **shown: Any) -> str:
    """Return a page as text.

    Args:
        template: its name.
        styles: files of `files/`, behind the style that all pages have.
        scripts: files of `files/`, run as one module.
        shown: what the template shows; every text is escaped.

    Raises:
        UserError: jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
        from markupsafe import Markup
    except ModuleNotFoundError as error:
        raise UserError(f"a page needs {error.name}: pip install 'mmke[report]'") from error
    pages = Environment(
        loader=PackageLoader("mmke.report.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = _joined((STYLE, *styles)), _IMPORT.sub("", _joined(scripts))
    # These files come with the package; what a user's data says is escaped by the template.
    return pages.get_template(template).render(
        style=Markup(style),  # noqa: S704
        script=Markup(script),  # noqa: S704
        policy=f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'",
        **shown,
    )


def _joined(names: Sequence[str]) -> str:
    return "".join(_file(name) for name in names)


def _file(name: str) -> str:
    room = "mmke.web" if name in SHARED else "mmke.report.page"
    return (files(room) / "files" / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
