"""What a person settles about provenance, and where this machine keeps its keys.

`provenance.yaml` in the local store holds the settings, every entry optional:

    prompt: true                      # prompts and file names may go into manifests
    training: allowed                 # may others learn from the videos? (default: notAllowed)
    certificates: /etc/me/chain.pem   # sign with these instead of this machine's own
    key: /etc/me/private.pem
    anchors: [/etc/me/root.pem]       # whom to trust, beside this machine
    timestamp: http://…               # a time-stamping authority (RFC 3161); none by default
    timestamp_seconds: 5              # how long it may take; then the video goes without
"""

from __future__ import annotations

import difflib
import math
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from worldreel.errors import RequestError, message, shown

__all__ = ["Settings", "folder", "home"]

_MAX_YAML = 100_000
_USES = ("allowed", "notAllowed")
_LONGEST_STAMP = 60.0


def home() -> Path:
    """The local store: `WORLDREEL_HOME`, or the place where the system keeps programs' data."""
    given = os.environ.get("WORLDREEL_HOME")
    if given:
        return Path(given)
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "worldreel"


def folder() -> Path:
    """Where the keys and certificates of this machine are."""
    return home() / "provenance"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What goes into manifests and who signs them; the module says what each entry means.

    `off` names the safety parts that were turned off for this video ("prompt policy", "frame
    review", "watermark"): the manifest says so. Raises `RequestError` if an entry cannot be used.
    """

    prompt: bool = False
    training: str = "notAllowed"
    certificates: str = ""
    key: str = ""
    anchors: tuple[str, ...] = ()
    timestamp: str = ""
    timestamp_seconds: float = 5.0
    off: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.training not in _USES:
            came = f"training is {shown(self.training)}"
            nearest = next(iter(difflib.get_close_matches(self.training, _USES, 1, 0)), None)
            raise RequestError(message(came, "it must be allowed or notAllowed", nearest=nearest))
        if bool(self.certificates) != bool(self.key):
            came = "of certificates and key one is given"
            raise RequestError(message(came, "both are needed to sign with your own"))
        if self.timestamp and not self.timestamp.startswith(("http://", "https://")):
            came = f"the time-stamping authority is {shown(self.timestamp)}"
            raise RequestError(message(came, "its address must begin with http:// or https://"))
        # Not even infinity may wait: a video must not depend on a server of others.
        if not 0 < self.timestamp_seconds <= _LONGEST_STAMP:
            came = f"timestamp_seconds is {self.timestamp_seconds:g}"
            near = 5 if math.isnan(self.timestamp_seconds) or self.timestamp_seconds <= 0 else 60
            needed = f"it must be above 0 and at most {_LONGEST_STAMP:g}"
            raise RequestError(message(came, needed, nearest=near))

    @classmethod
    def load(cls, path: str | Path | None = None) -> Settings:
        """The settings in `path`, or those of the local store; the defaults if there are none.

        Raises `RequestError` if the file says something that cannot be understood.
        """
        file = home() / "provenance.yaml" if path is None else Path(path)
        if path is None and not file.is_file():
            return cls()
        return cls(**{name: _checked(name, value) for name, value in _entries(file).items()})


def _entries(file: Path) -> dict[str, Any]:
    """What the YAML in `file` says, its entries' names checked."""
    import yaml

    name = shown(file.name)
    try:
        with file.open("rb") as stream:
            text = stream.read(_MAX_YAML + 1).decode()
        values = yaml.safe_load(text) if len(text) <= _MAX_YAML else None
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise RequestError(message(f"{name} cannot be read", "it must be a YAML file")) from error
    if values is None and len(text) <= _MAX_YAML:
        return {}
    if not isinstance(values, dict):
        raise RequestError(message(f"{name} is no list of settings", "write lines: NAME: VALUE"))
    known = [entry.name for entry in fields(Settings) if entry.name != "off"]
    for entry in values:
        if entry not in known:
            near = next(iter(difflib.get_close_matches(str(entry), known, 1)), None)
            came = f"{name} has an entry {shown(str(entry))}"
            raise RequestError(message(came, f"known are {', '.join(known)}", nearest=near))
    return values


def _checked(name: str, value: Any) -> Any:
    """`value` if it is of the kind that the setting `name` needs."""
    kind = type(getattr(Settings(), name))
    if kind is tuple and isinstance(value, list) and all(isinstance(v, str) for v in value):
        return tuple(value)
    number = kind is float and isinstance(value, int | float) and not isinstance(value, bool)
    if number or (kind is not tuple and type(value) is kind):
        return kind(value)
    needed = {bool: "true or false", str: "a text", float: "a number", tuple: "a list of files"}
    raise RequestError(message(f"{name} is {shown(value)}", f"it must be {needed[kind]}"))
