"""Schemathesis: thousands of requests made from the OpenAPI document, right ones and wrong ones,
and every one of its checks; the long run has the stateful ones too. `WORLDREEL_EXAMPLES` says how
many of each operation (30)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("schemathesis")

from serving import Running

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("server"), "--queue", "30", "--previews", seconds=0.0)
    yield running
    running.stop()


def attack(server: Running, folder: Path, *options: str, seconds: float = 3600) -> str:
    """What Schemathesis says when it has found nothing."""
    command = shutil.which("schemathesis", path=f"{Path(sys.executable).parent}")
    assert command is not None
    ended = subprocess.run(
        [command, "run", f"{server.root}/openapi.json", "--checks", "all", "--warnings", "off",
         "--generation-deterministic", "--continue-on-failure", *options],
        capture_output=True,
        text=True,
        timeout=seconds,
        cwd=folder,
        env=os.environ
        | {"SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(HERE), "NO_COLOR": "1"},
    )  # fmt: skip
    told = [line[:400] for line in ended.stdout.splitlines() if "curl" not in line]
    assert ended.returncode == 0, "\n".join(told + server.lines[-40:]) + ended.stderr[-2000:]
    return ended.stdout


def test_some_of_everything(server: Running, tmp_path: Path) -> None:
    told = attack(server, tmp_path, "--phases", "fuzzing", "--max-examples", "1")
    tested = re.search(r"(\d+) generated", told)
    assert tested is not None and int(tested[1]) > 20, told


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["coverage", "fuzzing", "stateful"])
def test_all_of_it(server: Running, tmp_path: Path, phase: str) -> None:
    examples = os.environ.get("WORLDREEL_EXAMPLES", "30")
    told = attack(server, tmp_path, "--phases", phase, "--max-examples", examples)
    print(told[-600:])
    assert server.get("/healthz")[0] == 200
