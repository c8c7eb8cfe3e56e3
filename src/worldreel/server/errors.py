"""Errors as the API tells them: `{"error": {"message", "type", "param", "code"}}`, and a status.

The SDK reads exactly these four. It tries again after a 409 unless it is told not to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from worldreel.errors import WorldreelError

__all__ = [
    "ApiError",
    "busy",
    "envelope",
    "invalid",
    "missing",
    "not_ready",
    "not_whole",
    "too_large",
    "unready",
]

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
}


class ApiError(WorldreelError):
    """What a request is answered with when it cannot be carried out."""

    def __init__(
        self,
        status: int,
        told: str,
        *,
        code: str,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """`told` is the sentence; `param` the field it is about; `code` is for programs."""
        super().__init__(told)
        self.status, self.code, self.param = status, code, param
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """The envelope."""
        return envelope(self.status, str(self), code=self.code, param=self.param)


def envelope(
    status: int, told: str, *, code: str | None = None, param: str | None = None
) -> dict[str, Any]:
    """The body of an error."""
    kind = _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": told, "type": kind, "param": param, "code": code}}


def invalid(told: str, *, param: str | None = None, code: str = "invalid_value") -> ApiError:
    """400: a value that cannot be used."""
    return ApiError(400, told, code=code, param=param)


def missing(what: str, name: str, *, param: str | None = None) -> ApiError:
    """404: nothing goes by that id, or it is somebody else's."""
    from worldreel.errors import message, shown

    told = message(f"there is no {what} {shown(name, limit=80)}", "give the id of one of yours")
    return ApiError(404, told, code=f"{what.lower()}_not_found", param=param)


def not_ready(name: str, status: str, *, param: str) -> ApiError:
    """404: the video is there, but has nothing to show: not yet, or never."""
    from worldreel.errors import message, shown

    failed = status == "failed"
    came = f"the video {shown(name, limit=80)} is {status.replace('_', ' ')}"
    told = message(came, "it cannot be had" if failed else "ask again when it is completed")
    return ApiError(404, told, code="video_failed" if failed else "video_not_ready", param=param)


def not_whole(name: str, status: str, *, param: str) -> ApiError:
    """409: nothing can be made of a video that is not completed; the SDK need not try again."""
    from worldreel.errors import message, shown

    failed = status == "failed"
    came = f"the video {shown(name, limit=80)} is {status.replace('_', ' ')}"
    told = message(came, "name another" if failed else "wait until it is completed")
    code = "video_failed" if failed else "video_not_ready"
    return ApiError(409, told, code=code, param=param, headers={"x-should-retry": "false"})


def too_large(told: str, *, param: str | None = None) -> ApiError:
    """413: more bytes than are read."""
    return ApiError(413, told, code="too_large", param=param)


def busy(told: str, *, wait: float) -> ApiError:
    """429: try again after `wait` seconds."""
    return ApiError(429, told, code="queue_full", headers={"Retry-After": str(max(1, round(wait)))})


def unready(told: str, *, code: str, wait: float = 10) -> ApiError:
    """503: nothing is wrong with the request; the server cannot take it now."""
    return ApiError(503, told, code=code, headers={"Retry-After": str(max(1, round(wait)))})
