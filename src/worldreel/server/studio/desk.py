"""The operator's desk: what was reported, what was refused, and what the operator makes of it.

Learning from real use starts with reading it: a refusal that was wrong is a line for the training
of the prompt policy, and so is a report that was right; both can be taken home as JSON lines.
Rows are kept for `KEPT` days, the newest `MOST` of each kind.
"""

from __future__ import annotations

import json
import time
from typing import Any, Literal

from sqlalchemy import Table, delete, func, insert, select, update

from worldreel.server.database import videos
from worldreel.server.jobs import Job, Jobs, fresh_id
from worldreel.server.studio.library import Library
from worldreel.server.studio.tables import refusals, reports

__all__ = ["Desk", "Kind"]

KEPT, MOST = 90, 2000
Kind = Literal["reports", "refusals"]
_TABLES: dict[str, Table] = {"reports": reports, "refusals": refusals}


class Desk:
    """Reads and writes reports and refusals."""

    def __init__(self, jobs: Jobs) -> None:
        self.jobs, self.database = jobs, jobs.database

    def report(self, job: Job, *, reason: str, note: str) -> str:
        """Keeps that somebody finds a video wrong; the report's id."""
        row = {"id": fresh_id("report"), "owner": job.owner, "video": job.id, "reason": reason}
        row |= {"prompt": job.prompt, "note": note.strip()}
        self._keep(reports, row)
        return row["id"]

    def refused(self, owner: str, prompt: str, category: str, words: tuple[str, ...]) -> None:
        """Keeps that a prompt was refused."""
        row = {"id": fresh_id("refusal"), "owner": owner, "prompt": prompt[:4000]}
        self._keep(refusals, row | {"category": category, "words": json.dumps(list(words)[:20])})

    def _keep(self, table: Table, row: dict[str, Any]) -> None:
        with self.database.write() as at:
            at.execute(insert(table).values(**row, created=time.time(), verdict="open"))
            at.execute(delete(table).where(table.c.created < time.time() - KEPT * 86_400))
            newest = select(table.c.id).order_by(table.c.id.desc()).offset(MOST).limit(1)
            last = at.scalar(newest)
            if last is not None:
                at.execute(delete(table).where(table.c.id <= last))

    def judge(self, kind: Kind, name: str, verdict: str) -> bool:
        """What the operator thinks of a row; whether there is one."""
        table = _TABLES[kind]
        with self.database.write() as at:
            done = at.execute(update(table).where(table.c.id == name).values(verdict=verdict))
        return bool(done.rowcount)

    def remove(self, kind: Kind, name: str) -> bool:
        """Takes a row away."""
        table = _TABLES[kind]
        with self.database.write() as at:
            return bool(at.execute(delete(table).where(table.c.id == name)).rowcount)

    def rows(self, kind: Kind, limit: int = 200) -> list[dict[str, Any]]:
        """The newest rows of a kind."""
        table = _TABLES[kind]
        chosen = select(table).order_by(table.c.id.desc()).limit(limit)
        with self.database.read() as at:
            told = [dict(row) for row in at.execute(chosen).mappings()]
            names = [row["video"] for row in told if "video" in row]
            here = set(at.scalars(select(videos.c.id).where(videos.c.id.in_(names))))
        for row in told:
            if "words" in row:
                row["words"] = json.loads(row["words"])
            else:
                row["there"] = row["video"] in here
        return told

    def told(self) -> dict[str, Any]:
        """The whole desk: rows, refused results, and how the machine does."""
        blocked = select(videos).where(videos.c.error_code == "moderation_blocked")
        with self.database.read() as at:
            rows = at.execute(blocked.order_by(videos.c.id.desc()).limit(50)).mappings().all()
            day = videos.c.created > time.time() - 86_400
            today = int(at.scalar(select(func.count()).where(day)) or 0)
        return {
            "reports": self.rows("reports"),
            "refusals": self.rows("refusals"),
            "frames": Library(self.jobs).told([Job(**row) for row in rows]),
            "counts": self.jobs.counts() | {"today": today},
            "workers": self.jobs.alive(within=15.0),
            "pace": self.jobs.pace(),
        }

    def lines(self) -> str:
        """Everything that has a verdict, as JSON lines."""
        found = [
            {"kind": kind} | {key: row[key] for key in row if key != "owner"}
            for kind in ("reports", "refusals")
            for row in self.rows(kind, MOST)
            if row["verdict"] != "open"
        ]
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found)
