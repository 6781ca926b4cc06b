"""The page where people decide on records: `mmke build verify`."""

from mmke.build.project import Project
from mmke.errors import UserError
from mmke.web import HOST


def serve(
    project: Project,
    *,
    annotator: str | None = None,
    port: int | None = None,
    host: str = HOST,
    open_browser: bool = True,
) -> None:
    """Serve the page until Ctrl-C.

    Args:
        project: open for writing, so that nothing else changes it meanwhile.
        annotator: name of who decides; None: the page asks for it.
        port: 0 takes any that is free; None: the project's own, always the same, so that the browser finds again the
            drafts of corrections that it keeps under the address.
        host: where to listen. Other machines reach the page where it is not the loopback address; the token is asked
            for all the same, but goes over the network in the clear.
        open_browser: open the address in the user's browser.

    Raises:
        UserError: there is no record, the name cannot be one, the port is taken, or a package is not installed.
    """
    try:
        from mmke.web.verify.opening import serve_page
    except ModuleNotFoundError as error:
        raise UserError(f"the page needs the Python package {error.name!r}; run: pip install 'mmke[build]'") from error
    serve_page(project, annotator=annotator, port=port, host=host, open_browser=open_browser)
