"""How the site is made: `make docs`.

Its source folder is the whole repository, so that links between pages are the same here and on a code host.
"""

import re
from importlib.metadata import version as installed
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from pygments.lexers import TextLexer
from sphinx.application import Sphinx
from sphinx.ext.napoleon import Config, GoogleDocstring

project = "mmke"
version = release = installed("mmke")
author = project_copyright = "the mmke authors"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
nitpick_ignore_regex = [("py:.*", ".*")]  # the other libraries' reference would have to be downloaded
root_doc = "docs/index"
others = ["benchmarks/*.md", "recipes/*/*.md", "examples/*/*.md", "[A-Z]*.md"]
include_patterns = ["docs/**.md", *others]
exclude_patterns = ["README.md", ".*", "build", "src", "tests", "results", "runs"]

# Text
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
smartquotes = False  # which would turn the "--" of options into dashes
default_role = "code"  # docstrings are written as Markdown: `name`
pygments_style = "friendly"
highlight_language = "none"

# Reference
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True}
docstrings = Config(napoleon_use_rtype=False, napoleon_custom_sections=[("Attributes", "params_style")])
python_maximum_signature_line_length = 100

# Page
html_theme = "furo"
html_title = "mmke"
html_static_path = ["_static"]
html_extra_path = ["_root"]  # the site's first page, which leads to docs/index.html
html_css_files = ["site.css"]
html_show_sphinx = html_copy_source = html_show_sourcelink = False
html_math_renderer = "mathml"


def contents(app: Sphinx, name: str, text: list[str]) -> None:
    """Make the table of contents out of the lists of the pages called index, which thus are plain Markdown.

    A link whose text is the name of a file, as is right on a code host, shows the title of that page.
    """
    text[0] = re.sub(r"\[[\w./-]+\.md\]\(([\w./-]+\.md)\)", r"[](\1)", text[0])
    if not name.endswith("/index"):
        return
    for title, body in re.findall(r"^##? ([^\n]+)\n(.*?)(?=^## |\Z)", text[0], re.MULTILINE | re.DOTALL):
        lists = "\n".join(re.findall(r"^\*.*(?:\n  .*)*", body, re.MULTILINE))
        pages = re.findall(r"\]\(([\w./-]+)\.md\)", lists)
        caption = f":caption: {title}\n" if name == root_doc else ""
        text[0] += "\n".join(["\n```{toctree}", f":hidden:\n{caption}", *pages, "```\n"])


def google(app: Sphinx, what: str, name: str, documented: object, options: Any, lines: list[str]) -> None:
    """Read docstrings in Google's form; an attribute's is a sentence, in which a colon says nothing of a type."""
    if what not in ("attribute", "data"):
        lines[:] = GoogleDocstring(lines, docstrings, app, what, name, documented, options).lines()


def plain(app: Sphinx, page: nodes.document) -> None:
    """Put a colon between a name and its description, where Sphinx has two hyphens."""
    for text in [found for found in page.findall(nodes.Text) if found.startswith(" -- ")]:
        text.parent.replace(text, nodes.Text(text.replace(" -- ", ": ", 1)))


def mathml(writer: nodes.NodeVisitor, node: nodes.Element) -> None:
    """Write a formula as MathML, which browsers show without a script."""
    writer.body.append(tex2mathml(node.astext(), as_block=isinstance(node, nodes.math_block)))
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Say what is made differently from Sphinx."""
    app.add_lexer("csv", TextLexer)
    app.connect("source-read", contents)
    app.connect("autodoc-process-docstring", google)
    app.connect("doctree-read", plain)
    app.add_html_math_renderer("mathml", inline_renderers=(mathml, None), block_renderers=(mathml, None))
