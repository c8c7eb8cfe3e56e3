"""What the OpenAPI document says beyond what types can: bodies in two encodings, files, errors."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from worldreel.server import schema

__all__ = [
    "CHARACTER",
    "CONTENT",
    "CREATE",
    "EDIT",
    "ERRORS",
    "EVENTS",
    "EXTEND",
    "REMIX",
    "SYNC",
    "WEBHOOK",
    "WEBHOOK_CHANGE",
    "WEBHOOK_ROTATE",
    "WEBHOOK_TEST",
]

_FILE = {"type": "string", "format": "binary"}
_TOLD = {
    400: "A value that cannot be used",
    401: "The key is missing or wrong",
    403: "Not from there",
    404: "No such thing, or not ready",
    408: "The body stopped coming",
    409: "The video it is to be made of is not completed",
    413: "Too large",
    415: "A body of another kind",
    429: "The queue is full: wait for Retry-After",
    500: "A fault of ours",
    503: "Not now: wait for Retry-After",
}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": schema.ErrorBody, "description": told} for status, told in _TOLD.items()
}
CONTENT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file",
        "content": {kind: {"schema": _FILE} for kind in ("video/mp4", "image/webp", "image/jpeg")},
    },
    206: {"description": "A part of it", "content": {"video/mp4": {"schema": _FILE}}},
}
SYNC: dict[int | str, dict[str, Any]] = {
    409: {"model": schema.ErrorBody, "description": "The video could not be made"},
}
_EVENT = {
    "type": "object",
    "properties": {
        "event": {
            "type": "string",
            "pattern": r"^video\.(progress|preview|completed|failed|deleted)$",
        },
        "data": {"type": "string", "description": "JSON: the Video, or what is gone"},
    },
    "required": ["data"],
}
EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events until the video is finished",
        "content": {"text/event-stream": {"schema": _EVENT}},
    }
}


def _flat(kind: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a body, with its parts in place."""
    whole = kind.model_json_schema()
    parts = whole.pop("$defs", {})

    def put(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                return put(parts[node["$ref"].rpartition("/")[2]])
            return {key: put(value) for key, value in node.items()}
        return [put(item) for item in node] if isinstance(node, list) else node

    flat: dict[str, Any] = put(whole)
    return flat


def _body(
    kind: type[BaseModel], *files: str, required: tuple[str, ...] = (), json: bool = True
) -> dict[str, Any]:
    plain = _flat(kind)
    form = {**plain, "properties": dict(plain["properties"])}
    for name in files:
        given = plain["properties"].get(name)
        form["properties"][name] = _FILE if given is None else {"anyOf": [_FILE, given]}
    for name in required:  # in either encoding, and never null
        for shape in (plain, form):
            shape["required"] = [*shape.get("required", []), name]
            kinds = shape["properties"].get(name, {}).get("anyOf")
            if kinds:
                kinds = [kind for kind in kinds if kind.get("type") != "null"]
                shape["properties"][name] = {"anyOf": kinds}
    if required and json:
        named = plain["properties"][required[0]]
        form["properties"][required[0]] = {"anyOf": [_FILE, named]}
    content = {"multipart/form-data": {"schema": form}}
    if json:
        content["application/json"] = {"schema": plain}
    return {"requestBody": {"required": True, "content": content}}


CREATE = _body(schema.CreateBody, "input_reference")
EDIT = _body(schema.EditBody, "video", required=("video",))
EXTEND = _body(schema.ExtendBody, "video", required=("video",))
REMIX = _body(schema.RemixBody)
CHARACTER = _body(schema.CharacterBody, "video", required=("video",))
WEBHOOK = _body(schema.WebhookBody)
WEBHOOK_CHANGE = _body(schema.WebhookChange)
WEBHOOK_ROTATE = _body(schema.WebhookRotation)
WEBHOOK_TEST = _body(schema.WebhookTest)
