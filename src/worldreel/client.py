"""A thin client of a worldreel server, for when the SDK's own videos are gone. Only the standard
library, and no torch.

    client = Client("http://127.0.0.1:8000/v1")
    client.create("a red ball bounces", seconds=4).wait().save("ball.mp4")
"""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from worldreel.errors import RequestError, message, shown

__all__ = ["Client", "RemoteVideo", "ServerError"]


class ServerError(RequestError):
    """What the server answered instead: `status` (0 if nobody did) and `code`."""

    def __init__(self, told: str, *, status: int, code: str | None = None) -> None:
        super().__init__(told)
        self.status, self.code = status, code


class RemoteVideo:
    """A video on a server; `told` is what it said last."""

    def __init__(self, client: Client, told: dict[str, Any]) -> None:
        self.client, self.told = client, told

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.told["id"])

    @property
    def status(self) -> str:
        """queued, in_progress, completed or failed."""
        return str(self.told["status"])

    def refresh(self) -> RemoteVideo:
        """Asks how it is now."""
        self.told = self.client.call("GET", f"/videos/{self.id}")
        return self

    def wait(self, *, timeout: float = 3600.0, every: float = 0.5) -> RemoteVideo:
        """Until it is completed; raises `ServerError` if it fails or takes too many seconds."""
        end = time.monotonic() + timeout
        while self.refresh().status in ("queued", "in_progress"):
            if time.monotonic() > end:
                came = f"the video was not made within {timeout:g} seconds"
                raise ServerError(message(came, "wait longer"), status=200, code="timeout")
            time.sleep(every)
        if self.status == "failed":
            error = self.told.get("error") or {}
            raise ServerError(str(error.get("message")), status=200, code=error.get("code"))
        return self

    def content(self, variant: str = "video") -> bytes:
        """The MP4, or its "thumbnail" (WebP) or "spritesheet" (JPEG)."""
        return self.client.raw("GET", f"/videos/{self.id}/content?variant={variant}")

    def save(self, path: str | Path) -> Path:
        """Writes the MP4, all or nothing."""
        target = Path(path)
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            part.write_bytes(self.content())
            os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)
        return target

    def remix(self, prompt: str, **fields: Any) -> RemoteVideo:
        """It, in other words."""
        told = self.client.call("POST", f"/videos/{self.id}/remix", prompt=prompt, **fields)
        return RemoteVideo(self.client, told)

    def edit(self, prompt: str, **fields: Any) -> RemoteVideo:
        """It made anew in other words; `strength`, 0 to 1, says how much may change."""
        more = {"video": {"id": self.id}, "prompt": prompt}
        return RemoteVideo(self.client, self.client.call("POST", "/videos/edits", **more, **fields))

    def extend(self, prompt: str, *, seconds: float = 4, **fields: Any) -> RemoteVideo:
        """It, and what comes after."""
        more = {"video": {"id": self.id}, "prompt": prompt, "seconds": seconds}
        told = self.client.call("POST", "/videos/extensions", **more, **fields)
        return RemoteVideo(self.client, told)

    def follow(self) -> Iterator[dict[str, Any]]:
        """Its states as they change, to its end; between them previews (`object` tells), if the
        server shows any."""
        for kind, told in self.client.events(f"/videos/{self.id}/events"):
            if kind != "video.preview":
                self.told = told if "status" in told else self.told
            yield told

    def cancel(self) -> RemoteVideo:
        """Stops its making."""
        self.told = self.client.call("POST", f"/videos/{self.id}/cancel")
        return self

    def delete(self) -> None:
        """Removes it for good."""
        self.client.call("DELETE", f"/videos/{self.id}")

    def _repr_html_(self) -> str:
        """Shows itself in a notebook as soon as it is completed."""
        import base64
        import html

        if self.refresh().status != "completed":
            return f"<p>{html.escape(self.id)}: {self.status}, {self.told['progress']} %</p>"
        data = base64.b64encode(self.content()).decode()
        return f'<video controls loop src="data:video/mp4;base64,{data}"></video>'


class Client:
    """A server, by the address that ends with /v1."""

    def __init__(self, url: str = "http://127.0.0.1:8000/v1", *, key: str = "none") -> None:
        self.url, self.key = url.rstrip("/"), key

    def create(self, prompt: str, **fields: Any) -> RemoteVideo:
        """Asks for a video: fields as the API has them (seconds, size, seed, model, …)."""
        return RemoteVideo(self, self.call("POST", "/videos", prompt=prompt, **fields))

    def character(self, name: str, video: RemoteVideo, *, about: str = "") -> dict[str, Any]:
        """A cast member shown by a finished video; prompts that name it are sent with
        `characters=[{"id": …}]`. `about` says in words what it is."""
        fields = {"name": name, "video": {"id": video.id}, "description": about}
        return self.call("POST", "/videos/characters", **fields)

    def get(self, name: str) -> RemoteVideo:
        """A video by its id."""
        return RemoteVideo(self, self.call("GET", f"/videos/{name}"))

    def videos(self) -> Iterator[RemoteVideo]:
        """All of one's own, the newest first."""
        after = ""
        while True:
            page = self.call("GET", f"/videos?limit=100{after}")
            yield from (RemoteVideo(self, told) for told in page["data"])
            if not page["has_more"]:
                return
            after = f"&after={page['last_id']}"

    def call(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        """The server's answer as values; raises `ServerError`."""
        answer: dict[str, Any] = json.loads(self.raw(method, path, **body))
        return answer

    def raw(self, method: str, path: str, **body: Any) -> bytes:
        """The server's answer as bytes; raises `ServerError`."""
        data = json.dumps(body).encode() if method == "POST" else None
        with self._answer(method, path, data) as answer:
            read: bytes = answer.read()
            return read

    def events(self, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Server-sent events, as they come: (kind, values); raises `ServerError`."""
        kind = ""
        with self._answer("GET", path, None) as answer:
            for line in answer:
                if line.startswith(b"event: "):
                    kind = line[7:].strip().decode()
                elif line.startswith(b"data: "):
                    yield kind, json.loads(line[6:])

    @contextmanager
    def _answer(self, method: str, path: str, data: bytes | None) -> Iterator[Any]:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=600) as answer:
                yield answer
        except urllib.error.HTTPError as error:
            with error:
                told = _error(error.read())
            said = str(told.get("message") or f"the server answers {error.code}")
            raise ServerError(said, status=error.code, code=told.get("code")) from error
        except (OSError, http.client.HTTPException) as error:
            came = f"nobody answers at {shown(self.url, limit=100)}"
            told_ = message(came, "start `worldreel serve` there")
            raise ServerError(told_, status=0) from error


def _error(raw: bytes) -> dict[str, Any]:
    try:
        found = json.loads(raw)["error"]
    except (ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}
