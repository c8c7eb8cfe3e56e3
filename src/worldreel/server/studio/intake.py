"""Orders of the studio's tools become jobs as all others do: files kept, checked, committed.

Whatever names one of the owner's videos borrows its file, so that deleting it later harms nothing.
What a video was made from is kept in `parents`, for all to see where it comes from.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy import insert

from worldreel.errors import message
from worldreel.server import publish
from worldreel.server.errors import ApiError, invalid, missing
from worldreel.server.forms import Body
from worldreel.server.intake import Incoming, Intake, validated
from worldreel.server.jobs import Job
from worldreel.server.measuring import measure
from worldreel.server.orders import MOST_SECONDS, Given, Order, Source
from worldreel.server.studio import laying
from worldreel.server.studio.schema import GivenBody, OrderBody
from worldreel.server.studio.tables import parents

__all__ = ["StudioIntake"]

_PICTURE = 32 * 2**20
_LONGEST_BOARD = 60.0


class StudioIntake:
    """Takes the orders that the public API has no word for."""

    def __init__(self, intake: Intake) -> None:
        self.intake = intake

    def take(self, owner: str, body: Body, idempotency: str | None) -> list[Job]:
        """POST /studio/api/orders: one job, or as many variations as were asked for.

        Raises `ApiError`.
        """
        fields = validated(OrderBody, _order(body), strict=False)
        if fields.tool == "variations":
            return self._variations(owner, fields)
        values = {"prompt": fields.prompt or _told(fields), "priority": fields.priority}
        named = [g.video for g in _all_given(fields) if g.video is not None]
        whole = Body(values=values | {"studio": _order(body)}, files=body.files, strict=False)
        request = Incoming(owner, f"studio {fields.tool}", whole, idempotency)

        def order(request: Incoming) -> tuple[Order, str, str | None]:
            made, model = self._order(request, fields)
            source = named[0] if named else None
            return made, self.intake.settings.named(model), source

        job = self.intake.take(request, order)
        self._descend(job, named)
        return [job]

    def _order(self, request: Incoming, fields: OrderBody) -> tuple[Order, str]:
        """The order, and the model it names."""
        texts = [shot.prompt for shot in fields.shots]
        publish.review_prompt(*(text for text in (fields.prompt, *texts) if text.strip()))
        settings = self.intake.settings
        found = [self._given(request, one) for one in _all_given(fields)]
        models = [model for _, _, model in found if model]
        model = fields.model or (models[0] if models else settings.names[0])
        sources = [(given, source) for given, source, _ in found]
        base = Order(
            task="",
            prompt=fields.prompt,
            engine=settings.engine(model),
            seconds=0.0,
            total=0.0,
            width=0,
            height=0,
            seed=secrets.randbelow(2**31) if fields.seed is None else fields.seed,
            negative=fields.negative_prompt or "",
            steps=fields.num_inference_steps,
            guidance=fields.guidance_scale,
        )
        made = laying.laid_out(base, fields, sources, settings.size)
        if fields.mask is not None:
            made = replace(made, given=(*made.given, self._mask(request, fields.mask)))
        longest = _LONGEST_BOARD if fields.tool == "storyboard" else MOST_SECONDS
        if made.total > longest + 1e-6:
            came = f"the result would last {made.total:g} seconds"
            raise invalid(message(came, f"it may last {longest:g}"), param="seconds")
        return replace(made, file=made.given[0].file if made.given else ""), model

    def _given(self, request: Incoming, one: GivenBody) -> tuple[Given, Source, str | None]:
        if (one.video is None) == (one.part is None):
            told = message("something given is neither a video nor a file", "give one of them")
            raise invalid(told, param="given")
        model = None
        if one.video is not None:
            source, model = self.intake.own(request, one.video, param="given")
        else:
            source = self._part(request, str(one.part), still=one.still)
        still = one.still or not source.moves
        given = Given(
            file=source.file,
            kind="still" if still else "clip",
            at=one.at,
            start=min(one.start, source.seconds) if source.moves else 0.0,
            end=None if still or one.end is None else min(one.end, source.seconds),
        )
        return given, source, model

    def _part(self, request: Incoming, name: str, *, still: bool) -> Source:
        """A file of the form; pictures and clips are told apart by what is in them."""
        intake = self.intake
        file = request.body.files.get(name)
        if file is None:
            told = message(f"the file {name} did not come", "send it as a part of the form")
            raise invalid(told, param="given", code="missing_required_parameter")
        kept = intake.keep(request, file.file, kind="video", limit=intake.settings.upload)
        source = measure(intake.storage.upload(kept), param="given")
        if source.moves:
            return source
        if intake.storage.upload(kept).stat().st_size > _PICTURE:
            raise invalid(message("the picture is too large", f"at most {_PICTURE:,} bytes"))
        file.file.seek(0)
        as_picture = intake.keep(request, file.file, kind="picture", limit=_PICTURE)
        intake.storage.forget(upload=kept)
        return replace(source, file=as_picture)

    def _mask(self, request: Incoming, name: str) -> Given:
        source = self._part(request, name, still=True)
        return Given(file=source.file, kind="mask")

    def _variations(self, owner: str, fields: OrderBody) -> list[Job]:
        """The same order again, each time with another seed: as many as find a place."""
        name = fields.given[0].video if fields.given else None
        job = None if name is None else self.intake.jobs.get(name, owner)
        if job is None:
            raise missing("video", str(name), param="given")
        taken: list[Job] = []
        for number in range(fields.count):
            values = {"prompt": job.prompt, "priority": fields.priority, "number": number}
            body = Body(values=values, files={}, strict=False)
            request = Incoming(owner, f"variation {job.id}", body, None)
            try:
                taken.append(self.intake.take(request, self._again(job)))
            except ApiError:
                if not taken:
                    raise
                break  # the queue is full: those that found a place are kept
            self._descend(taken[-1], [job.id])
        return taken

    def _again(self, job: Job) -> Callable[[Incoming], tuple[Order, str, str | None]]:
        def order(request: Incoming) -> tuple[Order, str, str | None]:
            old = Order.from_json(job.order)
            files = {name: self._again_of(request, name) for name in old.files}
            fresh = replace(
                old,
                seed=secrets.randbelow(2**31),
                given=tuple(replace(one, file=files[one.file]) for one in old.given),
                cast=tuple(replace(one, file=files[one.file]) for one in old.cast),
                file=files.get(old.file, ""),
            )
            return fresh, job.model, job.id

        return order

    def _again_of(self, request: Incoming, name: str) -> str:
        """An upload once more, so that each job has its own."""
        try:
            file = self.intake.storage.again(name)
        except FileNotFoundError:
            told = message("what this video was made from is gone", "give it once more")
            raise invalid(told, param="given", code="source_gone") from None
        request.kept.append(file)
        return file

    def _descend(self, job: Job, named: list[str]) -> None:
        rows = [{"video": job.id, "parent": name} for name in dict.fromkeys(named)]
        if rows:
            with self.intake.jobs.database.write() as at:
                at.execute(insert(parents), rows)


def _order(body: Body) -> Any:
    """The order lies in the form's field `order`, or is the body itself."""
    return body.values.get("order", body.values)


def _all_given(fields: OrderBody) -> list[GivenBody]:
    """Everything that is given, those of the shots at their times of the whole."""
    found, begins = list(fields.given), 0.0
    for shot in fields.shots:
        for one in shot.given:
            if one.at >= shot.seconds:
                came = f"something is to appear at {one.at:g} seconds of a shot"
                raise invalid(message(came, f"the shot lasts {shot.seconds:g}"), param="shots")
            found.append(one.model_copy(update={"at": begins + one.at}))
        begins += shot.seconds
    return found


def _told(fields: OrderBody) -> str:
    """What stands for a prompt where none is needed."""
    if fields.shots:
        return " ".join(f"Shot {n}: {shot.prompt}" for n, shot in enumerate(fields.shots, 1))
    return ""
