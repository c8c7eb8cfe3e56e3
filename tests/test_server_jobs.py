"""Jobs in the database: what every process may rely on, tried without any process."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")

from worldreel.errors import RequestError
from worldreel.server.database import Database, deliveries
from worldreel.server.errors import ApiError
from worldreel.server.jobs import CancelledError, Job, Jobs, LostError, fresh_id
from worldreel.server.keys import Keys
from worldreel.server.storage import Storage

DONE = {"result": "r", "seconds": "1", "size": "96x64", "notes": "[]", "keep": None}
# The same tests hold for PostgreSQL, where there is one to be tried (its URL; it is emptied).
URLS = ["sqlite"] + (["postgres"] if "WORLDREEL_TEST_POSTGRES" in os.environ else [])


@pytest.fixture(params=URLS)
def jobs(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Jobs]:
    url = f"sqlite:///{tmp_path / 'jobs.sqlite3'}"
    if request.param == "postgres":
        url = os.environ["WORLDREEL_TEST_POSTGRES"]
    database = Database(url)
    with database.write() as at:
        for table in ("videos", "workers", "deliveries", "webhook_endpoints", "keys"):
            at.exec_driver_sql(f"DELETE FROM {table}")
    yield Jobs(database)
    database.close()


def job(**more: object) -> Job:
    order = json.dumps({"notes": [], "ignored": [], "seed": 1, "file": ""})
    base = Job(
        id=fresh_id("video"),
        owner="me",
        created=time.time(),
        model="sora-2",
        engine="embedded",
        task="generate",
        prompt="a red ball",
        order=order,
        seconds="1",
        size="96x64",
        digest="d",
    )
    time.sleep(0.002)  # ids are ordered by the millisecond
    return replace(base, **more)  # type: ignore[arg-type]


def claim(jobs: Jobs, worker: str, lease: float = 30.0, engines: tuple[str, ...] = ("embedded",)):  # type: ignore[no-untyped-def]
    return jobs.claim(worker, engines, None, lease=lease)


def test_first_come_first_served_and_each_once(jobs: Jobs) -> None:
    made = [jobs.add(job(), limit=10) for _ in range(3)]
    assert [jobs.position(one) for one in made] == [1, 2, 3]
    claimed = [claim(jobs, f"w{n}") for n in range(4)]
    assert [one and one.id for one in claimed] == [*(one.id for one in made), None]


def test_many_at_once_get_each_job_once(jobs: Jobs) -> None:
    names = {jobs.add(job(), limit=99).id for _ in range(24)}
    found: list[str] = []

    def work(worker: str) -> None:
        while (one := claim(jobs, worker)) is not None:
            found.append(one.id)
            jobs.complete(one, **DONE)

    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(names)


def test_a_silent_worker_loses_its_job_and_cannot_finish_it(jobs: Jobs) -> None:
    jobs.add(job(), limit=1)
    asleep = claim(jobs, "a", lease=-1.0)
    awake = claim(jobs, "b")
    assert (awake.id, awake.attempt, asleep.attempt) == (asleep.id, 2, 1)
    with pytest.raises(LostError):
        jobs.renew(asleep, lease=30)
    with pytest.raises(LostError):
        jobs.complete(asleep, **DONE)
    jobs.fail(asleep, code="x", told="x")  # refused without a word: it is not its job
    jobs.complete(awake, **DONE | {"result": "second"})
    kept = jobs.get(awake.id, "me")
    assert kept is not None and (kept.status, kept.result) == ("completed", "second")
    assert claim(jobs, "c") is None


def test_a_dead_workers_job_comes_first_again(jobs: Jobs) -> None:
    first, _ = jobs.add(job(), limit=9), jobs.add(job(), limit=9)
    claim(jobs, "a")
    jobs.release("a")
    assert claim(jobs, "b").id == first.id


def test_models_and_urgency_decide_who_is_next(jobs: Jobs) -> None:
    other = jobs.add(job(engine="large"), limit=9)
    plain, urgent = jobs.add(job(), limit=9), jobs.add(job(priority=1), limit=9)
    both = ("embedded", "large")
    assert claim(jobs, "a").id == urgent.id
    assert jobs.claim("b", both, "embedded", lease=9).id == plain.id  # its model is loaded
    assert claim(jobs, "c") is None
    assert jobs.claim("c", both, "embedded", lease=9).id == other.id


def test_cancel_ends_what_waits_and_stops_what_runs(jobs: Jobs) -> None:
    waits = jobs.add(job(), limit=9)
    ended = jobs.cancel(waits.id, "me")
    assert ended is not None and (ended.status, ended.error_code) == ("failed", "cancelled")
    runs = claim(jobs, "a") or jobs.add(job(), limit=9)
    running = claim(jobs, "a")
    assert running.id == runs.id
    jobs.cancel(running.id, "me")
    with pytest.raises(CancelledError):
        jobs.check(running)
    with pytest.raises(CancelledError):  # not even at the last moment
        jobs.complete(running, **DONE)
    assert jobs.cancel(running.id, "somebody") is None


def test_removed_while_it_runs(jobs: Jobs) -> None:
    jobs.add(job(), limit=1)
    running = claim(jobs, "a")
    assert jobs.remove(running.id, "somebody") is None
    assert jobs.remove(running.id, "me") is not None
    with pytest.raises(LostError):
        jobs.check(running)


def test_the_queue_has_an_end_and_keys_are_idempotent(jobs: Jobs) -> None:
    first = jobs.add(job(idempotency="k"), limit=1)
    assert jobs.add(job(idempotency="k"), limit=1).id == first.id
    with pytest.raises(ApiError) as caught:
        jobs.add(job(), limit=1)
    assert caught.value.status == 429 and 1 <= int(caught.value.headers["Retry-After"]) <= 120
    with pytest.raises(ApiError) as caught:
        jobs.add(job(idempotency="k", digest="other"), limit=1)
    assert caught.value.code == "idempotency_key_reused"
    assert jobs.add(job(idempotency="k", owner="you"), limit=2).id != first.id


def test_events_are_written_with_what_causes_them(jobs: Jobs) -> None:
    with jobs.database.write() as at:
        at.exec_driver_sql(
            "INSERT INTO webhook_endpoints (id, owner, url, events, secret, created)"
            " VALUES ('we', 'me', 'http://x', '[\"video.completed\"]', 'whsec_', 0)"
        )
    for _ in range(2):
        jobs.add(job(), limit=9)
    jobs.complete(claim(jobs, "a"), **DONE)
    jobs.fail(claim(jobs, "a"), code="x", told="x")  # nobody asked for this event
    with jobs.database.read() as at:
        rows = at.execute(deliveries.select()).all()
    assert [json.loads(row.body)["type"] for row in rows] == ["video.completed"]


def test_what_crashes_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    with storage.making("video_a", 1) as part:
        (part / "video.mp4").write_bytes(b"a")
        kept = storage.publish(part)
    lost = storage.results / "video_b-3-ffff"
    renamed, writing = storage.results / "video_c-2-eeee", storage.results / ".video_c-2"
    for place in (lost, renamed, writing, storage.results / ".video_d-1"):
        place.mkdir()
    (storage.uploads / "new.mp4").write_bytes(b"")
    later = time.time() + 60
    assert storage.reconcile({kept}, set(), {("video_c", 2)}, before=later) == 2
    left = {place.name for place in storage.results.iterdir()}
    assert left == {kept, renamed.name, writing.name}
    assert storage.reconcile(set(), {"new.mp4"}, set(), before=time.time() - 60) == 0
    assert storage.reconcile(set(), set(), set(), before=time.time() + 7200) == 4


def test_keys_are_kept_as_hashes(jobs: Jobs) -> None:
    keys = Keys(jobs.database)
    key = keys.add("Ada")
    owner = keys.owner(key)
    assert owner == keys.names()[0][0] and keys.owner(key + "x") is None
    with jobs.database.read() as at:
        row = at.exec_driver_sql("SELECT * FROM keys").one()
    assert key.encode() not in b"".join(str(value).encode() for value in row)
    assert keys.remove(str(owner)) and not keys.remove(str(owner))


def test_a_wrong_database_is_told(tmp_path: Path) -> None:
    for url in ("nonsense", f"sqlite:///{tmp_path}/no/such/folder/x", "oracle://x"):
        with pytest.raises(RequestError, match="cannot be used"):
            Database(url)


def test_a_database_of_an_earlier_version_grows(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'jobs.sqlite3'}"
    database = Database(url)
    with database.write() as at:
        at.exec_driver_sql("DROP TABLE webhook_endpoints")
        at.exec_driver_sql(
            "CREATE TABLE webhook_endpoints (id VARCHAR(80) PRIMARY KEY, owner VARCHAR(80),"
            " name VARCHAR(200), url TEXT, events TEXT, secret VARCHAR(200), created FLOAT)"
        )
        at.exec_driver_sql(
            "INSERT INTO webhook_endpoints VALUES ('we', 'me', 'n', 'http://x', '[]', 's', 7)"
        )
    database.close()
    for _ in range(2):  # the second time there is nothing to add
        database = Database(url)
        with database.read() as at:
            row = at.exec_driver_sql("SELECT * FROM webhook_endpoints").mappings().one()
        assert (row["id"], row["created"], row["old_secret"]) == ("we", 7, None)
        database.close()


def test_uploads_of_characters_and_of_several_are_kept(jobs: Jobs) -> None:
    with jobs.database.write() as at:
        at.exec_driver_sql("DELETE FROM characters")
        at.exec_driver_sql(
            "INSERT INTO characters (id, owner, created, name, file)"
            " VALUES ('char', 'me', 0, 'Mossy', 'kept.character')"
        )
    cast = [{"name": "Mossy", "about": "", "file": "cast.mp4"}]
    jobs.add(job(order=json.dumps({"file": "a.mp4", "cast": cast})), limit=9)
    assert jobs.references()[1] == {"kept.character", "cast.mp4", "a.mp4"}
