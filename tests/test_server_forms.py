"""Bracket keys, signatures and addresses, against what the SDKs send and know."""

from __future__ import annotations

import json
import socket
import time

import pytest

pytest.importorskip("fastapi")

from worldreel.server import remote
from worldreel.server.errors import ApiError
from worldreel.server.forms import nested
from worldreel.server.settings import Settings
from worldreel.server.webhooks import fresh_secret, sign

SENT = [
    ({"nested": {"b": "true"}}, [("nested[b]", "true")]),
    ({"a": ["x", "y"]}, [("a[]", "x"), ("a[]", "y")]),
    ({"n": {"a": ["1", "2"]}}, [("n[a][]", "1"), ("n[a][]", "2")]),
    (
        {"l": [{"path": "p", "scale": "0.5"}, {"path": "q", "scale": "1"}]},
        [("l[][path]", "p"), ("l[][path]", "q"), ("l[][scale]", "0.5"), ("l[][scale]", "1")],
    ),
    (
        {"a": [{"x": "1", "y": "3"}, {"x": "2"}]},
        [("a[][x]", "1"), ("a[][x]", "2"), ("a[][y]", "3")],
    ),
    ({"seconds": "8", "é": ""}, [("seconds", "8"), ("é", "")]),
    (
        {"a": ["1", "2"], "[a]": "3", "a]b[": "4"},
        [("a", "1"), ("a", "2"), ("[a]", "3"), ("a]b[", "4")],
    ),
]


@pytest.mark.parametrize(("values", "fields"), SENT)
def test_bracket_keys(values: object, fields: list[tuple[str, str]]) -> None:
    assert nested(fields) == values


def test_the_sdk_writes_what_we_read() -> None:
    querystring = pytest.importorskip("openai._qs").Querystring(array_format="brackets")
    for values, fields in SENT[:3]:
        assert querystring.stringify_items(values) == fields


@pytest.mark.parametrize(
    "fields",
    [
        [("a", "1"), ("a[b]", "2")],
        [("a[b]", "2"), ("a", "1")],
        [("a[]", "1"), ("a[b]", "2")],
        [("a[b][c][d][e]", "1")],
        [("a[][b][]", "1")],
    ],
)
def test_contradictions_are_refused(fields: list[tuple[str, str]]) -> None:
    with pytest.raises(ApiError):
        nested(fields)


def test_the_sdk_trusts_our_signatures() -> None:
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(api_key="any", base_url="http://127.0.0.1:1/v1")
    now = int(time.time())
    told = {"id": "evt_1", "object": "event", "created_at": now, "type": "video.completed"}
    body = json.dumps(told | {"data": {"id": "video_1"}})
    for secret in (fresh_secret(), "a plain secret"):
        headers = {"webhook-id": "evt_1", "webhook-timestamp": str(now)}
        headers["webhook-signature"] = sign(secret, "evt_1", now, body)
        event = client.webhooks.unwrap(body, headers, secret=secret)
        assert (event.type, event.data.id) == ("video.completed", "video_1")
        with pytest.raises(openai.InvalidWebhookSignatureError):
            client.webhooks.unwrap(body + " ", headers, secret=secret)
    client.close()


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "0.0.0.0", "fd00::1"],
)
def test_private_addresses_are_not_talked_to(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def found(*_: object, **__: object) -> object:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80))]

    def connect(*_: object, **__: object) -> None:
        raise AssertionError("it connected")

    monkeypatch.setattr(socket, "getaddrinfo", found)
    monkeypatch.setattr(socket, "create_connection", connect)
    for url in ("http://evil.example/x", "https://evil.example/"):
        with pytest.raises(remote.RefusedError):
            remote.get(url, limit=10)
    for url in ("file:///etc/passwd", "http://a:b@c/", "http://c:22/", "http://c:x/", "http:///"):
        with pytest.raises(remote.RefusedError):
            remote.get(url, limit=10)


def test_names_of_models(tmp_path: object) -> None:
    from pathlib import Path

    settings = Settings(
        folder=Path("x"), models=("small", "large"), aliases={"sora-2-pro": "large"}
    )
    told = {
        "small": ("small", "small"),
        "sora-2": ("small", "sora-2"),
        "sora-2-2025-10-06": ("small", "sora-2-2025-10-06"),
        "sora-2-pro-2025-10-06": ("large", "sora-2-pro-2025-10-06"),
        "nobody-knows": ("small", "small"),
        "": ("small", "small"),
    }
    assert {name: (settings.engine(name), settings.named(name)) for name in told} == told
    assert Settings.from_json(settings.to_json()) == settings
