"""The tables, and one way to read and to write them on SQLite and on PostgreSQL.

SQLite needs no service: a write-ahead log, every commit synced to the disk (`synchronous=FULL`),
and writers that take their lock at the start (`BEGIN IMMEDIATE`), so that none of them meets a
conflict half-way. PostgreSQL serves many machines by the same statements.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Engine,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    event,
    inspect,
    text,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from worldreel.errors import RequestError, message, shown

__all__ = [
    "Database",
    "characters",
    "deliveries",
    "endpoints",
    "keys",
    "previews",
    "videos",
    "workers",
]

_TABLES = MetaData()

videos = Table(
    "videos",
    _TABLES,
    Column("id", String(80), primary_key=True),
    Column("owner", String(80), nullable=False),
    Column("created", Float, nullable=False),
    Column("model", String(200), nullable=False),
    Column("engine", String(400), nullable=False),
    Column("task", String(20), nullable=False),
    Column("prompt", Text, nullable=False),
    Column("order", Text, nullable=False),
    Column("seconds", String(20), nullable=False),
    Column("size", String(20), nullable=False),
    Column("remixed_from", String(80)),
    Column("status", String(20), nullable=False),
    Column("progress", Integer, nullable=False, default=0),
    Column("step", Integer),
    Column("steps", Integer),
    Column("eta", Float),
    Column("started", Float),
    Column("completed", Float),
    Column("expires", Float),
    Column("error_code", String(80)),
    Column("error_message", Text),
    Column("result", String(200)),
    Column("notes", Text, nullable=False, default="[]"),
    Column("priority", Integer, nullable=False, default=0),
    Column("worker", String(80)),
    Column("lease", Float),
    Column("attempt", Integer, nullable=False, default=0),
    Column("crashes", Integer, nullable=False, default=0),
    Column("cancelled", Boolean, nullable=False, default=False),
    Column("idempotency", String(300)),
    Column("digest", String(64), nullable=False),
    UniqueConstraint("owner", "idempotency"),
    Index("videos_by_owner", "owner", "id"),
    Index("videos_by_status", "status", "priority", "id"),
)

characters = Table(
    "characters",
    _TABLES,
    Column("id", String(80), primary_key=True),
    Column("owner", String(80), nullable=False),
    Column("created", Float, nullable=False),
    Column("name", String(80), nullable=False),
    Column("file", String(200), nullable=False),
    Column("about", Text),
)

workers = Table(
    "workers",
    _TABLES,
    Column("id", String(80), primary_key=True),
    Column("beat", Float, nullable=False),
    Column("models", Text, nullable=False),
    Column("loaded", String(400)),
    Column("killed", Integer, nullable=False, default=0),
)

keys = Table(
    "keys",
    _TABLES,
    Column("id", String(80), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
    Column("created", Float, nullable=False),
)

endpoints = Table(
    "webhook_endpoints",
    _TABLES,
    Column("id", String(80), primary_key=True),
    Column("owner", String(80), nullable=False),
    Column("name", String(200)),
    Column("url", Text, nullable=False),
    Column("events", Text, nullable=False),
    Column("secret", String(200), nullable=False),
    Column("created", Float, nullable=False),
    Column("updated", Float),
    Column("old_secret", String(200)),
    Column("old_until", Float),
)

deliveries = Table(
    "deliveries",
    _TABLES,
    Column("id", String(80), primary_key=True),
    Column("endpoint", String(80), nullable=False),
    Column("body", Text, nullable=False),
    Column("created", Float, nullable=False),
    Column("due", Float, nullable=False),
    Column("tries", Integer, nullable=False, default=0),
    Index("deliveries_by_due", "due"),
)


previews = Table(
    "previews",
    _TABLES,
    Column("video", String(80), primary_key=True),
    Column("step", Integer, nullable=False),
    Column("picture", LargeBinary, nullable=False),
)


class Database:
    """Connections to the one place where the truth is."""

    def __init__(self, url: str) -> None:
        """`url` as SQLAlchemy has it; raises `RequestError` if it is none, or nobody is there."""
        try:
            address = make_url(url)
            if address.drivername in ("postgresql", "postgres"):
                address = address.set(drivername="postgresql+pg8000")
            self.lite = address.get_backend_name() == "sqlite"
            self._line = threading.RLock()
            more: dict[str, Any] = {"connect_args": {"timeout": 30}} if self.lite else {}
            self.engine: Engine = create_engine(
                address, pool_size=16, max_overflow=16, pool_pre_ping=not self.lite, **more
            )
            if self.lite:
                event.listen(self.engine, "connect", _prepare)
                event.listen(self.engine, "begin", _begin)
            _TABLES.create_all(self.engine)
            _grow(self.engine)
        except (ArgumentError, ImportError, DBAPIError) as error:
            reason = shown(str(error).splitlines()[0], limit=120)
            came = f"the database {shown(url.split('@')[-1], limit=80)} cannot be used ({reason})"
            raise RequestError(
                message(came, "give sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME")
            ) from error

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction; committed, and on the disk, when the block ends well."""
        # SQLite lets one write at a time, and who waits for it sleeps and tries again: threads of
        # one process had better stand in a line.
        with self._line if self.lite else nullcontext(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for looking: waits for no writer, and nobody waits for it."""
        with self.engine.connect().execution_options(reading=True) as connection:
            yield connection

    def close(self) -> None:
        """Lets go of all connections."""
        self.engine.dispose()


def _grow(engine: Engine) -> None:
    """Adds the columns that a database of an earlier version lacks: all of them may be null."""
    there = inspect(engine)
    for table in _TABLES.sorted_tables:
        known = {column["name"] for column in there.get_columns(table.name)}
        for column in table.columns:
            if column.name in known:
                continue
            kind = column.type.compile(engine.dialect)
            with suppress(DBAPIError), engine.begin() as at:  # another process may be quicker
                at.execute(text(f'ALTER TABLE {table.name} ADD COLUMN "{column.name}" {kind}'))


def _prepare(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None  # transactions begin where we say so, not where it guesses
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _begin(connection: Connection) -> None:
    reading = connection.get_execution_options().get("reading")
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
