"""What several tests of the builder share."""

from pathlib import Path

import pytest
from export_kit import exported
from kit import make_project

from mmke.build.content import Kind


@pytest.fixture(scope="session")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an export of each kind, and the projects beside it."""
    root = tmp_path_factory.mktemp("three")
    kinds: tuple[Kind, ...] = ("entity", "semantic", "user")
    for kind in kinds:
        exported(make_project(root / kind, kind), root / "out")
    return root
