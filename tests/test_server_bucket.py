"""Files in a bucket: two machines that share one, and the wire as S3 speaks it."""

from __future__ import annotations

import hashlib
import http.server
import io
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape, unescape

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("obstore")

from worldreel.errors import RequestError
from worldreel.server.bucket import Bucket, open_storage
from worldreel.server.errors import ApiError
from worldreel.server.settings import Settings
from worldreel.server.storage import Storage


class S3(http.server.BaseHTTPRequestHandler):
    """As much of S3 as this takes, without asking who is there; objects in the server's `kept`."""

    protocol_version = "HTTP/1.1"

    def _key(self) -> str:
        return unquote(urlsplit(self.path).path)

    def _answer(self, status: int, body: bytes = b"", kind: str = "application/xml") -> None:
        self.send_response(status)
        tag = hashlib.md5(body).hexdigest()
        for name, value in {
            "Content-Length": str(len(body)),
            "Content-Type": kind,
            "ETag": f'"{tag}"',
            "Last-Modified": "Sun, 22 Nov 2026 00:00:00 GMT",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.kept[self._key()] = body  # type: ignore[attr-defined]
        self._answer(200)

    def do_DELETE(self) -> None:
        self.server.kept.pop(self._key(), None)  # type: ignore[attr-defined]
        self._answer(204)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        keys = re.findall(r"<Key>(.*?)</Key>", body)
        for key in keys:
            self.server.kept.pop(f"/clips/{unescape(key)}", None)  # type: ignore[attr-defined]
        rows = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
        self._answer(200, f"<DeleteResult>{rows}</DeleteResult>".encode())

    def do_GET(self) -> None:
        kept = self.server.kept  # type: ignore[attr-defined]
        query = parse_qs(urlsplit(self.path).query)
        if "list-type" not in query:
            found = kept.get(self._key())
            missing = b"<Error><Code>NoSuchKey</Code></Error>"
            self._answer(404, missing) if found is None else self._answer(200, found, "video/mp4")
            return
        prefix = "/clips/" + query.get("prefix", [""])[0]
        rows = "".join(
            f"<Contents><Key>{escape(key.removeprefix('/clips/'))}</Key><Size>{len(body)}</Size>"
            "<LastModified>2026-11-20T00:00:00.000Z</LastModified><ETag>&quot;x&quot;</ETag>"
            "</Contents>"
            for key, body in sorted(kept.items())
            if key.startswith(prefix)
        )
        head = '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        told = f"{head}<IsTruncated>false</IsTruncated>{rows}</ListBucketResult>"
        self._answer(200, told.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(params=["folder", "s3"])
def url(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    if request.param == "folder":
        (tmp_path / "bucket").mkdir()
        yield f"file://{tmp_path / 'bucket'}"
        return
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), S3)
    server.kept = {}  # type: ignore[attr-defined]
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
    }.items():
        monkeypatch.setenv(name, value)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield "s3://clips/mine"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def machines(url: str, tmp_path: Path) -> tuple[Bucket, Bucket]:
    return Bucket(tmp_path / "a", url), Bucket(tmp_path / "b", url)


def finish(storage: Storage, video: str, attempt: int = 1) -> str:
    with storage.making(video, attempt) as part:
        for name in ("video.mp4", "thumbnail.webp", "spritesheet.jpg"):
            (part / name).write_bytes(f"{video} {name}".encode() * 100)
        return storage.publish(part)


def test_what_one_machine_keeps_another_has(machines: tuple[Bucket, Bucket]) -> None:
    one, other = machines
    name, sha256 = one.keep(io.BytesIO(b"clip" * 1000), kind="video", limit=10_000)
    raw = other.upload(name).read_bytes()
    assert raw == b"clip" * 1000 and hashlib.sha256(raw).hexdigest() == sha256
    result = finish(one, "video_a")
    assert other.file(result, "thumbnail").read_bytes() == b"video_a thumbnail.webp" * 100
    borrowed = other.borrow(result)
    assert one.upload(borrowed).read_bytes() == b"video_a video.mp4" * 100
    assert one.upload(other.again(name)).read_bytes() == raw
    assert not list(other.uploads.glob(".*"))  # nothing half-fetched


def test_what_is_gone_is_gone_everywhere(machines: tuple[Bucket, Bucket]) -> None:
    one, other = machines
    name, _ = one.keep(io.BytesIO(b"clip"), kind="video", limit=10)
    result = finish(one, "video_a")
    assert other.file(result, "video").is_file()
    one.forget(result=result, upload=name)
    other.forget(result=result)  # each machine forgets its own copy
    assert not other.file(result, "video").is_file() and not other.upload(name).is_file()
    with pytest.raises(FileNotFoundError):
        other.borrow(result)


def test_what_no_row_names_is_swept_there_too(machines: tuple[Bucket, Bucket]) -> None:
    one, other = machines
    kept, lost, busy = (finish(one, f"video_{n}") for n in "abc")
    name, _ = one.keep(io.BytesIO(b"clip"), kind="video", limit=10)
    later = time.time() + 7200
    one.reconcile({kept}, {name}, {("video_c", 1)}, before=later)
    assert other.file(kept, "video").is_file() and other.file(busy, "video").is_file()
    assert not other.file(lost, "video").is_file() and other.upload(name).is_file()
    other.reconcile(set(), set(), set(), before=later)
    assert not Bucket(one.folder.parent / "c", _url(one)).upload(name).is_file()


def _url(storage: Bucket) -> str:
    return storage.url


def test_a_storage_that_is_none_or_silent_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RequestError, match="cannot be used"):
        open_storage(Settings(folder=tmp_path, storage="nonsense"))
    assert type(open_storage(Settings(folder=tmp_path))) is Storage
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    silent = Bucket(tmp_path, "s3://clips", patience=1.0)
    with pytest.raises(ApiError) as caught:
        silent.keep(io.BytesIO(b"clip"), kind="video", limit=10)
    assert (caught.value.status, caught.value.code) == (503, "storage_unavailable")
    assert not list(silent.uploads.iterdir())
