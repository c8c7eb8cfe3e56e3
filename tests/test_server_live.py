"""A server with keys and a short queue: who sees what, events, webhooks, cancelling, the end."""

from __future__ import annotations

import base64
import http.client
import http.server
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("fastapi")
openai = pytest.importorskip("openai")

from serving import Running  # noqa: E402  # it is of no use without the packages above

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
SMALL = {"size": "96x64", "seconds": "1"}


def add_key(folder: Any, name: str) -> str:
    command = [sys.executable, "-m", "worldreel", "keys", "add", name, "--folder", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def keys(folder: Any) -> dict[str, str]:
    return {name: add_key(folder, name) for name in ("ada", "bob")}


@pytest.fixture(scope="module")
def server(folder: Any, keys: dict[str, str]) -> Iterator[Running]:
    running = Running(
        folder, "--keys", "--queue", "3", "--drain", "1", "--previews", upload=300_000
    )
    yield running
    assert running.stop() == 0, "".join(running.lines[-20:])


@pytest.fixture(scope="module")
def ada(server: Running, keys: dict[str, str]) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.url, api_key=keys["ada"], max_retries=0) as client:
        yield client


def test_keys_are_asked_for(server: Running, ada: openai.OpenAI, keys: dict[str, str]) -> None:
    assert server.get("/healthz")[0] == 200 and server.get("/metrics")[0] == 401
    for wrong in ("", "wr-wrong", keys["ada"][:-1], "é"):
        with (
            openai.OpenAI(base_url=server.url, api_key=wrong or "x", max_retries=0) as nobody,
            pytest.raises((openai.AuthenticationError, UnicodeEncodeError)),
        ):
            nobody.videos.list()
    assert [keys[name] in "".join(server.lines) for name in keys] == [False, False]


def test_everybody_sees_only_their_own(
    server: Running, ada: openai.OpenAI, keys: dict[str, str]
) -> None:
    mine = ada.videos.create_and_poll(prompt="a red ball", poll_interval_ms=100, **SMALL)
    with openai.OpenAI(base_url=server.url, api_key=keys["bob"], max_retries=0) as bob:
        assert bob.videos.list().data == []
        by_id: dict[str, Any] = {"prompt": "a ball", "extra_body": {"video": {"id": mine.id}}}
        tries = (
            lambda: bob.videos.retrieve(mine.id),
            lambda: bob.videos.delete(mine.id),
            lambda: bob.videos.download_content(mine.id),
            lambda: bob.videos.remix(mine.id, prompt="a ball"),
            lambda: bob.videos.edit(video=openai.omit, **by_id),
            lambda: bob.post(f"/videos/{mine.id}/cancel", cast_to=object),
            lambda: bob.get(f"/videos/{mine.id}/events", cast_to=object),
        )
        for attempt in tries:
            with pytest.raises(openai.NotFoundError):
                attempt()
    assert ada.videos.retrieve(mine.id).status == "completed"


def events(server: Running, key: str, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    connection = http.client.HTTPConnection(urlsplit(server.root).netloc, timeout=20)
    headers = {"Authorization": f"Bearer {key}"}
    connection.request("GET", f"/v1/videos/{name}/events", headers=headers)
    answer = connection.getresponse()
    assert answer.status == 200 and answer.headers["content-type"].startswith("text/event-stream")
    try:
        for line in answer:
            if line.startswith(b"event: "):
                kind = line[7:].strip().decode()
            if line.startswith(b"data: "):
                yield kind, json.loads(line[6:])
    finally:
        connection.close()


def test_events_tell_progress_and_cancelling_is_quick(
    server: Running, ada: openai.OpenAI, keys: dict[str, str]
) -> None:
    video = ada.videos.create(prompt="[slow] a red ball", **SMALL)
    seen = []
    for kind, told in events(server, keys["ada"], video.id):
        if kind == "video.preview":
            continue
        seen.append((kind, told["step"]))
        if kind == "video.progress" and (told["step"] or 0) >= 2 and told["status"] != "failed":
            assert 0 < told["progress"] < 100 and told["steps"] == 200 and told["eta_s"] > 0
            began = time.monotonic()
            ada.post(f"/videos/{video.id}/cancel", cast_to=object)
    assert seen[-1][0] == "video.failed" and time.monotonic() - began < 3  # a step is 0.1 s
    ended = ada.videos.retrieve(video.id)
    assert ended.error is not None and ended.error.code == "cancelled"
    assert [kind for kind, _ in events(server, keys["ada"], video.id)] == ["video.failed"]


def test_what_it_is_becoming_is_shown(
    server: Running, ada: openai.OpenAI, keys: dict[str, str]
) -> None:
    video = ada.videos.create(prompt="[slow] a red ball", **SMALL)
    seen: list[dict[str, Any]] = []
    for kind, told in events(server, keys["ada"], video.id):
        if kind == "video.preview":
            seen.append(told)
        if len(seen) == 2:
            break
    assert seen[0]["step"] < seen[1]["step"] and {told["id"] for told in seen} == {video.id}
    head, _, data = seen[1]["image"].partition(",")
    assert head == "data:image/webp;base64" and base64.b64decode(data) == b"preview"
    ada.post(f"/videos/{video.id}/cancel", cast_to=object)
    assert [kind for kind, _ in events(server, keys["ada"], video.id)][-1] == "video.failed"


def test_a_running_video_can_be_deleted(
    server: Running, ada: openai.OpenAI, keys: dict[str, str]
) -> None:
    video = ada.videos.create(prompt="[slow] a red ball", **SMALL)
    follow = events(server, keys["ada"], video.id)
    next(follow)
    ada.videos.delete(video.id)
    assert [kind for kind, _ in follow][-1] == "video.deleted"
    done = ada.videos.create_and_poll(prompt="a red ball", poll_interval_ms=100, **SMALL)
    assert done.status == "completed"  # the worker has let go of the other
    assert not [p for p in (server.folder / "results").iterdir() if video.id in p.name]


def test_a_full_queue_says_when_to_come_again(server: Running, keys: dict[str, str]) -> None:
    with openai.OpenAI(base_url=server.url, api_key=keys["ada"], max_retries=0) as client:
        slow = client.videos.create(prompt="[slow] a red ball", **SMALL)
        server.wait(lambda: client.videos.retrieve(slow.id).status == "in_progress", 10)
        waiting = [client.videos.create(prompt="a red ball", **SMALL) for _ in range(3)]
        assert client.videos.retrieve(waiting[2].id).to_dict()["queue_position"] == 3
        with pytest.raises(openai.RateLimitError) as caught:
            client.videos.create(prompt="a red ball", **SMALL)
        assert int(caught.value.response.headers["retry-after"]) >= 1
        assert server.get("/readyz")[0] == 503 and server.get("/healthz")[0] == 200
        client.post(f"/videos/{slow.id}/cancel", cast_to=object)
    with openai.OpenAI(base_url=server.url, api_key=keys["ada"], max_retries=5) as patient:
        video = patient.videos.create_and_poll(prompt="a red ball", poll_interval_ms=100, **SMALL)
        assert video.status == "completed"  # the SDK came again by itself


def test_large_bodies_are_refused_before_they_are_read(server: Running, ada: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        ada.videos.create(prompt="a red ball", input_reference=("a.png", b"x" * 400_000))
    assert (caught.value.status_code, caught.value.code) == (413, "too_large")


def test_webhooks_arrive_signed(server: Running, ada: openai.OpenAI, keys: dict[str, str]) -> None:
    got: list[tuple[dict[str, str], bytes]] = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            got.append((dict(self.headers), body))
            self.send_response(500 if len(got) == 1 else 200)  # the first time it is ill
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=receiver.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{receiver.server_port}/hook"
        asked = {"url": url, "event_types": ["video.completed", "video.failed"]}
        made: Any = ada.post("/webhook_endpoints", body=asked, cast_to=object)
        secret = made["signing_secret"]
        listed: Any = ada.get("/webhook_endpoints", cast_to=object)
        assert listed["data"][0]["signing_secret"] is None and listed["data"][0]["url"] == url
        video = ada.videos.create(prompt="a red ball", **SMALL)
        server.wait(lambda: len(got) >= 2, 25)
        assert got[0][1] == got[1][1] and got[0][0]["webhook-id"] == got[1][0]["webhook-id"]
        event = ada.webhooks.unwrap(got[1][1].decode(), got[1][0], secret=secret)
        assert (event.type, event.data.id) == ("video.completed", video.id)
        _managed(server, ada, str(made["id"]), got)
    finally:
        receiver.shutdown()
        thread.join()
        receiver.server_close()


def _managed(server: Running, ada: openai.OpenAI, name: str, got: list[Any]) -> None:
    """All that the SDK can do to an endpoint."""
    hooks = ada.webhooks
    assert hooks.retrieve(name).name == "" and name in [one.id for one in hooks.list()]
    changed = hooks.update(name, name="mine", event_types=["video.failed"])
    assert (changed.name, changed.event_types) == ("mine", ["video.failed"])
    assert "video.completed" in hooks.event_types.list().data
    before = len(got)
    tested = hooks.test(name, event_type="video.failed")
    assert tested.status_code == 200 and len(got) == before + 1
    old = hooks.rotate_secret(name).signing_secret
    both = hooks.rotate_secret(name, keep_old_secret_active_for_24_hours=True).signing_secret
    assert old != both and hooks.retrieve(name).signing_secret_hint == both[-4:]
    ada.videos.create_and_poll(prompt="please [fail]", poll_interval_ms=100, **SMALL)
    server.wait(lambda: len(got) == before + 2, 10)
    for secret in (old, both):
        event = hooks.unwrap(got[-1][1].decode(), got[-1][0], secret=secret)
        assert event.type == "video.failed"
    hooks.delete(name)
    with pytest.raises(openai.NotFoundError):
        hooks.retrieve(name)


def test_a_worker_that_breaks_down_over_a_job_gives_it_up(
    server: Running, ada: openai.OpenAI
) -> None:
    video = ada.videos.create_and_poll(prompt="[crash] a red ball", poll_interval_ms=200, **SMALL)
    assert video.error is not None and video.error.code == "worker_crashed"
    after = ada.videos.create_and_poll(prompt="a red ball", poll_interval_ms=100, **SMALL)
    assert after.status == "completed"


def test_told_to_stop_it_gives_back_what_it_cannot_finish(
    server: Running, keys: dict[str, str]
) -> None:
    headers = {"Authorization": f"Bearer {keys['ada']}", "Content_Type": "application/json"}
    body = json.dumps({"prompt": "[slow] a red ball", **SMALL}).encode()
    name = json.loads(server.send("POST", "/v1/videos", body, **headers)[1])["id"]

    def status() -> str:
        told = server.get(f"/v1/videos/{name}", Authorization=headers["Authorization"])[1]
        return str(json.loads(told)["status"])

    server.wait(lambda: status() == "in_progress", 10)
    workers = server.workers()
    assert server.stop() == 0
    assert not any(os.path.exists(f"/proc/{pid}") for pid in workers)
    assert not list((server.folder / "results").glob(f".{name}*"))
    server.start()
    server.wait(lambda: status() == "in_progress", 10)  # it is begun again
    cancel = f"/v1/videos/{name}/cancel"
    assert server.send("POST", cancel, b"", Authorization=headers["Authorization"])[0] == 200
    server.wait(lambda: status() == "failed", 10)


def test_a_sleeping_worker_is_taken_over_from(server: Running, ada: openai.OpenAI) -> None:
    slow = ada.videos.create(prompt="[slow] a red ball", **SMALL)
    server.wait(lambda: ada.videos.retrieve(slow.id).status == "in_progress", 10)
    asleep = server.workers()[0]
    _put_to_sleep(server, asleep)
    try:
        other = Running(server.folder, "--keys", "--queue", "3", "--drain", "1")
        try:
            connect = {"base_url": other.url, "api_key": ada.api_key}
            with openai.OpenAI(**connect) as client:
                began = time.monotonic()
                other.wait(lambda: _attempt(server, slow.id) == 2, 20)
                assert time.monotonic() - began < 20
                client.post(f"/videos/{slow.id}/cancel", cast_to=object)
        finally:
            assert other.stop() == 0
    finally:
        os.kill(asleep, signal.SIGCONT)


def _put_to_sleep(server: Running, worker: int) -> None:
    """Stops a process, but not in mid-transaction: then SQLite would lock everybody out."""
    while True:
        os.kill(worker, signal.SIGSTOP)
        connection = sqlite3.connect(server.folder / "jobs.sqlite3", timeout=0.3)
        try:
            connection.execute("BEGIN IMMEDIATE")
            return
        except sqlite3.OperationalError:
            os.kill(worker, signal.SIGCONT)
            time.sleep(0.01)
        finally:
            connection.close()


def _attempt(server: Running, name: str) -> int:
    with sqlite3.connect(server.folder / "jobs.sqlite3") as connection:
        row = connection.execute("SELECT attempt FROM videos WHERE id = ?", (name,)).fetchone()
    connection.close()
    return int(row[0])


def test_what_cannot_be_served_is_said_in_a_sentence(tmp_path: Any, server: Running) -> None:
    base = [sys.executable, "-m", "worldreel", "serve", "--folder", str(tmp_path)]
    wrong = {
        r"--keys": ["--host", "0.0.0.0"],
        r"no keys": ["--keys"],
        r"another --port": ["--port", str(server.port)],
        r"database .* cannot be used": ["--database", "nonsense"],
        r"--workers is 1000": ["--workers", "1000"],
    }
    for told, options in wrong.items():
        ended = subprocess.run([*base, *options], capture_output=True, text=True, timeout=60)
        assert ended.returncode == 2 and re.search(told, ended.stderr), ended.stderr
        assert ended.stderr.count("\n") == 1
