"""Bodies as values: JSON, or multipart forms with the SDKs' bracket keys.

    video[id]=v                  {"video": {"id": "v"}}
    loras[]=a, loras[]=b         {"loras": ["a", "b"]}     (or loras=a, loras=b)
    a[][x]=1, a[][x]=2, a[][y]=3 {"a": [{"x": "1", "y": "3"}, {"x": "2"}]}   (column by column)

A field of text that begins with { or [ may be JSON, as other clients send nested values. Bytes are
counted while they come in; files go to the disk, never to memory.
"""

from __future__ import annotations

import asyncio
import io
import json
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.types import Message, Receive

from worldreel.errors import message, shown
from worldreel.server.errors import ApiError, invalid, too_large

__all__ = ["Body", "nested", "read"]

_MERGED = ("extra_body", "extra_params")
_WORDS = ("prompt", "negative_prompt", "name", "model", "size", "seconds")
_FILES = {"video", "input_reference"}
_LISTS = {"loras", "characters", "event_types"}
_TEXTS = ("prompt", "negative_prompt", "name", "model")
"""Fields in which "null" is a word; in all others some clients write it for nothing."""
_DEEPEST = 4
_LITTLE = 2**18
_PATIENCE = 60.0


@dataclass(frozen=True, kw_only=True)
class Body:
    """`values` by name, `files` by name; `strict` if it came as JSON, whose types count."""

    values: dict[str, Any]
    files: dict[str, UploadFile]
    strict: bool


@asynccontextmanager
async def read(request: Request, *, body: int, upload: int) -> AsyncIterator[Body]:
    """The body of a request; its files live as long as the context.

    `body` are the bytes that JSON may have, `upload` those of a form. Raises `ApiError`.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    form = kind in ("multipart/form-data", "application/x-www-form-urlencoded")
    limit = upload if form else body
    bounded = Request(request.scope, _bounded(request, limit))
    if form:
        try:
            parsed = await bounded.form(max_files=8, max_fields=500, max_part_size=body)
        except (MultiPartException, HTTPException, ValueError) as error:
            told = str(getattr(error, "detail", None) or getattr(error, "message", "") or error)
            raise invalid(message("the form cannot be read", shown(told, limit=200))) from error
        try:
            yield _from_form(parsed.multi_items())
        finally:
            await parsed.close()
        return
    if kind not in ("application/json", ""):
        came = f"the content type is {shown(kind)}"
        needed = "send application/json or multipart/form-data"
        raise ApiError(415, message(came, needed), code="unsupported_content_type")
    raw = await bounded.body()
    values = _loaded(raw) if len(raw) < _LITTLE else await run_in_threadpool(_loaded, raw)
    yield Body(values=_merged(values), files={}, strict=True)


def _bounded(request: Request, limit: int) -> Receive:
    told = message("the body is too large", f"it may have {limit:,} bytes")
    length = request.headers.get("content-length", "")
    if length.isdecimal() and len(length) < 20 and int(length) > limit:
        raise too_large(told)
    seen = 0

    async def receive() -> Message:
        nonlocal seen
        try:
            part = await asyncio.wait_for(request.receive(), _PATIENCE)
        except TimeoutError:
            late = message("the body stopped coming", "send it again")
            raise ApiError(408, late, code="request_timeout") from None
        seen += len(part.get("body", b""))
        if seen > limit:
            raise too_large(told)
        return part

    return receive


def _loaded(raw: bytes) -> dict[str, Any]:
    def refuse(name: str) -> Any:
        raise ValueError(name)

    try:
        values = json.loads(raw.decode("utf-8"), parse_constant=refuse)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise invalid(message("the body cannot be read", "send a JSON object in UTF-8"))
    return values


def _from_form(items: Iterable[tuple[str, str | UploadFile]]) -> Body:
    fields: list[tuple[str, str]] = []
    files: dict[str, UploadFile] = {}
    for name, value in items:
        if name in _FILES and isinstance(value, str):
            value = _file(value)
        if isinstance(value, str):
            fields.append((name, value))
        elif name in files:
            raise invalid(message(f"{shown(name)} was sent twice", "send one file"), param=name)
        elif value.filename or value.size:  # a browser's empty file field is no file
            files[name] = value
    values = {
        name: value if name in _WORDS else _inner(value)
        for name, value in nested(fields).items()
        if value != "null" or name in _TEXTS
    }
    for name in _LISTS & values.keys():  # what was sent once may be a list of one
        some = values[name] if isinstance(values[name], list) else [values[name]]
        values[name] = [_inner(value) for value in some]
    return Body(values=_merged(values), files=files, strict=False)


def _file(text: str) -> UploadFile | str:
    """A file that was sent without a name, and so was taken for text: its bytes again."""
    if text in ("", "null") or text.lstrip().startswith(("{", "[", "http", "data:")):
        return text
    try:
        raw = text.encode("latin-1")  # what is no UTF-8 was read as this
        raw.decode()
        raw = text.encode()
    except UnicodeEncodeError:
        raw = text.encode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        pass
    return UploadFile(io.BytesIO(raw), size=len(raw))


def nested(fields: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Bracket keys as nested values; raises `ApiError` for keys that contradict each other."""
    tree: dict[str, Any] = {}
    for name, value in fields:
        match = re.fullmatch(r"([^\[\]]+)((?:\[[^\[\]]*\])*)", name)
        keys = [] if match is None else [match[1], *re.findall(r"\[([^\[\]]*)\]", match[2])]
        keys = keys or [name]  # no field that anybody here knows: it is told as ignored
        if len(keys) > _DEEPEST:
            came = f"the field {shown(name)} cannot be read"
            raise invalid(message(came, "write name, name[key] or name[]"))
        node = tree
        for key in keys[:-1]:
            inner = node.setdefault(key, {})
            if not isinstance(inner, dict):
                raise _twice(keys[0])
            node = inner
        if not isinstance(node.setdefault(keys[-1], []), list):
            raise _twice(keys[0])
        node[keys[-1]].append(value)
    return {name: _value(name, node) for name, node in tree.items()}


def _value(name: str, node: dict[str, Any] | list[str]) -> Any:
    """A leaf is the texts sent under one key; "" stands for the positions of a list."""
    if isinstance(node, list):
        return node[0] if len(node) == 1 else list(node)
    if "" not in node:
        return {key: _value(name, inner) for key, inner in node.items()}
    if len(node) > 1:
        raise _twice(name)
    inner = node[""]
    if isinstance(inner, list):
        return list(inner)
    columns = {key: inner[key] for key in inner}
    if not all(isinstance(column, list) for column in columns.values()):
        raise invalid(message(f"{shown(name)} is nested too deep", "send JSON"), param=name)
    longest = max(len(column) for column in columns.values())
    rows = range(longest)
    return [{key: col[i] for key, col in columns.items() if i < len(col)} for i in rows]


def _twice(name: str) -> ApiError:
    came = f"the field {shown(name)} was sent more than once"
    return invalid(message(came, "send one value, or name[] for a list"), param=name)


def _inner(value: Any) -> Any:
    """A text that is JSON, as what it says."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _merged(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values, with those that hand-written clients put into `extra_body` beside them."""
    merged = {name: value for name, value in values.items() if name not in _MERGED}
    for name in _MERGED:
        extra = _inner(values.get(name))
        if isinstance(extra, dict):
            merged = {**extra, **merged}
    return merged
