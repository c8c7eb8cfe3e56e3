"""The library: one's own videos with what the studio knows of them, searched and sorted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, func, insert, or_, select, update

from worldreel.server.database import Database, videos
from worldreel.server.jobs import Job, Jobs
from worldreel.server.studio.tables import marks, parents
from worldreel.server.views import shown

__all__ = ["Library"]


class Library:
    """Looks at jobs, and keeps what belongs to the studio beside them."""

    def __init__(self, jobs: Jobs) -> None:
        self.jobs, self.database = jobs, jobs.database

    def page(
        self,
        owner: str,
        *,
        words: str = "",
        folder: str | None = None,
        favourite: bool = False,
        after: str | None = None,
        limit: int = 48,
    ) -> dict[str, Any]:
        """Finished videos that have all the words in their prompts, the newest first."""
        both = videos.outerjoin(marks, marks.c.video == videos.c.id)
        wanted = [videos.c.owner == owner, videos.c.status == "completed"]
        for word in words.lower().split()[:12]:
            plain = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
            wanted.append(func.lower(videos.c.prompt).like(f"%{plain}%", escape="\\"))
        if folder is not None:
            wanted.append(marks.c.folder == folder)
        if favourite:
            wanted.append(marks.c.favourite.is_(True))
        counted = select(func.count()).select_from(both).where(and_(*wanted))
        if after:
            wanted.append(videos.c.id < after)
        chosen = select(videos).select_from(both).where(and_(*wanted))
        with self.database.read() as at:
            total = int(at.scalar(counted) or 0)
            rows = at.execute(chosen.order_by(videos.c.id.desc()).limit(limit + 1)).mappings().all()
        found = [Job(**row) for row in rows[:limit]]
        return {
            "data": self.told(found),
            "total": total,
            "has_more": len(rows) > limit,
            "folders": self.folders(owner),
        }

    def told(self, jobs: Sequence[Job]) -> list[dict[str, Any]]:
        """Jobs as the API shows them, with their marks and parents."""
        names = [job.id for job in jobs]
        with self.database.read() as at:
            marked = at.execute(select(marks).where(marks.c.video.in_(names))).mappings().all()
            links = at.execute(select(parents).where(parents.c.video.in_(names))).all()
        by_name = {row["video"]: row for row in marked}
        told = []
        for job in jobs:
            mark = by_name.get(job.id)
            from_table = [row[1] for row in links if row[0] == job.id]
            source = [job.remixed_from] if job.remixed_from else []
            told.append(
                shown(job)
                | {
                    "favourite": bool(mark and mark["favourite"]),
                    "folder": mark["folder"] if mark else "",
                    "parents": list(dict.fromkeys([*source, *from_table])),
                    "priority": job.priority,
                    "width": job.asked["width"],
                    "height": job.asked["height"],
                    "shots": job.asked.get("shots") or [],
                }
            )
        return told

    def folders(self, owner: str) -> list[str]:
        """The names of an owner's folders that hold anything."""
        both = marks.join(videos, marks.c.video == videos.c.id)  # those of deleted videos lie on
        named = select(marks.c.folder).select_from(both)
        named = named.where(marks.c.owner == owner, marks.c.folder != "")
        with self.database.read() as at:
            return sorted(set(at.scalars(named)), key=str.casefold)

    def mark(self, job: Job, *, favourite: bool | None, folder: str | None) -> dict[str, Any]:
        """Sets what is not None; the video as it is then."""
        given = {"favourite": favourite, "folder": None if folder is None else folder.strip()}
        values = {name: value for name, value in given.items() if value is not None}
        with self.database.write() as at:
            here = at.scalar(select(marks.c.video).where(marks.c.video == job.id))
            if here is None:
                fresh = {"favourite": False, "folder": ""} | values
                at.execute(insert(marks).values(video=job.id, owner=job.owner, **fresh))
            elif values:
                at.execute(update(marks).where(marks.c.video == job.id).values(**values))
        return self.told([job])[0]

    def family(self, job: Job) -> dict[str, Any]:
        """A video, those it was made from, and those that were made from it."""
        told = self.told([job])[0]
        with self.database.read() as at:
            by_table = select(parents.c.video).where(parents.c.parent == job.id)
            children = or_(videos.c.id.in_(by_table), videos.c.remixed_from == job.id)
            mine, alive = videos.c.owner == job.owner, videos.c.status != "failed"
            below = at.execute(select(videos).where(mine, children, alive)).mappings().all()
            above = at.execute(select(videos).where(mine, videos.c.id.in_(told["parents"])))
            before = above.mappings().all()
        return told | {
            "made_from": self.told([Job(**row) for row in before]),
            "became": self.told([Job(**row) for row in below][:40]),
        }

    def queue(self, owner: str) -> dict[str, Any]:
        """What is being made and what waits, in its order; and the failures of the last minutes."""
        active = videos.c.status.in_(("queued", "in_progress"))
        order = (videos.c.status, videos.c.priority.desc(), videos.c.id)
        chosen = select(videos).where(videos.c.owner == owner, active).order_by(*order).limit(200)
        waiting = select(videos.c.id).where(videos.c.status == "queued")
        waiting = waiting.order_by(videos.c.priority.desc(), videos.c.id)
        with self.database.read() as at:
            rows = at.execute(chosen).mappings().all()
            line = {name: place for place, name in enumerate(at.scalars(waiting), 1)}
        told = self.told([Job(**row) for row in rows])
        for one in told:
            one["queue_position"] = line.get(one["id"])
        return {"data": told, "waiting": len(line), "pace": self.jobs.pace()}

    def first(self, job: Job) -> None:
        """Puts a waiting job before all others."""
        highest = select(func.max(videos.c.priority)).where(videos.c.status == "queued")
        with self.database.write() as at:
            top = int(at.scalar(highest) or 0)
            here = and_(videos.c.id == job.id, videos.c.status == "queued")
            at.execute(update(videos).where(here).values(priority=top + 1))


def jobs_like(database: Database, engine: str, count: int = 40) -> list[Job]:
    """The last finished jobs of a model."""
    done = and_(videos.c.engine == engine, videos.c.status == "completed")
    chosen = select(videos).where(done).order_by(videos.c.completed.desc()).limit(count)
    with database.read() as at:
        return [Job(**row) for row in at.execute(chosen).mappings()]
