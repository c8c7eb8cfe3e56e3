"""The API's documentation as a page of its own at /docs, made from the OpenAPI document: no script
from elsewhere, so that it works without a network.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from typing import Any

__all__ = ["page"]

_STYLE = """
:root{color-scheme:light dark;--line:#8884;--dim:#888;--soft:#8881}
body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:0 auto;padding:2rem 1rem}
h1{font-size:1.6rem}h2{font-size:1.05rem;margin:0}code,pre{font:14px/1.45 ui-monospace,monospace}
details{border:1px solid var(--line);border-radius:8px;margin:.6rem 0;padding:.6rem .9rem}
summary{cursor:pointer}summary code{font-weight:600}summary span{color:var(--dim)}
table{border-collapse:collapse;width:100%;margin:.5rem 0}
td,th{text-align:left;vertical-align:top;padding:.25rem .6rem .25rem 0}
td,th{border-top:1px solid var(--line)}
pre{overflow:auto;background:var(--soft);padding:.7rem;border-radius:6px}
@media(max-width:40rem){td,th{display:block;border:0;padding:0}tr{display:block;padding:.4rem 0}}
"""


def page(document: dict[str, Any]) -> str:
    """The page, as HTML."""
    told = document["info"]
    parts = [
        f"<title>{escape(told['title'])} API</title><style>{_STYLE}</style>",
        f"<h1>{escape(told['title'])} {escape(told['version'])}</h1>",
        f"<p>{escape(told.get('description', ''))} Every POST takes JSON or a form. "
        'The same as a document: <a href="/openapi.json">openapi.json</a>.</p>',
    ]
    for path, ways in document["paths"].items():
        for method, way in ways.items():
            parts += _operation(document, path, method.upper(), way)
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    return f'<!doctype html><html lang="en">{head}{"".join(parts)}</html>'


def _operation(
    document: dict[str, Any], path: str, method: str, way: dict[str, Any]
) -> Iterator[str]:
    told = escape(way.get("description") or way.get("summary") or "")
    yield f"<details><summary><code>{method} {escape(path)}</code> <span>{told}</span></summary>"
    rows = [
        (one["name"], one["in"], one.get("required", False), one.get("schema", {}))
        for one in way.get("parameters", ())
    ]
    content = way.get("requestBody", {}).get("content", {})
    if content:
        forms = content.get("multipart/form-data") or next(iter(content.values()))
        shape = forms["schema"]
        needed = shape.get("required", ())
        rows += [(n, "body", n in needed, s) for n, s in shape.get("properties", {}).items()]
    if rows:
        yield "<table><tr><th>Name<th>In<th>What it is"
        for name, where, required, kind in rows:
            star = " (required)" if required else ""
            what = escape(_kind(document, kind))
            yield f"<tr><td><code>{escape(name)}</code>{star}<td>{where}<td>{what}"
        yield "</table>"
    if content:
        yield f"<p>As {escape(' or '.join(content))}.</p>"
    statuses = (f"{escape(s)} {escape(r['description'])}" for s, r in way["responses"].items())
    yield f"<p>Answers: {'; '.join(statuses)}.</p>"
    yield f"<pre>{escape(_example(path, method, bool(content), rows))}</pre></details>"


def _kind(document: dict[str, Any], shape: dict[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in shape:
        shape = document["components"]["schemas"][shape["$ref"].rpartition("/")[2]]
    if "anyOf" in shape:
        kinds = [_kind(document, one) for one in shape["anyOf"] if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in shape or "const" in shape:
        return " | ".join(map(str, shape.get("enum", [shape.get("const")])))
    kind = str(shape.get("type", "anything"))
    if shape.get("format") == "binary":
        return "a file"
    if kind == "array":
        return f"a list of {_kind(document, shape.get('items', {}))}"
    if kind == "object" and shape.get("properties"):
        return "{" + ", ".join(shape["properties"]) + "}"
    low, high = shape.get("minimum"), shape.get("maximum")
    if low is not None or high is not None:
        kind += f" {'' if low is None else f'{low:g}'} to {'' if high is None else f'{high:g}'}"
    if shape.get("default") is not None:
        kind += f" (default {shape['default']})"
    return kind


_EXAMPLES = {"prompt": "a red ball bounces", "seconds": "4", "name": "Mossy"}


def _example(path: str, method: str, body: bool, rows: list[Any]) -> str:
    told = f"curl -X {method} http://127.0.0.1:8000{path}"
    if not body:
        return told if method != "GET" else told.replace("-X GET ", "")
    given = {name: _EXAMPLES.get(name, "…") for name, where, needed, _ in rows
             if where == "body" and needed}  # fmt: skip
    return (
        f"{told} -H 'Content-Type: application/json' -d '{json.dumps(given, ensure_ascii=False)}'"
    )
