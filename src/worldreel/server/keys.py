"""API keys: told once, kept only as SHA-256, compared in constant time.

A key is 32 random bytes, which no table of hashes will ever hold; a slow hash would only slow us.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time

from sqlalchemy import delete, insert, select

from worldreel.server.database import Database, keys

__all__ = ["LOCAL", "Keys"]

LOCAL = "local"
"""The owner of everything on a server without keys."""
_FRESH = 2.0


class Keys:
    """The keys of a server."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._known: list[tuple[str, bytes]] = []
        self._read = 0.0

    def add(self, name: str) -> str:
        """A new key for somebody, told here and never again."""
        key = f"wr-{secrets.token_urlsafe(32)}"
        row = {"id": f"key_{secrets.token_hex(8)}", "name": name, "created": time.time()}
        with self.database.write() as at:
            at.execute(insert(keys).values(**row, hash=_hash(key)))
        return key

    def names(self) -> list[tuple[str, str]]:
        """(id, name) of every key."""
        with self.database.read() as at:
            rows = at.execute(select(keys.c.id, keys.c.name).order_by(keys.c.created)).all()
        return [(row[0], row[1]) for row in rows]

    def remove(self, name: str) -> bool:
        """Takes a key away by its id; what it made stays."""
        with self.database.write() as at:
            return bool(at.execute(delete(keys).where(keys.c.id == name)).rowcount)

    def owner(self, key: str) -> str | None:
        """The id of a key, or None for one that is not ours."""
        if time.monotonic() - self._read > _FRESH:
            with self.database.read() as at:
                rows = at.execute(select(keys.c.id, keys.c.hash)).all()
            self._known = [(row[0], bytes(row[1])) for row in rows]
            self._read = time.monotonic()
        given, found = _hash(key), None
        for name, known in self._known:  # all of them, so that time tells nothing
            if hmac.compare_digest(given, known):
                found = name
        return found


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
