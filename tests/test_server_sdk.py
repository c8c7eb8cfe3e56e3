"""The official SDK, unchanged, against our server: every operation, sync, async and streaming."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from PIL import Image
from serving import Running

from worldreel.client import Client, ServerError

openai = pytest.importorskip("openai")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
SMALL = {"size": "96x64", "seconds": "1"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One server for all tests here; it must end by itself when told to."""
    running = Running(tmp_path_factory.mktemp("server"), "--alias", "sora-2-pro=embedded")
    yield running
    assert running.stop() == 0, "".join(running.lines[-20:])


@pytest.fixture(scope="module")
def client(server: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.url, api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def done(client: openai.OpenAI) -> openai.types.Video:
    """A finished video."""
    more = {"seed": 7, "negative_prompt": "blur", "num_inference_steps": 9, "nonsense": {"a": [1]}}
    video = client.videos.create_and_poll(
        prompt="a red ball", model="sora-2-pro", extra_body=more, **SMALL
    )
    assert video.status == "completed", video
    return video


def _picture(width: int = 48, height: int = 32, form: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 30)).save(file, form)
    return file.getvalue()


def test_a_video_has_every_key(client: openai.OpenAI, done: openai.types.Video) -> None:
    told = done.to_dict()
    needed = "id object model status progress created_at completed_at expires_at seconds size"
    assert set(f"{needed} prompt remixed_from_video_id error".split()) <= set(told)
    assert done.id.startswith("video_") and done.object == "video"
    assert (done.model, done.progress, done.seconds, done.size) == ("sora-2-pro", 100, "1", "96x64")
    assert (told["seed"], told["negative_prompt"], told["ignored"]) == (7, "blur", ["nonsense"])
    assert client.videos.retrieve(done.id).to_dict() == told


def test_the_first_answer_is_a_queued_job(client: openai.OpenAI) -> None:
    video = client.videos.create(prompt="[slow] waits")  # the API's own defaults
    assert video.status in ("queued", "in_progress") and video.progress == 0
    assert (video.model, video.seconds, video.size) == ("sora-2", "4", "720x1280")
    assert client.videos.delete(video.id).deleted
    with pytest.raises(openai.NotFoundError) as caught:
        client.videos.retrieve(video.id)
    assert (caught.value.code, caught.value.param) == ("video_not_found", "video_id")
    assert str(caught.value.request_id).startswith("req_")


def test_content_comes_in_three_variants(
    client: openai.OpenAI, done: openai.types.Video, tmp_path: Path
) -> None:
    client.videos.download_content(done.id).write_to_file(tmp_path / "v.mp4")
    with av.open(str(tmp_path / "v.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.frames) == (96, 64, 2)
    for variant, form in (("thumbnail", "WEBP"), ("spritesheet", "JPEG")):
        raw = client.videos.download_content(done.id, variant=variant).read()  # type: ignore[arg-type]
        assert Image.open(io.BytesIO(raw)).format == form
    whole = (tmp_path / "v.mp4").read_bytes()
    with client.videos.with_streaming_response.download_content(done.id) as answer:
        assert b"".join(answer.iter_bytes()) == whole
        assert answer.headers["content-length"] == str(len(whole))
        assert "attachment" in answer.headers["content-disposition"]
    part = urllib.request.Request(
        f"{client.base_url}videos/{done.id}/content", headers={"Range": "bytes=10-19"}
    )
    with urllib.request.urlopen(part) as answer:
        assert (answer.status, answer.read()) == (206, whole[10:20])
        assert answer.headers["content-range"] == f"bytes 10-19/{len(whole)}"


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_a_picture_may_come_first(client: openai.OpenAI, form: str) -> None:
    file = ("a photo.bin", _picture(form=form))
    video = client.videos.create_and_poll(prompt="a red ball", input_reference=file, **SMALL)
    assert video.status == "completed" and video.to_dict()["task"] == "animate"


def test_a_picture_may_come_as_an_address(client: openai.OpenAI) -> None:
    url = "data:image/png;base64," + base64.b64encode(_picture(32, 32)).decode()
    given = {"input_reference": {"image_url": url}}
    video = client.videos.create(prompt="a red ball", extra_body=given, **SMALL)
    assert video.to_dict()["notes"] == ["the picture was cropped to the aspect of 96x64"]
    wrong = {"image_url": "http://127.0.0.1/x.png"}, {"a": "b"}, {"image_url": "data:image/x"}
    for bad in (*wrong, {"file_id": "file_1"}):
        error = openai.NotFoundError if "file_id" in bad else openai.BadRequestError
        with pytest.raises(error) as caught:
            client.videos.create(prompt="a red ball", extra_body={"input_reference": bad})
        assert str(caught.value.param).startswith("input_reference")


def test_lists_page_both_ways(client: openai.OpenAI, done: openai.types.Video) -> None:
    made = [client.videos.create(prompt=f"one of {n}", **SMALL).id for n in range(5)]
    newest = [video.id for video in client.videos.list(limit=2)]
    assert newest[:5] == made[::-1] and done.id in newest and len(set(newest)) == len(newest)
    oldest = [video.id for video in client.videos.list(limit=2, order="asc")]
    assert oldest == newest[::-1]
    page = client.videos.list(limit=3)
    assert page.has_more and page.to_dict()["last_id"] == newest[2]
    assert not client.videos.list(limit=3, after=oldest[0]).has_more


def test_remix_edit_and_extend(client: openai.OpenAI, done: openai.types.Video) -> None:
    remixed = client.videos.remix(done.id, prompt="a blue ball rolls")
    assert (remixed.remixed_from_video_id, remixed.size) == (done.id, "96x64")
    by_id = {"video": {"id": done.id}}
    edited = client.videos.edit(prompt="a green ball", video=openai.omit, extra_body=by_id)
    assert edited.seconds == "1" and edited.id != done.id and edited.model == done.model
    longer = client.videos.extend(
        prompt="a ball rolls on", seconds="8", video=openai.omit, extra_body=by_id | {"loras": None}
    )
    assert longer.seconds == "9"
    clip = client.videos.download_content(done.id).read()
    uploaded = client.videos.extend(prompt="a ball rolls on", seconds="4", video=("c.mp4", clip))
    assert (uploaded.seconds, uploaded.size) == ("5", "96x64")
    for video in (remixed, edited, longer, uploaded):
        assert client.videos.poll(video.id, poll_interval_ms=100).status == "completed"


def test_characters_are_kept(client: openai.OpenAI, done: openai.types.Video) -> None:
    clip = client.videos.download_content(done.id).read()
    mossy = client.videos.create_character(name="Mossy", video=("m.mp4", clip))
    assert client.videos.get_character(str(mossy.id)).to_dict() == mossy.to_dict()
    named = {"characters": [{"id": mossy.id}]}
    video = client.videos.create_and_poll(prompt="Mossy runs", extra_body=named, **SMALL)
    assert video.status == "completed" and video.to_dict()["ignored"] == []
    with pytest.raises(openai.BadRequestError) as caught:
        client.videos.create(prompt="a dog runs", extra_body=named)
    assert caught.value.code == "character_not_named"
    with pytest.raises(openai.NotFoundError) as caught:
        client.videos.create(prompt="a dog runs", extra_body={"characters": [{"id": "char_0"}]})
    assert caught.value.param == "characters"
    with pytest.raises(openai.BadRequestError):
        client.videos.create_character(name="x", video=("m.mp4", b"no video"))


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": "a\x00b"}, "prompt"),
        ({"prompt": "x" * 32_001}, "prompt"),
        ({"size": "10x10"}, "size"),
        ({"size": "wide"}, "size"),
        ({"seconds": "0"}, "seconds"),
        ({"seconds": "5000"}, "seconds"),
        ({"extra_body": {"seed": -1}}, "seed"),
        ({"extra_body": {"n": 3}}, "n"),
        ({"extra_body": {"loras": [{"path": "../x", "scale": 1}]}}, "loras.0.path"),
        ({"input_reference": ("a.png", b"this is no picture")}, "input_reference"),
    ],
)
def test_wrong_values_name_their_field(
    client: openai.OpenAI, fields: dict[str, object], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.videos.create(**{"prompt": "a red ball", **fields})  # type: ignore[arg-type]
    assert caught.value.param == param and caught.value.type == "invalid_request_error"


def test_long_prompts_are_shortened_and_that_is_said(client: openai.OpenAI) -> None:
    prompt = "a dog runs " * 2000
    video = client.videos.create(prompt=prompt, **SMALL)
    assert video.prompt == prompt and "first 3,99" in video.to_dict()["notes"][0]


@pytest.mark.parametrize(
    ("word", "code"),
    [("[memory]", "out_of_memory"), ("[fail]", "internal_error"), ("[space]", "disk_full")],
)
def test_a_failed_job_is_a_video_with_an_error(client: openai.OpenAI, word: str, code: str) -> None:
    video = client.videos.create_and_poll(prompt=f"please {word}", poll_interval_ms=200, **SMALL)
    assert video.status == "failed" and video.error is not None
    assert video.error.code == code and "Traceback" not in video.error.message
    with pytest.raises(openai.NotFoundError):
        client.videos.download_content(video.id)


def test_json_and_the_same_key_twice(server: Running) -> None:
    body = json.dumps({"prompt": "by hand", "seconds": 1, "size": "96x64", "seed": 3}).encode()
    send = {"Content_Type": "application/json", "Idempotency_Key": "k1"}
    answers = [server.send("POST", "/v1/videos", body, **send) for _ in range(3)]
    assert len({json.loads(told)["id"] for _, told in answers}) == 1
    other = body.replace(b"hand", b"foot")
    status, told = server.send("POST", "/v1/videos", other, **send)
    assert (status, json.loads(told)["error"]["code"]) == (400, "idempotency_key_reused")
    for bad in (b"{", b"[]", b'{"prompt": NaN}', b"[" * 5000, b"\xff"):
        status, told = server.send("POST", "/v1/videos", bad, Content_Type="application/json")
        assert status == 400 and json.loads(told)["error"]["type"] == "invalid_request_error"
    assert server.send("POST", "/v1/videos", b"<a/>", Content_Type="text/xml")[0] == 415


def test_other_web_pages_and_hosts_are_kept_out(server: Running) -> None:
    assert server.get("/v1/videos", Origin="https://evil.example")[0] == 403
    assert server.get("/v1/videos", Host="evil.example:80")[0] == 403
    assert server.get("/v1/videos", Origin=server.root)[0] == 200


def test_signs_models_and_documents(server: Running, client: openai.OpenAI) -> None:
    assert [server.get(path)[0] for path in ("/healthz", "/readyz", "/docs")] == [200] * 3
    assert b'worldreel_jobs{status="completed"}' in server.get("/metrics")[1]
    names = [model.id for model in client.models.list()]
    assert names == ["embedded", "sora-2-pro", "sora-2"]
    document = json.loads(server.get("/openapi.json")[1])
    kinds = document["paths"]["/v1/videos"]["post"]["requestBody"]["content"]
    assert set(kinds) == {"application/json", "multipart/form-data"}
    status, told = server.get("/v1/nothing")
    assert status == 404 and json.loads(told)["error"]["code"] == "not_found"


def test_names_of_other_servers(client: openai.OpenAI) -> None:
    url = "data:image/png;base64," + base64.b64encode(_picture()).decode()
    theirs = {"frames_per_second": 10, "reference_url": url, "aspect_ratio": "1:1", "quality": "hd"}
    told = client.videos.create(prompt="a red ball", extra_body=theirs).to_dict()
    assert (told["fps"], told["task"], told["ignored"]) == (10, "animate", ["quality"])
    width, height = told["size"].split("x")
    assert width == height
    nested = {"video_params": {"width": 96, "height": 64, "num_frames": 24, "fps": 12}}
    told = client.videos.create(prompt="a red ball", extra_body=nested).to_dict()
    assert (told["size"], told["seconds"], told["fps"]) == ("96x64", "2", 12)
    for extra in ("extra_params", "extra_body"):
        told = client.videos.create(prompt="a", extra_body={extra: '{"seed": 5}'}).to_dict()
        assert told["seed"] == 5


def test_a_video_at_once(server: Running) -> None:
    body = json.dumps({"prompt": "a red ball", "seconds": 1, "size": "96x64"}).encode()
    send = {"Content_Type": "application/json"}
    status, raw = server.send("POST", "/v1/videos/sync", body, **send)
    assert status == 200 and raw[4:8] == b"ftyp"
    status, raw = server.send("POST", "/v1/videos/sync", body.replace(b"red", b"[fail]"), **send)
    assert status == 409 and json.loads(raw)["error"]["code"] == "internal_error"


def test_the_documentation_needs_nothing_from_elsewhere(server: Running) -> None:
    text = server.get("/docs")[1].decode()
    assert "/v1/videos/{video_id}/remix" in text and "negative_prompt" in text
    assert "<script" not in text and 'src="http' not in text and "cdn" not in text


def test_async(server: Running) -> None:
    async def run() -> None:
        async with openai.AsyncOpenAI(base_url=server.url, api_key="any") as client:
            made = [
                client.videos.create_and_poll(prompt=f"a red ball, {n}", **SMALL) for n in range(3)
            ]
            videos = await asyncio.gather(*made)
            assert {video.status for video in videos} == {"completed"}
            content = await client.videos.download_content(videos[0].id)
            assert content.read()[4:8] == b"ftyp"
            listed = [video.id async for video in client.videos.list(limit=2)]
            assert {video.id for video in videos} <= set(listed)

    asyncio.run(run())


def test_our_own_client(server: Running, tmp_path: Path) -> None:
    client = Client(server.url)
    video = client.create("a red ball", seconds=1, size="96x64").wait(every=0.1)
    assert video.save(tmp_path / "ball.mp4").read_bytes()[4:8] == b"ftyp"
    assert video._repr_html_().startswith("<video")
    assert next(client.videos()).id == video.id == client.get(video.id).id
    assert video.remix("a blue ball").wait(every=0.1).told["remixed_from_video_id"] == video.id
    states = list(client.create("a red ball", **SMALL).follow())
    assert states[0]["status"] in ("queued", "in_progress") and states[-1]["status"] == "completed"
    mossy = client.character("Mossy", video, about="a green owl")
    assert mossy["description"] == "a green owl"
    cast = client.create("Mossy runs", characters=[{"id": mossy["id"]}], **SMALL)
    edited = cast.wait(every=0.1).edit("it sleeps", strength=0.5)
    assert edited.wait(every=0.1).told["task"] == "edit"
    video.delete()
    with pytest.raises(ServerError, match="there is no video") as caught:
        video.refresh()
    assert (caught.value.status, caught.value.code) == (404, "video_not_found")
    with pytest.raises(ServerError, match="nobody answers"):
        Client("http://127.0.0.1:1/v1").get("x")
