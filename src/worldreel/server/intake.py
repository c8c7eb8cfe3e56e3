"""From a body to a job that is on the disk: what every POST that makes a video does.

Runs in a thread. Files are kept first and measured; whatever fails later takes them away again.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO, TypeVar

from pydantic import BaseModel, ValidationError

from worldreel.errors import message, shown
from worldreel.server import characters, dialects, orders, publish, remote
from worldreel.server.errors import ApiError, invalid, missing, not_whole, unready
from worldreel.server.forms import Body
from worldreel.server.jobs import Job, Jobs, fresh_id
from worldreel.server.measuring import measure
from worldreel.server.orders import Member, Order, Source
from worldreel.server.schema import CreateBody, EditBody, ExtendBody, Named, RemixBody
from worldreel.server.settings import Settings
from worldreel.server.storage import Storage

__all__ = ["Incoming", "Intake", "check_key", "validated"]

_PICTURE = 32 * 2**20
_MOST_PIXELS = 2**26
_Any = TypeVar("_Any", bound=BaseModel)


def validated(kind: type[_Any], values: dict[str, Any], *, strict: bool) -> _Any:
    """The values as `kind`; raises `ApiError` that names the first wrong field."""
    try:
        return kind.model_validate(values, strict=strict)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        param = ".".join(str(part) for part in first["loc"]) or None
        if first["type"] == "missing":
            told = message(f"{param} is missing", "it is required")
            raise invalid(told, param=param, code="missing_required_parameter") from error
        came = f"{shown(param or 'the body')[1:-1]} cannot be used"
        raise invalid(
            message(came, shown(str(first["msg"]), limit=200)[1:-1]), param=param
        ) from error


@dataclass
class Incoming:
    """One request on its way in; `kept` are the uploads that it has put on the disk."""

    owner: str
    path: str
    body: Body
    idempotency: str | None
    kept: list[str] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)

    @property
    def digest(self) -> str:
        told = [self.path, self.body.values, self.hashes]
        text = json.dumps(told, sort_keys=True, default=str)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class Intake:
    """Takes orders."""

    def __init__(self, settings: Settings, jobs: Jobs, storage: Storage) -> None:
        self.settings, self.jobs, self.storage = settings, jobs, storage
        self.draining = False

    def create(self, owner: str, body: Body, idempotency: str | None) -> Job:
        """POST /videos."""

        def order(request: Incoming) -> tuple[Order, str, str | None]:
            values = dialects.common(request.body.values)
            fields = validated(CreateBody, values, strict=body.strict)
            publish.review_prompt(fields.prompt)
            still = self._still(request, fields)
            made = orders.create(fields, self.settings, still, self._cast(request, fields))
            return made, self.settings.named(fields.model or "sora-2"), None

        return self.take(Incoming(owner, "create", body, idempotency), order)

    def edit(self, owner: str, body: Body, idempotency: str | None) -> Job:
        """POST /videos/edits."""

        def order(request: Incoming) -> tuple[Order, str, str | None]:
            fields = validated(EditBody, request.body.values, strict=body.strict)
            publish.review_prompt(fields.prompt)
            source, model = self._clip(request, fields.video, fields.model)
            made = orders.edit(fields, self.settings, source, self.settings.engine(model))
            return made, self.settings.named(model), fields.video.id if fields.video else None

        return self.take(Incoming(owner, "edit", body, idempotency), order)

    def extend(self, owner: str, body: Body, idempotency: str | None) -> Job:
        """POST /videos/extensions."""

        def order(request: Incoming) -> tuple[Order, str, str | None]:
            fields = validated(ExtendBody, request.body.values, strict=body.strict)
            publish.review_prompt(fields.prompt)
            source, model = self._clip(request, fields.video, fields.model)
            made = orders.extend(fields, self.settings, source, self.settings.engine(model))
            return made, self.settings.named(model), None

        return self.take(Incoming(owner, "extend", body, idempotency), order)

    def remix(self, owner: str, name: str, body: Body, idempotency: str | None) -> Job:
        """POST /videos/{id}/remix."""

        def order(request: Incoming) -> tuple[Order, str, str | None]:
            fields = validated(RemixBody, request.body.values, strict=body.strict)
            publish.review_prompt(fields.prompt)
            source, model = self.own(request, name, param="video_id")
            made = orders.edit(fields, self.settings, source, self.settings.engine(model))
            return made, self.settings.named(model), name

        return self.take(Incoming(owner, f"remix {name}", body, idempotency), order)

    def take(
        self, request: Incoming, order: Callable[[Incoming], tuple[Order, str, str | None]]
    ) -> Job:
        """The job of a request, committed; its files go again if it is not taken."""
        if self.draining:
            told = message("the server is about to stop", "try again in a moment")
            raise unready(told, code="draining")
        self.storage.check_space()
        try:
            made, model, source = order(request)
            job = _job(request, made, model, source)
            if self.settings.keys:  # among several users nobody goes first
                job = replace(job, priority=0)
            taken = self.jobs.add(job, limit=self.settings.queue)
        except BaseException:
            self._forget(request)
            raise
        if taken.id != job.id:
            self._forget(request)
        return taken

    def _forget(self, request: Incoming) -> None:
        for name in request.kept:
            self.storage.forget(upload=name)

    def keep(self, request: Incoming, source: BinaryIO, *, kind: str, limit: int) -> str:
        name, sha256 = self.storage.keep(source, kind=kind, limit=limit)
        request.kept.append(name)
        request.hashes.append(sha256)
        return name

    def _still(self, request: Incoming, fields: CreateBody) -> Source | None:
        """The picture that a video begins with: a file, or the bytes behind its address."""
        file, given = request.body.files.get("input_reference"), fields.input_reference
        if file is None and given is None:
            return None
        if file is not None and given is not None:
            told = message("two references are given", "give a file or an address")
            raise invalid(told, param="input_reference")
        if file is not None:
            name = self.keep(request, file.file, kind="picture", limit=_PICTURE)
        else:
            assert given is not None
            raw = self._fetched(given.image_url, given.file_id)
            name = self.keep(request, io.BytesIO(raw), kind="picture", limit=_PICTURE)
        source = measure(self.storage.upload(name), param="input_reference")
        if source.width * source.height > _MOST_PIXELS:
            came = f"the picture has {source.width}x{source.height} pixels"
            raise invalid(message(came, "it may have 8192x8192"), param="input_reference")
        return source

    def _cast(self, request: Incoming, fields: CreateBody) -> tuple[Member, ...]:
        """The characters that a request names by their ids; each is the owner's."""
        found = []
        for named in fields.characters or ():
            row = characters.find(self.jobs.database, named.id, request.owner)
            if row is None:
                raise missing("character", named.id, param="characters")
            try:
                file = self.storage.again(row["file"])
            except FileNotFoundError:
                raise missing("character", named.id, param="characters") from None
            request.kept.append(file)
            found.append(Member(name=row["name"], about=row["about"] or "", file=file))
        return tuple(found)

    def _fetched(self, url: str | None, file_id: str | None) -> bytes:
        param = "input_reference"
        if url is None:  # there is no files API here
            raise missing("file", file_id or "", param=param)
        if url.startswith("data:"):
            head, comma, text = url.partition(",")
            try:
                if not comma or not head.endswith(";base64") or len(text) > _PICTURE * 4 // 3 + 8:
                    raise ValueError
                return base64.b64decode(text, validate=True)
            except (ValueError, binascii.Error) as error:
                came = "the data: URL cannot be read"
                needed = f"it must be data:image/…;base64,… of at most {_PICTURE:,} bytes"
                raise invalid(message(came, needed), param=param) from error
        if not self.settings.remote:
            told = message("remote addresses are not fetched here", "send the file or a data: URL")
            raise invalid(told, param=param, code="remote_url_not_allowed")
        try:
            return remote.get(url, limit=_PICTURE)
        except (remote.RefusedError, OSError) as error:
            told = (
                str(error) if isinstance(error, remote.RefusedError) else f"{shown(url)} is silent."
            )
            raise invalid(told, param=param, code="remote_url_failed") from error

    def _clip(
        self, request: Incoming, named: Named | None, model: str | None
    ) -> tuple[Source, str]:
        """The video that an edit or an extension starts from, and the model to be named."""
        file = request.body.files.get("video")
        if (file is None) == (named is None):
            came = "no video is given" if file is None else "two videos are given"
            told = message(came, "give a file or an id as `video`")
            raise invalid(told, param="video", code="missing_required_parameter")
        if named is not None:
            source, own = self.own(request, named.id, param="video")
            return source, model or own
        assert file is not None
        name = self.keep(request, file.file, kind="video", limit=self.settings.upload)
        return measure(self.storage.upload(name), param="video"), model or "sora-2"

    def own(self, request: Incoming, name: str, *, param: str) -> tuple[Source, str]:
        """One of the owner's finished videos as a source, and its model."""
        job = self.jobs.get(name, request.owner)
        if job is None:
            raise missing("video", name, param=param)
        if job.status != "completed" or job.result is None:
            raise not_whole(name, job.status, param=param)
        try:
            file = self.storage.borrow(job.result)
        except FileNotFoundError:
            raise missing("video", name, param=param) from None
        request.kept.append(file)
        width, height = (int(side) for side in job.size.split("x"))
        source = Source(file=file, width=width, height=height, seconds=float(job.seconds))
        return source, job.model


def _job(request: Incoming, order: Order, model: str, source: str | None) -> Job:
    return Job(
        id=fresh_id("video"),
        owner=request.owner,
        created=time.time(),
        model=model,
        engine=order.engine,
        task=order.task,
        prompt=request.body.values["prompt"],
        order=order.to_json(),
        seconds=f"{round(order.total, 2):g}",
        size=order.size,
        digest=request.digest,
        remixed_from=source,
        priority=_priority(request.body.values.get("priority")),
        idempotency=request.idempotency,
    )


def _priority(value: Any) -> int:
    return 1 if value in (1, "1") else 0


def check_key(value: str | None) -> str | None:
    """An Idempotency-Key; raises `ApiError` for one that is no key."""
    if value is not None and not 0 < len(value) <= 255:
        told = message("the Idempotency-Key is too long", "it may have 255 characters")
        raise ApiError(400, told, code="invalid_idempotency_key")
    return value
