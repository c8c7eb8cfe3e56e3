"""PostgreSQL, for many machines: a cluster of our own in a temporary folder, the tests of jobs on
it, and two servers that share it (and a bucket), one of which is killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("pg8000")

from serving import Running

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent


def _program(name: str) -> str | None:
    """Debian keeps them out of the path."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return shutil.which(name, path=os.pathsep.join([os.environ["PATH"], *map(str, places)]))


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a fresh cluster."""
    if _program("initdb") is None or _program("postgres") is None:
        pytest.skip("PostgreSQL is not installed here")
    folder = Path(str(tmp_path_factory.mktemp("postgres")))
    as_user: list[str] = []
    if os.getuid() == 0:  # it refuses to run as root
        as_user = ["runuser", "-u", "postgres", "--"]
        shutil.chown(folder, "postgres")
        for place in (folder, *folder.parents):
            if place.owner() == "root" and str(place).startswith("/tmp/"):
                place.chmod(0o755)
    data, port = folder / "data", _free_port()
    command = [*as_user, str(_program("initdb")), "-D", str(data), "-U", "test", "-A", "trust"]
    subprocess.run([*command, "-N"], check=True, capture_output=True, cwd=folder)
    options = ["-p", str(port), "-k", str(folder), "-h", "127.0.0.1", "-c", "fsync=off"]
    server = subprocess.Popen(
        [*as_user, str(_program("postgres")), "-D", str(data), *options],
        stderr=subprocess.DEVNULL,
        cwd=folder,
    )
    try:
        url = f"postgresql://test@127.0.0.1:{port}"
        _answers(f"{url}/postgres")
        yield url
    finally:
        with suppress(OSError, ValueError):  # it has ended by itself
            os.kill(int((data / "postmaster.pid").read_text().splitlines()[0]), signal.SIGQUIT)
        server.wait(60)


def _free_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _answers(url: str) -> None:
    import time

    import sqlalchemy
    from sqlalchemy.exc import DBAPIError

    engine = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+pg8000:"))
    for attempt in range(200):
        try:
            with engine.connect() as at:
                at.execution_options(isolation_level="AUTOCOMMIT")
                for name in ("jobs", "shared"):
                    at.exec_driver_sql(f"CREATE DATABASE {name}")
            break
        except DBAPIError:
            assert attempt < 199, "PostgreSQL does not start"
            time.sleep(0.1)
    engine.dispose()


def test_jobs_are_the_same_there(postgres: str) -> None:
    command = [sys.executable, "-m", "pytest", str(HERE / "test_server_jobs.py"), "-k", "postgres"]
    told = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env=os.environ | {"WORLDREEL_TEST_POSTGRES": f"{postgres}/jobs"},
    )
    assert told.returncode == 0 and " passed" in told.stdout, told.stdout[-3000:]


def test_two_machines_share_the_work_and_one_dies(postgres: str, tmp_path: Path) -> None:
    """Each has a folder of its own; what one makes the other shows, and goes on with."""
    (tmp_path / "bucket").mkdir()
    shared = ["--database", f"{postgres}/shared", "--storage", f"file://{tmp_path / 'bucket'}"]
    one = Running(tmp_path / "one", *shared, seconds=0.3, lease=2.0)
    other = Running(tmp_path / "other", *shared, seconds=0.3, lease=2.0)
    try:
        names = [_post(server, prompt=f"a red ball, {n}") for n in range(6) for server in (one,)]
        slow = _post(one, prompt="a red ball [slow]")
        other.wait(lambda: _state(other, slow)["status"] == "in_progress", 60)
        workers = {server: server.workers() for server in (one, other)}
        one.kill()
        for pid in workers[one]:
            os.kill(pid, signal.SIGKILL)
        other.wait(lambda: all(_state(other, n)["status"] == "completed" for n in names), 60)
        for name in names:
            status, raw = other.get(f"/v1/videos/{name}/content")
            assert status == 200 and raw[4:8] == b"ftyp"
        other.wait(lambda: _state(other, slow)["status"] == "completed", 90)
        body = json.dumps({"prompt": "a blue ball"}).encode()
        path = f"/v1/videos/{names[0]}/remix"
        assert other.send("POST", path, body, Content_Type="application/json")[0] == 200
    finally:
        other.stop()
        one.kill()


def _post(server: Running, **fields: object) -> str:
    body = json.dumps({"seconds": 1, "size": "96x64"} | fields).encode()
    status, told = server.send("POST", "/v1/videos", body, Content_Type="application/json")
    assert status == 200, told
    return str(json.loads(told)["id"])


def _state(server: Running, name: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(server.get(f"/v1/videos/{name}")[1])
    return told
