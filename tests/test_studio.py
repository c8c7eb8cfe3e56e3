"""The studio's endpoints and files, without a browser: what its pages ask for is what they get."""

from __future__ import annotations

import io
import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")

from PIL import Image
from serving import Running

from worldreel.server import studio
from worldreel.server.database import Database
from worldreel.server.jobs import Job, Jobs
from worldreel.server.keys import Keys
from worldreel.server.orders import Given, Order
from worldreel.server.studio.estimate import estimate
from worldreel.server.studio.wording import worded

STATIC = Path(studio.__file__).parent / "static"
Answer = tuple[int, Any]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("studio"), seconds=0.05, upload=3_000_000)
    yield running
    assert running.stop() == 0, "".join(running.lines[-20:])


def ask(server: Running, method: str, path: str, fields: Any = None, **headers: str) -> Answer:
    body = None if fields is None else json.dumps(fields).encode()
    status, raw = server.send(method, path, body, content_type="application/json", **headers)
    return status, json.loads(raw)


def form(server: Running, path: str, fields: dict[str, str], **files: bytes) -> Answer:
    edge = uuid.uuid4().hex
    parts = [(f'name="{name}"', text.encode()) for name, text in fields.items()]
    parts += [(f'name="{name}"; filename="{name}.bin"', raw) for name, raw in files.items()]
    lines = [f"--{edge}\r\nContent-Disposition: form-data; {head}\r\n\r\n" for head, _ in parts]
    whole = b"".join(
        line.encode() + raw + b"\r\n" for line, (_, raw) in zip(lines, parts, strict=True)
    )
    kind = f"multipart/form-data; boundary={edge}"
    status, told = server.send("POST", path, whole + f"--{edge}--\r\n".encode(), content_type=kind)
    return status, json.loads(told)


def order(server: Running, tool: str, *, files: Any = None, **fields: Any) -> list[dict[str, Any]]:
    told = {"order": json.dumps({"tool": tool, **fields})}
    status, answer = form(server, "/studio/api/orders", told, **(files or {}))
    assert status == 200, answer
    found: list[dict[str, Any]] = answer["data"]
    return found


def ended(server: Running, name: str) -> dict[str, Any]:
    seen: dict[str, Any] = {}

    def done() -> bool:
        seen.update(ask(server, "GET", f"/studio/api/videos/{name}")[1])
        return seen["status"] in ("completed", "failed")

    server.wait(done, 30)
    assert seen["status"] == "completed", seen
    return seen


def made(server: Running, prompt: str = "a red ball bounces", **fields: Any) -> dict[str, Any]:
    asked = {"prompt": prompt, "size": "96x64", "seconds": "4", **fields}
    return ended(server, ask(server, "POST", "/v1/videos", asked)[1]["id"])


def png(colour: str = "navy", size: tuple[int, int] = (64, 48)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return file.getvalue()


def test_one_page_at_every_address_and_nothing_from_elsewhere(server: Running) -> None:
    pages = {server.get(path) for path in ("/", "/library", "/storyboard", "/desk", "/video/x")}
    assert len(pages) == 1 and pages.pop()[0] == 200
    for path in ("../pages.py", "%2e%2e/pages.py", "..%2fpages.py", "js/none.js", "js"):
        assert server.get(f"/studio/static/{path}")[0] == 404, path
    page = (STATIC / "index.html").read_text()
    for path in re.findall(r'(?:href|src)="(/studio/static/[^"]+)"', page):
        assert server.get(path)[0] == 200, path
    for file in [*STATIC.glob("js/*.js"), *STATIC.glob("css/*.css"), STATIC / "index.html"]:
        text = file.read_text()
        assert not re.search(r"https?://|//cdn|@import|url\(", text), file.name
        for there in re.findall(r'(?:from|import) "(\.[^"]+)"', text):
            assert (file.parent / there).is_file(), (file.name, there)
        assert len(text.splitlines()) < 500


@pytest.mark.parametrize(
    ("tool", "fields", "seconds", "task"),
    [
        ("extend", {"seconds": 2}, 6, "extend"),
        ("extend", {"before": 1.5, "seconds": 0}, 5.5, "extend"),
        ("recut", {"start": 1, "end": 3}, 2, "extend"),
        ("recut", {"start": 1, "end": 3, "before": 1, "seconds": 2}, 5, "extend"),
        ("loop", {"seconds": 2}, 6, "loop"),
        ("region", {"span": [1, 2]}, 4, "fill"),
    ],
)
def test_tools_make_what_they_say(
    server: Running, tool: str, fields: dict[str, Any], seconds: float, task: str
) -> None:
    source = made(server)
    given = {"video": source["id"]}
    given |= {name: fields.pop(name) for name in ("start", "end") if name in fields}
    job = order(server, tool, prompt="a red ball rolls", given=[given], **fields)[0]
    video = ended(server, job["id"])
    assert (float(video["seconds"]), video["task"]) == (seconds, task)
    assert video["size"] == source["size"]
    assert [one["id"] for one in video["made_from"]] == [source["id"]]
    assert job["id"] in [
        one["id"] for one in ask(server, "GET", f"/studio/api/videos/{source['id']}")[1]["became"]
    ]


def test_several_given_things(server: Running) -> None:
    first, second = made(server), made(server, "a blue ball rolls", seconds="2")
    both = [{"video": one["id"]} for one in (first, second)]
    blend = ended(server, order(server, "blend", given=both, seconds=2)[0]["id"])
    assert float(blend["seconds"]) == 8 and len(blend["made_from"]) == 2
    keys = [
        {"part": "f0", "still": True, "at": 0},
        {"video": first["id"], "still": True, "start": 2, "at": 3},
    ]
    frames = order(server, "keyframes", prompt="a ball", given=keys, files={"f0": png()})
    assert float(ended(server, frames[0]["id"])["seconds"]) == 4
    mask = {"given": [{"video": first["id"]}], "mask": "mask", "files": {"mask": png("white")}}
    assert ended(server, order(server, "region", **mask)[0]["id"])["task"] == "fill"
    shots = [
        {"prompt": "@car drives in the city", "seconds": 2.5, "given": [{"part": "f0", "at": 1}]},
        {"prompt": "@car drives on the beach", "seconds": 1.5},
    ]
    asked = {"shots": shots, "cast": {"car": "a red car"}, "style": "watercolour"}
    board = order(server, "storyboard", size="96x64", files={"f0": png()}, **asked)[0]
    story = ended(server, board["id"])
    assert float(story["seconds"]) == 4
    assert (
        "a red car drives in the city, watercolour" in story["prompt"] or "@car" in story["prompt"]
    )


def test_variations_are_the_same_with_other_seeds(server: Running) -> None:
    source = made(server, seed=7, num_inference_steps=5)
    jobs = order(server, "variations", given=[{"video": source["id"]}], count=3)
    assert len({job["seed"] for job in jobs} | {7}) == 4
    told = {(job["prompt"], job["size"], job["task"], job["seconds"]) for job in jobs}
    assert told == {("a red ball bounces", "96x64", "generate", "4")}


def test_what_a_waiting_job_needs_outlives_its_source(server: Running) -> None:
    source = made(server)
    ask(server, "POST", "/v1/videos", {"prompt": "[slow] x", "size": "96x64", "seconds": "1"})
    loop = order(server, "loop", given=[{"video": source["id"]}])[0]
    variation = order(server, "variations", given=[{"video": loop["id"]}])[0]
    assert ask(server, "DELETE", f"/v1/videos/{source['id']}")[0] == 200
    assert ask(server, "DELETE", f"/v1/videos/{loop['id']}")[0] == 200
    queue = ask(server, "GET", "/studio/api/queue")[1]["data"]
    for job in queue:
        if "[slow]" in job["prompt"]:
            ask(server, "POST", f"/v1/videos/{job['id']}/cancel")
    assert ended(server, variation["id"])["task"] == "loop"


@pytest.mark.parametrize(
    ("tool", "fields", "param"),
    [
        ("loop", {}, "given"),
        ("blend", {"given": [{"video": "SOURCE"}]}, "given"),
        ("loop", {"given": [{"video": "video_none"}]}, "given"),
        ("loop", {"given": [{"part": "f9"}]}, "given"),
        ("recut", {"given": [{"video": "SOURCE", "start": 3, "end": 3}]}, "given"),
        ("region", {"given": [{"video": "SOURCE"}]}, "mask"),
        ("keyframes", {"given": [{"video": "SOURCE", "still": True}]}, "prompt"),
        ("extend", {"given": [{"video": "SOURCE"}], "seconds": 119}, "seconds"),
        ("storyboard", {}, "shots"),
        ("storyboard", {"shots": [{"prompt": "@nobody runs"}]}, "shots"),
        ("storyboard", {"shots": [{"prompt": "x", "seconds": 50}] * 2}, "shots"),
        ("variations", {}, "given"),
        ("sing", {}, "tool"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(
    server: Running, tool: str, fields: dict[str, Any], param: str
) -> None:
    page = ask(server, "GET", "/studio/api/library?limit=1")[1]["data"]
    source = page[0]["id"] if page else made(server)["id"]
    told = json.loads(json.dumps({"tool": tool, **fields}).replace("SOURCE", source))
    before = set((server.folder / "uploads").iterdir())
    status, answer = form(server, "/studio/api/orders", {"order": json.dumps(told)})
    assert status in (400, 404) and answer["error"]["param"] == param, answer
    assert answer["error"]["message"].endswith(".")
    assert set((server.folder / "uploads").iterdir()) == before  # nothing stays behind


def test_the_library_is_searched_and_sorted(server: Running) -> None:
    names = [made(server, f"a {colour} kite 100% of_wind")["id"] for colour in ("red", "green")]

    def found(**asked: str) -> list[str]:
        query = "&".join(f"{key}={value}" for key, value in asked.items())
        return [one["id"] for one in ask(server, "GET", f"/studio/api/library?{query}")[1]["data"]]

    assert found(words="KITE") == names[::-1] and found(words="kite%20green") == names[1:]
    assert found(words="100%25") == names[::-1] and found(words="kite%20%25%25") == []
    assert found(words="of_wind") == names[::-1] and found(words="k_te") == []
    assert found(words="kite", limit="1", after=names[1]) == names[:1]
    marks = {"favourite": True, "folder": " kites "}
    marked = ask(server, "POST", f"/studio/api/videos/{names[0]}/marks", marks)[1]
    assert (marked["favourite"], marked["folder"]) == (True, "kites")
    assert found(favourite="true") == names[:1] == found(folder="kites")
    ask(server, "POST", f"/studio/api/videos/{names[0]}/marks", {"favourite": False})
    assert found(favourite="true") == [] and found(folder="kites") == names[:1]
    assert ask(server, "GET", "/studio/api/library")[1]["folders"] == ["kites"]
    assert ask(server, "DELETE", f"/v1/videos/{names[0]}")[0] == 200
    assert ask(server, "GET", "/studio/api/library")[1]["folders"] == []


def test_run_next_goes_first(server: Running) -> None:
    asked = {"size": "96x64", "seconds": "1"}
    prompts = ("[slow] first", "second", "third")
    jobs = [ask(server, "POST", "/v1/videos", {"prompt": p, **asked})[1]["id"] for p in prompts]
    server.wait(
        lambda: ask(server, "GET", f"/v1/videos/{jobs[0]}")[1]["status"] == "in_progress", 10
    )
    queue = ask(server, "POST", f"/studio/api/videos/{jobs[2]}/next")[1]["data"]
    places = {job["id"]: job["queue_position"] for job in queue}
    assert (places[jobs[2]], places[jobs[1]], places[jobs[0]]) == (1, 2, None)
    for name in jobs:
        ask(server, "POST", f"/v1/videos/{name}/cancel")


def test_reports_and_refusals_reach_the_desk(server: Running) -> None:
    video = made(server)
    report = {"video": video["id"], "reason": "brand", "note": "a mouse"}
    name = ask(server, "POST", "/studio/api/reports", report)[1]["id"]
    status, refused = ask(server, "POST", "/v1/videos", {"prompt": "Mickey Mouse dances"})
    assert status == 400 and refused["error"]["code"] == "moderation_blocked"
    desk = ask(server, "GET", "/studio/api/desk")[1]
    row = desk["refusals"][0]
    assert (row["prompt"], row["category"]) == ("Mickey Mouse dances", "characters")
    assert row["words"] and desk["reports"][0] | {"note": "a mouse"} == desk["reports"][0]
    assert server.get(f"/studio/api/desk/videos/{video['id']}")[1][4:8] == b"ftyp"
    assert server.get("/studio/api/desk/lines") == (200, b"")
    ask(server, "POST", f"/studio/api/desk/refusals/{row['id']}", {"verdict": "disagreed"})
    line = json.loads(server.get("/studio/api/desk/lines")[1])
    assert (line["verdict"], line["prompt"]) == ("disagreed", "Mickey Mouse dances")
    assert "owner" not in line
    assert ask(server, "DELETE", f"/studio/api/desk/reports/{name}")[0] == 200
    assert ask(server, "GET", "/studio/api/desk")[1]["reports"] == []


def test_a_dropped_file_tells_what_it_is(server: Running, tmp_path: Path) -> None:
    broken = form(server, "/studio/api/look", {}, file=b"\0" * 5000)
    assert broken[0] == 400 and broken[1]["error"]["code"] == "invalid_file"
    photo = form(server, "/studio/api/look", {}, file=png())[1]
    assert (photo["moves"], photo["width"], photo["recipe"]) == (False, 64, None)
    assert not list((server.folder / "uploads").glob("*.look"))


def test_estimates_are_what_the_last_videos_took() -> None:
    class Made:
        def __init__(self, seconds: float, steps: int | None, took: float) -> None:
            self.asked = {"seconds": seconds, "steps": steps}
            self.started, self.completed = 100.0, 100.0 + took

    jobs: Any = [Made(4, None, 9.5), Made(4, 20, 9.5), Made(8, None, 17.5)]  # 0.1 s a unit + 1.5
    for seconds, steps, told in ((4.0, None, 9.5), (8.0, 10, 9.5), (2.0, None, 5.5)):
        found = estimate(jobs, seconds=seconds, steps=steps, usual=20)
        assert (found["seconds"], found["from"]) == (pytest.approx(told, abs=0.11), 3)
    assert estimate([], seconds=4, steps=None, usual=20)["seconds"] is None


def test_detail_is_added_only_where_something_was_left_open() -> None:
    for prompt in (
        "a red car",
        "a penguin in the snow",
        "ball",
        "two cats play in the park at noon",
    ):
        for again in range(4):
            text, added = worded(prompt, again)
            assert text.startswith(prompt) and all(part in text for part in added)
            assert worded(text) == (text, ())  # then nothing is open any more
    assert worded("a fish swims under water at night, slow zoom in") == (
        "a fish swims under water at night, slow zoom in",
        (),
    )
    assert worded("") == ("", ())
    assert worded("a fish")[0].startswith("a fish swims under water")
    assert len({worded("a robot", again)[0] for again in range(8)}) > 3


def test_the_page_is_open_and_the_rest_asks_for_a_key(tmp_path: Path) -> None:
    known = Keys(Database(f"sqlite:///{tmp_path / 'jobs.sqlite3'}"))
    keys = {name: known.add(name) for name in ("ada", "operator")}
    server = Running(tmp_path, "--keys")
    try:
        assert server.get("/")[0] == 200 == server.get("/studio/static/js/main.js")[0]
        assert server.get("/studio/api/about")[0] == 401 == server.get("/v1/videos")[0]
        assert ask(server, "POST", "/studio/api/session", {"key": "wr-wrong"})[0] == 401
        assert ask(server, "POST", "/studio/api/session", {"key": keys["ada"]})[0] == 200
        cookie = {name: f"worldreel_key={key}" for name, key in keys.items()}
        assert server.get("/v1/videos", cookie=cookie["ada"])[0] == 200
        elsewhere = {"cookie": cookie["ada"], "origin": "http://evil.example"}
        assert server.get("/v1/videos", **elsewhere)[0] == 401
        assert server.get("/studio/api/desk", cookie=cookie["ada"])[0] == 403
        assert server.get("/studio/api/desk", cookie=cookie["operator"])[0] == 200
        asked = {"prompt": "a ball", "size": "96x64", "seconds": "1", "priority": 1}
        mine = ask(server, "POST", "/v1/videos", asked, cookie=cookie["ada"])[1]["id"]
        assert (
            ask(server, "POST", f"/studio/api/videos/{mine}/next", {}, cookie=cookie["ada"])[0]
            == 403
        )
        for path in ("", "/badge"):
            theirs = f"/studio/api/videos/{mine}{path}"
            assert server.get(theirs, cookie=cookie["operator"])[0] == 404
        given = {"tool": "loop", "given": [{"video": mine}]}
        stolen = ask(server, "POST", "/studio/api/orders", given, cookie=cookie["operator"])
        assert stolen[0] == 404
    finally:
        assert server.stop() == 0


def test_every_upload_of_an_order_is_kept(tmp_path: Path) -> None:
    jobs = Jobs(Database(f"sqlite:///{tmp_path / 'jobs.sqlite3'}"))
    given = (Given(file="a.mp4", kind="clip"), Given(file="b.picture", kind="still", at=2.0))
    plain = {"task": "animate", "prompt": "x", "engine": "embedded", "seed": 1}
    sizes = {"seconds": 4.0, "total": 4.0, "width": 96, "height": 64}
    asked = Order(**plain, **sizes, given=given, file="a.mp4", span=(1.0, 2.0), shots=(("x", 4.0),))
    assert Order.from_json(asked.to_json()) == asked
    row = {"id": "video_1", "owner": "local", "created": 1.0, "model": "m", "digest": ""}
    row |= {"engine": "embedded", "task": "animate", "prompt": "x", "seconds": "4", "size": "96x64"}
    jobs.add(Job(**row, order=asked.to_json()), limit=9)
    assert jobs.references()[1] == {"a.mp4", "b.picture"}


@pytest.fixture(scope="module")
def uploads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    from worldreel.video import Video

    folder = tmp_path_factory.mktemp("uploads")
    frames = torch.arange(48, dtype=torch.uint8)[:, None, None, None].expand(48, 64, 96, 3) * 4
    Video(frames.contiguous(), fps=12).save(folder / "clip.mp4")
    (folder / "photo.picture").write_bytes(png("teal", (96, 64)))
    (folder / "mask.picture").write_bytes(png("white", (96, 64)))
    return folder


def test_orders_become_what_is_known(uploads: Path) -> None:
    from worldreel.models.load import settings_of
    from worldreel.server.studio.building import build

    def request(task: str, *given: Given, **fields: Any) -> Any:
        told = {"prompt": "a ball", "engine": "embedded", "seed": 1, "width": 96, "height": 64}
        told |= {"seconds": 2.0, "total": 6.0, **fields}
        return build(
            Order(task=task, given=given, **told), uploads / "clip.mp4", like=settings_of()
        )

    clip = Given(file="clip.mp4", kind="clip")
    part = Given(file="clip.mp4", kind="clip", at=1.0, start=1.0, end=3.0)
    recut = request("extend", part, total=4.0)
    assert (recut.seconds, recut.known[0].at, recut.known[0].clip.seconds) == (4.0, 1.0, 2.0)
    shade = recut.known[0].clip.to_numpy().mean((1, 2, 3))
    assert abs(shade[0] - 12 * 4) < 4 and abs(shade[-1] - 35 * 4) < 4  # frames 12 to 35
    still = Given(file="clip.mp4", kind="still", start=2.0, at=3.0)
    photo = Given(file="photo.picture", kind="still")
    frames = request("animate", photo, still, seconds=4.0)
    assert [(k.at, len(k.clip)) for k in frames.known] == [(0.0, 1), (3.0, 1)]
    assert abs(frames.known[1].clip.to_numpy().mean() - 24 * 4) < 4
    both = request("connect", clip, clip)
    assert (both.seconds, both.known[1].at) == (pytest.approx(10.0), pytest.approx(6.0))
    assert request("loop", clip).seconds == pytest.approx(6.0)
    mask = Given(file="mask.picture", kind="mask")
    filled = request("fill", clip, mask, span=(1.0, 9.0))
    assert filled.known[0].unknown.all() and filled.known[0].span == (1.0, pytest.approx(4.0))
    board = request("storyboard", still, shots=(("a", 2.0), ("b", 1.5)))
    assert ([s.prompt for s in board.shots], board.seconds) == (["a", "b"], 3.5)
