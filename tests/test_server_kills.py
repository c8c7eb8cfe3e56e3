"""Kill -9 at any moment: nothing acknowledged is lost, nothing is doubled, nothing half-written.

`WORLDREEL_KILLS` says how many kills the long test makes (500); the short one makes two that are
chosen, not random: the worker in the middle of a job, and the server with its worker at work.
"""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest

pytest.importorskip("fastapi")

from serving import Running

BODY = {"prompt": "a red ball", "seconds": "1", "size": "96x64"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path / "server", "--workers", "2", seconds=0.3, lease=2.0)
    yield running
    running.stop()


def post(server: Running, key: str, **more: object) -> str | None:
    """The id of an acknowledged job, or None if nobody answered."""
    body = json.dumps(BODY | more).encode()
    headers = {"Content_Type": "application/json", "Idempotency_Key": key}
    status, told = server.send("POST", "/v1/videos", body, **headers)
    return json.loads(told)["id"] if status == 200 else None


def state(server: Running, name: str) -> dict[str, Any]:
    status, told = server.get(f"/v1/videos/{name}")
    return json.loads(told) if status == 200 else {"status": f"{status}"}


def check_results(server: Running, names: dict[str, str]) -> None:
    """Every acknowledged job is there once and whole; nothing else is, once it has tidied."""
    time.sleep(6)  # what is younger than five seconds is left alone
    server.kill()
    server.start()  # it tidies when it starts
    server.wait(lambda: len(list((server.folder / "results").iterdir())) == len(names), 15)
    for name in names.values():
        video = state(server, name)
        assert video["status"] == "completed", video
    assert len(set(names.values())) == len(names)
    results = list((server.folder / "results").iterdir())
    assert all(not place.name.startswith(".") for place in results), results
    assert sorted(p.name.partition("-")[0] for p in results) == sorted(names.values())
    for place in results:
        with av.open(str(place / "video.mp4")) as container:
            assert len(list(container.decode(video=0))) == 2
        assert {file.name for file in place.iterdir()} == {
            "video.mp4",
            "thumbnail.webp",
            "spritesheet.jpg",
        }


def test_killed_workers_and_servers_lose_nothing(server: Running) -> None:
    names = {f"k{n}": str(post(server, f"k{n}")) for n in range(4)}
    server.wait(
        lambda: any(state(server, n)["status"] == "in_progress" for n in names.values()), 10
    )
    os.kill(server.workers()[0], signal.SIGKILL)
    server.wait(lambda: any(state(server, n)["status"] == "completed" for n in names.values()), 30)
    names["last"] = str(post(server, "last"))
    server.kill()
    server.start()
    assert post(server, "last") == names["last"]
    server.wait(lambda: all(state(server, n)["status"] == "completed" for n in names.values()), 30)
    check_results(server, names)


@pytest.mark.slow
def test_hundreds_of_random_kills(server: Running) -> None:
    kills, rng = int(os.environ.get("WORLDREEL_KILLS", "500")), random.Random(6)
    names: dict[str, str] = {}
    stop = threading.Event()

    def ask() -> None:
        number = 0
        while not stop.is_set():
            key = f"k{number}"
            found = post(server, key)
            if found is not None:
                assert names.setdefault(key, found) == found
                number += 1
            again = rng.choice(list(names) or [key])
            if again in names and (twice := post(server, again)) is not None:
                assert twice == names[again], "an idempotency key was forgotten"
            stop.wait(0.6)

    asking = threading.Thread(target=ask)
    asking.start()
    longest = 0.0
    try:
        for _ in range(kills):
            time.sleep(rng.uniform(0.05, 1.2))
            victims = server.workers()
            if not victims or rng.random() < 0.15:
                server.kill()
                began = time.monotonic()
                server.start()
                longest = max(longest, time.monotonic() - began)
            else:
                os.kill(rng.choice(victims), signal.SIGKILL)
    finally:
        stop.set()
        asking.join()
    began = time.monotonic()
    while any(state(server, n)["status"] in ("queued", "in_progress") for n in names.values()):
        before = sum(state(server, n)["status"] == "completed" for n in names.values())
        end = time.monotonic() + 30  # work continues within 30 s
        while sum(state(server, n)["status"] == "completed" for n in names.values()) == before:
            assert time.monotonic() < end, "".join(server.lines[-30:])
            time.sleep(0.2)
    assert len(names) > kills / 20, "there was hardly anything to lose"
    print(f"{kills} kills, {len(names)} jobs, {time.monotonic() - began:.0f} s to finish,")
    print(f"at most {longest:.1f} s until the server was ready again")
    check_results(server, names)
