"""What the studio remembers beside the jobs: marks, parents, reports, refusals.

Rows of videos that are gone stay until the next look; nothing here is needed to make a video.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, Index, String, Table, Text

from worldreel.server.database import videos

__all__ = ["marks", "parents", "refusals", "reports"]

_TABLES = videos.metadata

marks = Table(
    "studio_marks",
    _TABLES,
    Column("video", String(80), primary_key=True),
    Column("owner", String(80), nullable=False),
    Column("favourite", Boolean, nullable=False, default=False),
    Column("folder", String(80), nullable=False, default=""),
    Index("studio_marks_by_owner", "owner"),
)

parents = Table(
    "studio_parents",
    _TABLES,
    Column("video", String(80), primary_key=True),
    Column("parent", String(80), primary_key=True),
    Index("studio_parents_by_parent", "parent"),
)

reports = Table(
    "studio_reports",
    _TABLES,
    Column("id", String(80), primary_key=True),
    Column("owner", String(80), nullable=False),
    Column("video", String(80), nullable=False),
    Column("prompt", Text, nullable=False),
    Column("reason", String(40), nullable=False),
    Column("note", Text, nullable=False),
    Column("created", Float, nullable=False),
    Column("verdict", String(20), nullable=False, default="open"),
)

refusals = Table(
    "studio_refusals",
    _TABLES,
    Column("id", String(80), primary_key=True),
    Column("owner", String(80), nullable=False),
    Column("prompt", Text, nullable=False),
    Column("category", String(40), nullable=False),
    Column("words", Text, nullable=False),
    Column("created", Float, nullable=False),
    Column("verdict", String(20), nullable=False, default="open"),
)
