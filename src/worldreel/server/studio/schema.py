"""Bodies of /studio/api, as types."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from worldreel.request import MAX_PROMPT
from worldreel.server.schema import Id, Size

__all__ = [
    "GivenBody",
    "KeyBody",
    "MarksBody",
    "OrderBody",
    "PromptBody",
    "ReportBody",
    "VerdictBody",
]

Tool = Literal[
    "variations", "extend", "loop", "blend", "recut", "keyframes", "region", "storyboard"
]
Prompt = Annotated[str, Field(max_length=MAX_PROMPT)]
Moment = Annotated[float, Field(ge=0, le=600)]
Span = Annotated[list[Moment], Field(min_length=2, max_length=2)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class KeyBody(_Body):
    """POST /session."""

    key: Annotated[str, Field(min_length=1, max_length=200)]


class MarksBody(_Body):
    """POST /videos/{id}/marks; what is not said stays as it is."""

    favourite: bool | None = None
    folder: Annotated[str, Field(max_length=80)] | None = None


class GivenBody(_Body):
    """Something given: one of one's own videos, or a file part of the same form by its name."""

    video: Id | None = None
    part: Annotated[str, Field(pattern=r"^[a-z0-9]{1,20}$")] | None = None
    still: bool = False
    at: Moment = 0.0
    start: Moment = 0.0
    end: Moment | None = None


class ShotBody(_Body):
    """A shot of a storyboard."""

    prompt: Annotated[str, Field(min_length=1, max_length=MAX_PROMPT)]
    seconds: Annotated[float, Field(ge=0.5, le=60)] = 4.0
    given: Annotated[list[GivenBody], Field(max_length=8)] = []


class OrderBody(_Body):
    """POST /orders: what a tool of the studio asks for."""

    tool: Tool
    prompt: Prompt = ""
    given: Annotated[list[GivenBody], Field(max_length=16)] = []
    mask: Annotated[str, Field(pattern=r"^[a-z0-9]{1,20}$")] | None = None
    span: Span | None = None
    before: Moment = 0.0
    seconds: Annotated[float, Field(ge=0, le=120)] | None = None
    count: Annotated[int, Field(ge=1, le=8)] = 1
    model: Annotated[str, Field(max_length=200)] | None = None
    size: Size | None = None
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] | None = None
    num_inference_steps: Annotated[int, Field(ge=1, le=200)] | None = None
    guidance_scale: Annotated[float, Field(ge=0, le=20)] | None = None
    negative_prompt: Annotated[str, Field(max_length=4000)] | None = None
    shots: Annotated[list[ShotBody], Field(max_length=30)] = []
    cast: Annotated[dict[str, Annotated[str, Field(max_length=400)]], Field(max_length=20)] = {}
    style: Annotated[str, Field(max_length=200)] = ""
    priority: Annotated[int, Field(ge=0, le=1)] = 0


class ReportBody(_Body):
    """POST /reports."""

    video: Id
    reason: Literal["harmful", "person", "brand", "wrong", "other"]
    note: Annotated[str, Field(max_length=2000)] = ""


class VerdictBody(_Body):
    """POST /desk/…/{id}: what an operator thinks of it."""

    verdict: Literal["open", "agreed", "disagreed", "done"]


class PromptBody(_Body):
    """POST /prompt: words to be added to."""

    prompt: Prompt
    again: Annotated[int, Field(ge=0, le=10_000)] = 0
