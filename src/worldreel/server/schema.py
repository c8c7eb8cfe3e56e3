"""What goes over the wire, as types: the OpenAPI document is made from these. No torch here.

Form fields are text and are read leniently ("8" is 8); JSON is read strictly, but `seconds` may be
a number there too, as hand-written clients send it. Fields that are not listed are kept out and
named in the answer's `ignored`, so that nobody believes they did anything.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

__all__ = [
    "EVENT_TYPES",
    "Character",
    "CharacterBody",
    "CreateBody",
    "Deleted",
    "EditBody",
    "ErrorBody",
    "ExtendBody",
    "Model",
    "ModelPage",
    "Order",
    "RemixBody",
    "Variant",
    "Video",
    "VideoPage",
    "WebhookBody",
    "WebhookChange",
    "WebhookEndpoint",
    "WebhookEventTypes",
    "WebhookPage",
    "WebhookRotation",
    "WebhookTest",
    "WebhookTested",
]

MAX_PROMPT = 32_000


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    return f"{value:g}" if isinstance(value, (int, float)) and abs(value) < 1e9 else value


def _whole(value: Any) -> Any:
    """JSON has one kind of number: 64.0 is a whole one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _json(pattern: str) -> WithJsonSchema:
    text = {"type": "string", "pattern": pattern}
    return WithJsonSchema({"anyOf": [text, {"type": "number", "minimum": 1, "maximum": 120}]})


Seconds = Annotated[
    str,
    BeforeValidator(_text),
    Field(max_length=12, pattern=r"^[0-9]+([.][0-9]+)?$"),
    _json(r"^([1-9]|[1-9][0-9]|1[01][0-9]|120)$"),
]
_SIDE = "(6[4-9]|[7-9][0-9]|[1-9][0-9]{2}|1[0-8][0-9]{2}|19[01][0-9]|1920)"
Size = Annotated[str, Field(pattern=f"^{_SIDE}x{_SIDE}$")]
_ODD = r"\u0000-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F"
_BLANK = r"\u00AD\u061C\u180E\u200B-\u200F\u202A-\u202E\u2060-\u206F\uFEFF"
Prompt = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_PROMPT,
        # No control characters, and at least one character that shows something.
        json_schema_extra={"pattern": f"^[^{_ODD}]*[^{_ODD}{_BLANK}\\s][^{_ODD}]*$"},
    ),
]
_Name = Field(min_length=1, max_length=80, pattern=r"^[\w&'.-]+( [\w&'.-]+)*$")
_Plain = Field(max_length=4000, pattern=f"^[^{_ODD}]*$")
Order = Literal["asc", "desc"]
Variant = Literal["video", "thumbnail", "spritesheet"]
Id = Annotated[str, Field(min_length=1, max_length=80)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)


class Reference(BaseModel):
    """A picture by its address: a `data:` URL, or a public one where the operator allows it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "oneOf": [
                {"required": [name], "properties": {name: {"type": "string"}}}
                for name in ("image_url", "file_id")
            ]
        },
    )
    image_url: Annotated[str, Field(pattern=r"^(https?://|data:image/)")] | None = None
    file_id: Annotated[str, Field(max_length=200)] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.image_url is None) == (self.file_id is None):
            raise ValueError("Give either image_url or file_id")
        return self


class Named(BaseModel):
    """A video or character by its id."""

    model_config = ConfigDict(extra="ignore")
    id: Id


class LoraBody(BaseModel):
    """A LoRA file of the operator's folder, by its name, and how strongly."""

    model_config = ConfigDict(extra="ignore")
    path: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_. -]{0,199}$")]
    scale: Annotated[float, Field(ge=-10, le=10)] = 1.0


class _Making(_Body):
    """Fields beyond the API's own, by the names that other servers use too."""

    prompt: Prompt
    negative_prompt: Annotated[str, _Plain] | None = None
    # The greatest whole number that every reader of JSON can hold.
    seed: Annotated[int, Field(ge=0, le=2**53 - 1), BeforeValidator(_whole)] | None = None
    num_inference_steps: Annotated[int, Field(ge=1, le=200), BeforeValidator(_whole)] | None = None
    guidance_scale: Annotated[float, Field(ge=0, le=20)] | None = None
    fps: Annotated[float, Field(ge=1, le=60)] | None = None
    loras: Annotated[list[LoraBody], Field(max_length=20)] | None = None


class CreateBody(_Making):
    """POST /videos."""

    model: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    seconds: Seconds | None = None
    size: Size | None = None
    input_reference: Reference | None = None
    characters: Annotated[list[Named], Field(max_length=2)] | None = None
    num_frames: Annotated[int, Field(ge=1, le=2880), BeforeValidator(_whole)] | None = None
    width: Annotated[int, Field(ge=64, le=1920), BeforeValidator(_whole)] | None = None
    height: Annotated[int, Field(ge=64, le=1920), BeforeValidator(_whole)] | None = None
    num_outputs_per_prompt: Annotated[int, Field(ge=1, le=1), BeforeValidator(_whole)] | None = None
    n: Annotated[int, Field(ge=1, le=1), BeforeValidator(_whole)] | None = None
    priority: Annotated[int, Field(ge=0, le=1), BeforeValidator(_whole)] | None = None


class EditBody(_Making):
    """POST /videos/edits: `video` is `{id}` here, or a file part."""

    model: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    video: Named | None = None
    strength: Annotated[float, Field(gt=0, le=1)] | None = None


class ExtendBody(_Making):
    """POST /videos/extensions: `seconds` is the length of what is added."""

    model: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    seconds: Seconds
    video: Named | None = None


class RemixBody(_Making):
    """POST /videos/{id}/remix."""

    strength: Annotated[float, Field(gt=0, le=1)] | None = None


class CharacterBody(_Body):
    """POST /videos/characters, beside the file part `video`."""

    name: Annotated[str, _Name]
    description: Annotated[str, _Plain] | None = None
    video: Named | None = None


EVENT_TYPES = ("video.completed", "video.failed")
EventType = Literal["video.completed", "video.failed"]
EventTypes = Annotated[list[EventType], Field(min_length=1, max_length=2)]


class WebhookBody(_Body):
    """POST /webhook_endpoints."""

    name: Annotated[str, Field(max_length=200)] | None = None
    url: Annotated[str, Field(min_length=8, max_length=2000, pattern=r"^https?://")]
    event_types: EventTypes


class WebhookChange(_Body):
    """POST /webhook_endpoints/{id}: what is not sent stays."""

    name: Annotated[str, Field(max_length=200)] | None = None
    url: Annotated[str, Field(min_length=8, max_length=2000, pattern=r"^https?://")] | None = None
    event_types: EventTypes | None = None


def _flag(value: Any) -> Any:
    found = {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value
    if isinstance(found, bool) or found is None:
        return found
    raise ValueError("Input should be true or false")


Flag = Annotated[bool, BeforeValidator(_flag)]


class WebhookRotation(_Body):
    """POST /webhook_endpoints/{id}/rotate_secret."""

    keep_old_secret_active_for_24_hours: Flag | None = None


class WebhookTest(_Body):
    """POST /webhook_endpoints/{id}/test."""

    event_type: EventType


class Failure(BaseModel):
    """Why a job failed."""

    code: str
    message: str
    param: str | None = None


class Video(BaseModel):
    """A video and the job that makes it; every key is always there."""

    id: str
    object: Literal["video"] = "video"
    model: str
    status: Literal["queued", "in_progress", "completed", "failed"]
    progress: Annotated[int, Field(ge=0, le=100)]
    created_at: int
    completed_at: int | None
    expires_at: int | None
    seconds: str
    size: str
    prompt: str | None
    remixed_from_video_id: str | None
    error: Failure | None
    task: str
    seed: int | None = None
    fps: float | None = None
    negative_prompt: str | None = None
    step: int | None = None
    steps: int | None = None
    eta_s: float | None = None
    queue_position: int | None = None
    inference_time_s: float | None = None
    duration_s: float | None = None
    media_type: str | None = None
    file_name: str | None = None
    made_by: str
    notes: list[str] = Field(default_factory=list)
    ignored: list[str] = Field(default_factory=list)


class VideoPage(BaseModel):
    """A page of one's own videos."""

    object: Literal["list"] = "list"
    data: list[Video]
    first_id: str | None
    last_id: str | None
    has_more: bool


class Deleted(BaseModel):
    """What is gone."""

    id: str
    object: Literal["video.deleted", "webhook_endpoint.deleted"] = "video.deleted"
    deleted: Literal[True] = True


class Character(BaseModel):
    """A cast member that was uploaded."""

    id: str
    object: Literal["character"] = "character"
    created_at: int
    name: str
    description: str | None


class Model(BaseModel):
    """A model that requests may name."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str


class ModelPage(BaseModel):
    """All models."""

    object: Literal["list"] = "list"
    data: list[Model]


class WebhookEndpoint(BaseModel):
    """Where events are sent; the secret is told once."""

    id: str
    object: Literal["webhook_endpoint"] = "webhook_endpoint"
    name: str
    url: str
    event_types: list[str]
    created_at: int
    updated_at: int
    signing_secret_hint: str | None = None
    signing_secret: str | None = None


class WebhookPage(BaseModel):
    """All of an owner's endpoints."""

    object: Literal["list"] = "list"
    data: list[WebhookEndpoint]
    first_id: str | None
    last_id: str | None
    has_more: bool


class WebhookTested(BaseModel):
    """What an endpoint answered to a sample event."""

    object: Literal["webhook_endpoint.test"] = "webhook_endpoint.test"
    webhook_endpoint_id: str
    event_type: str
    status_code: int
    success: Literal[True] = True


class WebhookEventTypes(BaseModel):
    """What can be sent to endpoints."""

    object: Literal["list"] = "list"
    data: list[str]


class ErrorDetail(BaseModel):
    """The four things that the SDK reads."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """Every error of the API."""

    error: ErrorDetail
