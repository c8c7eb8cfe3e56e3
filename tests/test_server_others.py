"""The official SDKs that are not this environment's own: Python 2.24 and npm 7.57, unchanged.

`make test` puts them beside the environment (`.venv/openai-2.24`, `.venv/npm`); where they are not,
these tests say so and are left out.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")

from serving import Running

HERE, BESIDE = Path(__file__).parent, Path(sys.prefix)
OLD, NPM = BESIDE / "openai-2.24", BESIDE / "npm"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("server"))
    yield running
    assert running.stop() == 0


def run(*command: str, **environment: str) -> dict[str, Any]:
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env=os.environ | environment
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    told: dict[str, Any] = json.loads(ended.stdout)
    return told


def check(told: dict[str, Any], *names: str) -> None:
    for name in names:
        assert told[name]["status"] == "completed", told[name]


@pytest.mark.skipif(not OLD.is_dir(), reason="the SDK 2.24 is not installed; `make test` does it")
def test_python_2_24(server: Running) -> None:
    told = run(sys.executable, str(HERE / "sdk_old.py"), server.url, PYTHONPATH=str(OLD))
    assert told["version"].startswith("2.24")
    check(told, "first", "still")
    assert told["first"] == told["retrieved"] and told["first"]["seed"] == 3
    assert told["remix"]["remixed_from_video_id"] == told["first"]["id"]
    assert told["content"] == "ftyp" and told["streamed"] > 500
    assert told["first"]["id"] == told["listed"][-1] and len(told["listed"]) == 3
    assert (told["size"], told["prompt"][0]) == (["size", "invalid_value"], "prompt")
    assert told["deleted"] is True and told["raw"] == "req_"
    assert told["async"] == ["completed"] * 2


@pytest.mark.skipif(
    shutil.which("node") is None or not NPM.is_dir(),
    reason="node or the npm SDK is not installed; `make test` does it where npm is",
)
def test_npm_7_57(server: Running) -> None:
    told = run("node", str(HERE / "sdk.mjs"), server.url, str(NPM))
    assert told["version"].startswith("7.57")
    check(told, "first", "still", "remix", "edit", "upload", "extend", "cast")
    assert (told["first"]["seed"], told["first"]["ignored"]) == (7, ["nonsense"])
    assert told["kind"] == "ftyp" and int(told["length"]) == told["bytes"]
    assert (told["thumbnail"], told["spritesheet"]) == ("image/webp", "image/jpeg")
    assert told["address"]["task"] == told["still"]["task"] == "animate"
    assert told["remix"]["remixed_from_video_id"] == told["first"]["id"]
    assert (told["extend"]["seconds"], told["edit"]["seconds"]) == ("5", "1")
    assert told["character"]["name"] == "Mossy"
    assert len(set(told["listed"])) == len(told["listed"]) >= 7
    assert told["wrong"] == ["BadRequestError", 400, "size", "invalid_value"]
    assert told["missing"] == ["NotFoundError", 404, "video_id", "video_not_found"]
    assert told["deleted"]["deleted"] is True
