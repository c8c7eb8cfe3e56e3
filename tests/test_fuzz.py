"""Broken files through all that reads them (benchmarks/fuzz.py says how): nothing may fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(__file__).parents[1] / "benchmarks" / "fuzz.py"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="files are read in forked processes")
def test_broken_files_break_nothing(tmp_path: Path) -> None:
    """`WORLDREEL_FUZZ=10000` for as many; it goes on where `fuzz.json` of before ended."""
    count = int(os.environ.get("WORLDREEL_FUZZ", "300"))
    kept = tmp_path / "fuzz.json"
    for some in (count // 2, count):
        command = [sys.executable, str(COMMAND), "--count", str(some), "--kept", str(kept)]
        ended = subprocess.run([*command, "--whole", "75"], capture_output=True, check=False)
        assert ended.returncode == 0, ended.stdout.decode() + ended.stderr.decode()
    state = json.loads(kept.read_text())
    assert state["done"] == count and not state["failures"]
    assert sum(state["ended"].values()) == count
    assert state["ended"]["shown"] > count / 10 and state["ended"]["unreadable"] > count / 10
    assert state["grown_mb"] < 200
