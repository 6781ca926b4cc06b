"""A torchvision that does not fit torch ends no command."""

import importlib.util
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmke.torchvision import leave_out_if_broken

BROKEN = "import torchvision.part\nraise RuntimeError('operator torchvision::nms does not exist')"


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to import from, with a torchvision as one that was built for another torch."""
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(BROKEN)
    (tmp_path / "torchvision" / "part.py").touch()
    (tmp_path / "torchvision-0.1.dist-info").mkdir()
    (tmp_path / "torchvision-0.1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: torchvision\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torchvision", None)  # so that what stands there now comes back
    monkeypatch.delitem(sys.modules, "torchvision")
    return tmp_path


def test_a_broken_torchvision_is_as_if_it_were_not_installed(broken: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert importlib.util.find_spec("torchvision") is not None
    leave_out_if_broken()
    assert importlib.util.find_spec("torchvision") is None
    assert "torchvision.part" not in sys.modules
    (told,) = (record.getMessage() for record in caplog.records if record.levelno == logging.WARNING)
    assert "cannot be imported and is left out (RuntimeError: operator torchvision::nms does not exist)" in told
    leave_out_if_broken()
    assert len(caplog.records) == 1


def test_a_torchvision_that_works_stays(broken: Path, caplog: pytest.LogCaptureFixture) -> None:
    (broken / "torchvision" / "__init__.py").write_text("WORKS = True")
    leave_out_if_broken()
    assert sys.modules["torchvision"].WORKS
    assert not caplog.records


@pytest.mark.slow
@pytest.mark.parametrize("module", ["mmke.backbones.smol.llava", "mmke.editors.serac.edit"])
def test_what_imports_transformers_is_imported_beside_a_broken_torchvision(broken: Path, module: str) -> None:
    begin = "from transformers.utils import logging"  # as commands do
    program = f"{begin}; import {module}; from transformers import PreTrainedModel, CLIPImageProcessorPil"
    path = os.pathsep.join([str(broken), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": path}, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert b"Traceback" not in done.stderr
