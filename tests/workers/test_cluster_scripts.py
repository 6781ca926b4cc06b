"""The scripts for clusters: their commands are ones that there are, and the one for this machine runs."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from mmke.cli.app import parse

CLUSTER = Path(__file__).parents[2] / "examples" / "cluster"
COMMAND = shlex.split(
    "run --backbone tiny-llava --editor ft-llm --set ft-llm.steps=2 --benchmark mini-entity --limit 4"
)


def manifest() -> dict[str, Any]:
    parts = yaml.safe_load_all((CLUSTER / "kubernetes.yaml").read_text(encoding="utf-8"))
    return {part["kind"]: part for part in parts}


def of_mmke(script: str) -> list[str]:
    """Return the command of mmke in a script of a shell, with a command of ours in place of the script's arguments."""
    (line,) = re.findall(r"python -m mmke (.*)", script)
    return shlex.split(line.replace('"$@"', shlex.join(COMMAND)).replace("$nodes", "2"))


@pytest.mark.parametrize("script", ["local.sh", "slurm.sh"])
def test_a_script_is_one_of_a_shell_and_gives_a_command_of_mmke(script: str) -> None:
    assert subprocess.run(["/bin/bash", "-n", CLUSTER / script], check=False).returncode == 0
    assert parse(of_mmke((CLUSTER / script).read_text(encoding="utf-8")))["ray"] == "$address"


def test_the_pods_find_the_first_one_and_give_it_a_command_of_mmke() -> None:
    service, job = manifest()["Service"], manifest()["Job"]
    pod = job["spec"]["template"]
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    first = f"{job['metadata']['name']}-0.{service['metadata']['name']}"
    assert pod["spec"]["subdomain"] == service["metadata"]["name"]
    (container,) = pod["spec"]["containers"]
    script = container["command"][-1]
    assert parse(of_mmke(script))["ray"] == f"{first}:6379"
    assert f"--min-nodes {job['spec']['completions']} " in script
    assert f"--num-gpus={container['resources']['limits']['nvidia.com/gpu']} " in script


@pytest.mark.slow
def test_several_nodes_of_this_machine_write_the_bytes_of_one_process(tmp_path: Path) -> None:
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": programs, "PYTHONPATH": os.pathsep.join(sys.path)}
    by_ray, by_one = tmp_path / "by-ray", tmp_path / "by-one"
    for command in (
        [CLUSTER / "local.sh", "2", *COMMAND, "--out", by_ray],
        [sys.executable, "-m", "mmke", *COMMAND, "--out", by_one, "--workers", "1"],
    ):
        subprocess.run(command, env=environment, check=True, timeout=400, capture_output=True)
    rows = {file.relative_to(by_one): file.read_bytes() for file in by_one.rglob("rows.jsonl")}
    assert len(rows) == 2
    assert rows == {file.relative_to(by_ray): file.read_bytes() for file in by_ray.rglob("rows.jsonl")}
