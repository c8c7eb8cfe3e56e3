"""The rows of characters."""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, select

from worldreel.server.database import Database
from worldreel.server.database import characters as table

__all__ = ["find"]


def find(database: Database, name: str, owner: str) -> Any:
    """The owner's character of this id, or None."""
    mine = and_(table.c.id == name, table.c.owner == owner)
    with database.read() as at:
        return at.execute(select(table).where(mine)).mappings().first()
