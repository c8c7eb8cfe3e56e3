"""What all tests share: a local store of their own, and a light hand of `trust`.

Frame review, watermark and signature have tests of their own (test_trust.py); everywhere else they
would only cost time. A test that is marked `trust` has all of it on.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

LIGHT = "without: [frame review, watermark, signature]\n"


@pytest.fixture(autouse=True)
def light(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.node.get_closest_marker("trust") is not None:
        return
    from worldreel.trust import Trust

    off = frozenset({"frame review", "watermark", "signature"})
    monkeypatch.setattr(Trust, "load", classmethod(lambda cls: cls(off=off)))


@pytest.fixture(autouse=True, scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The local store of whatever tests start as processes of their own."""
    home = tmp_path_factory.mktemp("home")
    (home / "trust.yaml").write_text(LIGHT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORLDREEL_HOME", str(home))
        yield home
