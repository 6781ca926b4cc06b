"""Opening a project's page."""

from collections.abc import Sequence
from pathlib import Path

from mmke.build.log import digest_of
from mmke.build.project import Project
from mmke.build.record import Record
from mmke.build.records import records
from mmke.build.verdicts.deciding import Desk
from mmke.build.verdicts.ledger import Ledger
from mmke.build.verdicts.queue import Queue
from mmke.errors import UserError
from mmke.web.safeguards import known_hosts, new_token
from mmke.web.server import address_of, listen, run
from mmke.web.verify.findings import Findings
from mmke.web.verify.routes import verify_app
from mmke.web.verify.service import Service, clean_name


def serve_page(project: Project, *, annotator: str | None, port: int | None, host: str, open_browser: bool) -> None:
    """Serve the page until Ctrl-C; `mmke.web.verify.serve` says what is what."""
    name = None if annotator is None else clean_name(annotator)
    found = records(project)
    listening = listen(host, own_port(project.folder) if port is None else port)
    token = new_token()
    service = service_of(project, found, annotator=name)
    app = verify_app(service, token=token, hosts=known_hosts(host))
    run(app, listening, address=address_of(listening, token), open_browser=open_browser)


def own_port(folder: Path) -> int:
    """Return a project's own port, from 20000 to 29999, by the place of its folder."""
    return 20_000 + int(digest_of(str(folder.resolve())), 16) % 10_000


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
