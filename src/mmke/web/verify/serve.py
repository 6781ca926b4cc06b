"""Opening a project's page."""

from collections.abc import Sequence

from mmke.build.project import Project
from mmke.build.record import Record
from mmke.build.records import records
from mmke.build.verdicts.deciding import Desk
from mmke.build.verdicts.ledger import Ledger
from mmke.build.verdicts.queue import Queue
from mmke.errors import UserError
from mmke.web.safeguards import known_hosts, new_token
from mmke.web.server import HOST, PORT, address_of, listen, run
from mmke.web.verify.findings import Findings
from mmke.web.verify.routes import verify_app
from mmke.web.verify.service import Service, clean_name


def serve(
    project: Project,
    *,
    annotator: str | None = None,
    port: int = PORT,
    host: str = HOST,
    open_browser: bool = True,
) -> None:
    """Serve the page until Ctrl-C.

    Args:
        project: open for writing, so that nothing else changes it meanwhile.
        annotator: name of who decides; None: the page asks for it.
        port: 0 takes any that is free. Drafts of corrections stay in the browser under this port.
        host: where to listen. Other machines reach the page where it is not the loopback address; the token is asked
            for all the same, but goes over the network in the clear.
        open_browser: open the address in the user's browser.

    Raises:
        UserError: there is no record, the name cannot be one, or the port is taken.
    """
    name = None if annotator is None else clean_name(annotator)
    found = records(project)
    listening = listen(host, port)
    token = new_token()
    service = service_of(project, found, annotator=name)
    app = verify_app(service, token=token, hosts=known_hosts(host))
    run(app, listening, address=address_of(listening, token), open_browser=open_browser)


def service_of(project: Project, found: Sequence[Record], *, annotator: str | None) -> Service:
    """Return what answers the page's calls.

    Raises:
        UserError: two records have one id.
    """
    ids = [record.id for record in found]
    if len(set(ids)) < len(ids):
        raise UserError(f"{project.folder}: two records have the same id")
    queue = Queue(project, found, Ledger(project.verdicts.lines))
    return Service(Desk(queue), Findings(project, found), annotator=annotator)
