"""`worldreel serve` and `worldreel keys`: options into settings, and missing packages told."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from worldreel.errors import RequestError, message, shown
from worldreel.shapes import parse_size

__all__ = ["keys", "serve"]


def serve(arguments: argparse.Namespace) -> None:
    """Serve the API until told to stop."""
    _needed()
    from worldreel.server.serving import serve as run
    from worldreel.server.settings import Settings

    _check(arguments)
    models = tuple(dict.fromkeys(arguments.model or ["embedded"]))
    settings = Settings(
        folder=_folder(arguments),
        database=arguments.database or "",
        storage=arguments.storage or "",
        host=arguments.host,
        port=arguments.port,
        workers=arguments.workers,
        models=models,
        aliases=dict(_alias(text, models) for text in arguments.alias),
        keys=arguments.keys,
        size="{}x{}".format(*parse_size(arguments.size)),
        queue=arguments.queue,
        drain=arguments.drain,
        keep=None if arguments.keep is None else arguments.keep * 86_400,
        remote=arguments.remote,
        previews=arguments.previews,
        loras=arguments.loras or "",
        **_hidden(),
    )
    run(settings)


def keys(arguments: argparse.Namespace) -> None:
    """Make, list and remove API keys."""
    _needed()
    from worldreel.server.database import Database
    from worldreel.server.keys import Keys
    from worldreel.server.settings import Settings

    folder = _folder(arguments)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings = Settings(folder=folder, database=arguments.database or "")
    known = Keys(Database(settings.url))
    if arguments.action == "add":
        key = known.add(arguments.name or "unnamed")
        print(json.dumps({"key": key}) if arguments.json else key)
    elif arguments.action == "remove":
        if not known.remove(arguments.name or ""):
            came = f"there is no key {shown(arguments.name or '')}"
            raise RequestError(message(came, "`worldreel keys list` tells their ids"))
    else:
        names = known.names()
        told = [{"id": name, "name": person} for name, person in names]
        lines = [f"{name}  {person}" for name, person in names]
        print(json.dumps(told) if arguments.json else "\n".join(lines or ["no keys yet"]))


def _needed() -> None:
    try:
        import fastapi
        import prometheus_client
        import python_multipart
        import sqlalchemy
        import uvicorn  # noqa: F401  # that they are there is all we want to know
    except ImportError as error:
        came = f"the server needs {error.name}, which is not installed"
        raise RequestError(message(came, "pip install 'worldreel[serve]'")) from error
    del fastapi, prometheus_client, python_multipart, sqlalchemy


def _check(arguments: argparse.Namespace) -> None:
    limits = {"port": (0, 65_535), "workers": (0, 256), "queue": (1, 100_000), "drain": (0, 3600)}
    for name, (low, high) in limits.items():
        value = getattr(arguments, name)
        if not low <= value <= high:
            nearest = min(max(value, low), high)
            came = f"--{name} is {value}"
            raise RequestError(message(came, f"it must be {low} to {high}", nearest=nearest))
    if arguments.keep is not None and not 0 < arguments.keep < 36_500:
        raise RequestError(message(f"--keep is {arguments.keep:g}", "give days, such as 30"))


def _folder(arguments: argparse.Namespace) -> Path:
    if arguments.folder:
        return Path(arguments.folder).absolute()
    home = os.environ.get("WORLDREEL_HOME")
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return (Path(home) if home else Path(data) / "worldreel").absolute() / "server"


def _alias(text: str, models: tuple[str, ...]) -> tuple[str, str]:
    name, equals, model = text.partition("=")
    if not equals or not name or model not in models:
        came = f"the alias is {shown(text)}"
        raise RequestError(message(came, "write NAME=MODEL with a --model that is served"))
    return name, model


def _hidden() -> dict[str, Any]:
    """What only tests set: another maker, a shorter lease."""
    given = os.environ.get("WORLDREEL_SERVER")
    values: dict[str, Any] = json.loads(given) if given else {}
    return values
