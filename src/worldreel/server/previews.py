"""What is shown of a video while it is being made: one small picture, which the next one replaces.

It has passed the frame review, or is no more than sixteen by sixteen colours (`Passage.preview`).
It lies in the database, so that every machine can show it, and goes when its video has ended.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select

from worldreel.server.database import Database, previews

__all__ = ["drop", "newest", "picture", "put"]


def put(database: Database, video: str, step: int, image: bytes) -> None:
    """The picture (WebP) of a video after `step`."""
    with database.write() as at:
        drop(at, video)
        at.execute(insert(previews).values(video=video, step=step, picture=image))


def drop(at: Connection, video: str) -> None:
    """Takes a video's picture away, in a transaction."""
    at.execute(delete(previews).where(previews.c.video == video))


def newest(database: Database, videos: Sequence[str]) -> dict[str, int]:
    """The step of the picture of each of these videos that has one."""
    with database.read() as at:
        wanted = select(previews.c.video, previews.c.step).where(previews.c.video.in_(videos))
        return {row[0]: int(row[1]) for row in at.execute(wanted)}


def picture(database: Database, video: str) -> bytes | None:
    """A video's picture as it is now."""
    with database.read() as at:
        found = at.scalar(select(previews.c.picture).where(previews.c.video == video))
    return None if found is None else bytes(found)
