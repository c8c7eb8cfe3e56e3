"""Rows as the API shows them."""

from __future__ import annotations

import json
from typing import Any

from worldreel.server.jobs import Job
from worldreel.server.schema import Failure, Video

__all__ = ["shown"]


def shown(job: Job, *, position: int | None = None) -> dict[str, Any]:
    """A job as a Video: every key, null where there is nothing."""
    order = job.asked
    failed = job.status == "failed"
    error = Failure(code=job.error_code or "", message=job.error_message or "") if failed else None
    took = None if job.completed is None or job.started is None else job.completed - job.started
    notes = json.loads(job.notes) or list(order["notes"])
    return Video(
        id=job.id,
        model=job.model,
        status=job.status,  # type: ignore[arg-type]  # the database holds no other
        progress=job.progress,
        created_at=int(job.created),
        completed_at=None if job.completed is None else int(job.completed),
        expires_at=None if job.expires is None else int(job.expires),
        seconds=job.seconds,
        size=job.size,
        prompt=job.prompt,
        remixed_from_video_id=job.remixed_from,
        error=error,
        task=job.task,
        seed=order["seed"],
        fps=order["fps"],
        negative_prompt=order["negative"] or None,
        step=job.step,
        steps=job.steps,
        eta_s=None if job.eta is None else round(job.eta, 1),
        queue_position=position,
        inference_time_s=None if took is None else round(took, 3),
        duration_s=float(job.seconds) if job.status == "completed" else None,
        media_type="video/mp4",
        file_name=f"{job.id}.mp4",
        made_by=job.engine,
        notes=notes,
        ignored=order["ignored"],
    ).model_dump()
