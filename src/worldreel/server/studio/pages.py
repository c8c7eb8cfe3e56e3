"""The page and its files. Every address of the studio is the same page; its script looks at it.

Nothing comes from elsewhere and nothing may: the policy in the header says so to the browser.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, HTMLResponse
from starlette.exceptions import HTTPException
from starlette.responses import Response

__all__ = ["router"]

STATIC = Path(__file__).resolve().parent / "static"
_KINDS = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
    ".txt": "text/plain",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

router = APIRouter(include_in_schema=False)


async def page() -> Response:
    """The one page."""
    headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"}
    headers |= {"Referrer-Policy": "same-origin"}
    return HTMLResponse((STATIC / "index.html").read_text(encoding="utf-8"), headers=headers)


for _path in ("/", "/library", "/storyboard", "/desk", "/compare", "/video/{video_id}"):
    router.add_api_route(_path, page, methods=["GET", "HEAD"])


@router.get("/favicon.ico")
async def icon() -> Response:
    """Browsers ask for it, whatever the page says."""
    return FileResponse(STATIC / "icon.svg", media_type=_KINDS[".svg"])


@router.get("/studio/static/{path:path}")
async def static(path: str) -> Response:
    """A file of the page."""
    file = (STATIC / path).resolve()
    if not file.is_relative_to(STATIC) or file.suffix not in _KINDS or not file.is_file():
        raise HTTPException(404, "There is no such file")
    headers = {"Cache-Control": "no-cache"}  # with the tag that comes along: asked, and not sent
    return FileResponse(file, media_type=_KINDS[file.suffix], headers=headers)
