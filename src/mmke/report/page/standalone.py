"""One file of a template: style and scripts stand in it, and a policy in its head forbids everything from elsewhere.

In: the name of a template in `templates/` that extends `standalone.html`, and what it shows. Out: the page's text.
Needs the extra `mmke[report]`.
"""

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from mmke.errors import UserError

STYLE = "page.css"
"""Of every page; lies in `mmke.web`, the rest beside this module."""


def render_page(template: str, *, styles: Sequence[str] = (), scripts: Sequence[str] = (), **shown: Any) -> str:
    """Return a page as text.

    Args:
        template: its name.
        styles: files of `files/`, behind the style that all pages have.
        scripts: files of `files/`, run as modules.
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
    style = (files("mmke.web") / "files" / STYLE).read_text(encoding="utf-8") + _joined(styles)
    # These files come with the package; what a user's data says is escaped by the template.
    return pages.get_template(template).render(style=Markup(style), script=Markup(_joined(scripts)), **shown)  # noqa: S704


def _joined(names: Sequence[str]) -> str:
    return "".join((files("mmke.report.page") / "files" / name).read_text(encoding="utf-8") for name in names)
