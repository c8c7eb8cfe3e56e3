"""How a server is run: one frozen value, handed to every process as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

__all__ = ["ALIASES", "Settings"]

ALIASES = ("sora-2", "sora-2-pro")
"""Names that the users of the API send; an operator says what they mean, the first model if not."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """`folder` holds uploads, results and, by default, the database; with `storage`, the address of
    a bucket, it is a cache before that.

    `models` are served, the first by default; `aliases` are further names for them. Sizes are in
    bytes, times in seconds. `lease` is how long a silent worker keeps its job; `spare` is disk
    space that new jobs may not touch. `keep` is how long results stay, for ever if None. `maker`
    is "module:factory" of what makes the videos. `loras` is the folder from which requests may
    name files; `remote` allows that references are fetched from public addresses,
    and `previews` that what a video is becoming is shown while it is made.
    """

    folder: Path
    database: str = ""
    storage: str = ""
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    models: tuple[str, ...] = ("embedded",)
    aliases: Mapping[str, str] = field(default_factory=dict)
    keys: bool = False
    size: str = "720x1280"
    queue: int = 100
    upload: int = 512 * 2**20
    body: int = 40 * 2**20
    spare: int = 256 * 2**20
    lease: float = 10.0
    drain: float = 30.0
    keep: float | None = None
    attempts: int = 50
    crashes: int = 3
    remote: bool = False
    previews: bool = False
    loras: str = ""
    maker: str = "worldreel.server.making:GeneratorMaker"

    @property
    def url(self) -> str:
        """The database's address; a file in the folder if none was named."""
        return self.database or f"sqlite:///{self.folder / 'jobs.sqlite3'}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return self.host in ("127.0.0.1", "localhost", "::1")

    def engine(self, name: str) -> str:
        """The model that a name in a request means; the default for a name nobody knows."""
        if name in self.models:
            return name
        if name in self.aliases:
            return self.aliases[name]
        base = max((a for a in self.aliases if name.startswith(f"{a}-2")), key=len, default=None)
        return self.models[0] if base is None else self.aliases[base]

    def named(self, name: str) -> str:
        """What a response calls the model: as asked where that is a name of it."""
        dated = any(name == alias or name.startswith(f"{alias}-2") for alias in self.names)
        return name if dated else self.models[0]

    @property
    def names(self) -> tuple[str, ...]:
        """All names that requests may give: the models', the aliases, the API's own."""
        return tuple(dict.fromkeys((*self.models, *self.aliases, *ALIASES)))

    def to_json(self) -> str:
        """The settings as a worker process is given them."""
        return json.dumps(asdict(self) | {"folder": str(self.folder)})

    @classmethod
    def from_json(cls, text: str) -> Settings:
        """The settings in `to_json`'s text."""
        values: dict[str, Any] = json.loads(text)
        values["models"] = tuple(values["models"])
        return replace(cls(folder=Path(values.pop("folder"))), **values)
