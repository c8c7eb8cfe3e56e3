"""Pictures of any format as Pillow reads them: upright, sRGB, without transparency.

Runs in the process that may break (`reader.py`), so there is no torch here. The header is judged
before a pixel is decoded.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageCms, ImageOps, ImageSequence, UnidentifiedImageError

from worldreel.errors import MediaError, message, shown
from worldreel.recipe import IMAGE_DESCRIPTION

__all__ = ["MAX_PIXELS", "check_pixels", "moves", "opened", "pictures", "reduced", "remark"]

MAX_PIXELS = 64_000_000
"""Pixels of one frame: above what cameras write by default, below what fills a memory."""

# Named one by one: Pillow would hand PostScript to an interpreter of it.
_FORMATS = (
    *("JPEG", "MPO", "PNG", "GIF", "WEBP", "AVIF", "TIFF", "BMP", "DIB", "JPEG2000", "ICO", "ICNS"),
    *("PPM", "TGA", "PCX", "QOI", "DDS", "SGI", "XBM"),
)
_MOVING = ("GIF", "WEBP", "PNG", "AVIF")
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")


def opened(path: Path) -> Image.Image | None:
    """The picture in `path`, its pixels not yet decoded, or None if Pillow knows none such.

    Raises `MediaError` for HEIC and for more than `MAX_PIXELS`.
    """
    Image.MAX_IMAGE_PIXELS = None  # ours is the stricter limit, and it is said in a sentence
    Image.init()
    try:  # builds of Pillow differ in what they know
        image = Image.open(path, formats=[name for name in _FORMATS if name in Image.OPEN])
    except UnidentifiedImageError:
        with path.open("rb") as file:
            head = file.read(12)
        if head[4:8] == b"ftyp" and head[8:12] in _HEIC:
            came = f"{shown(path.name)} is a HEIC photo, which cannot be read here"
            raise MediaError(message(came, "save or export it as a JPEG or PNG")) from None
        return None
    try:
        check_pixels(path, *image.size)
    except MediaError:
        image.close()
        raise
    return image


def check_pixels(path: Path, width: int, height: int) -> None:
    """Raise `MediaError` if a frame of `path` has too many pixels."""
    if width * height > MAX_PIXELS:
        scale = (MAX_PIXELS / (width * height)) ** 0.5
        nearest = f"{int(width * scale)}x{int(height * scale)}"
        came = f"{shown(path.name)} has {width}x{height} = {width * height / 1e6:.0f} megapixels"
        needed = f"it may have at most {MAX_PIXELS // 10**6}, make it smaller"
        raise MediaError(message(came, needed, nearest=nearest))


def remark(image: Image.Image) -> str | None:
    """The text that a picture carries, where a recipe may be."""
    found = image.info.get("comment") or image.info.get("worldreel")
    found = found or image.getexif().get(IMAGE_DESCRIPTION)
    found = found.decode("utf-8", "replace") if isinstance(found, bytes) else found
    return found if isinstance(found, str) else None


def moves(image: Image.Image) -> bool:
    """Whether it is an animation (several pages of a document are none)."""
    return image.format in _MOVING and bool(getattr(image, "is_animated", False))


def pictures(
    image: Image.Image, limit: int | None, backdrop: str
) -> Iterator[tuple[float, float, Image.Image]]:
    """(from, until, picture) of each frame, in seconds; a still lasts for ever.

    The shorter side has at most `limit` pixels; what is transparent shows `backdrop`.
    """
    if not moves(image):
        yield 0.0, float("inf"), upright(image, limit, backdrop)
        return
    time = 0.0
    for frame in ImageSequence.Iterator(image):
        picture = upright(frame, limit, backdrop)  # before its duration, which some learn by it
        # Browsers take a missing duration for 100 ms, and so does everybody by now.
        until = time + (float(frame.info.get("duration", 0)) or 100.0) / 1000
        yield time, until, picture
        time = until


def upright(image: Image.Image, limit: int | None, backdrop: str) -> Image.Image:
    """The current frame in RGB, turned as its tag says, flat on `backdrop`, reduced to `limit`."""
    if limit is not None and image.format == "JPEG":
        width, height = reduced(image.width, image.height, limit)
        image.draft(None, (width, height))  # decodes fewer pixels, no fewer than these
    picture = _eight_bits(image)
    try:
        picture = ImageOps.exif_transpose(picture)
    except Exception:  # a damaged tag says nothing about which side is up
        picture = picture.copy()
    size = reduced(*picture.size, limit) if limit is not None else picture.size
    if size != picture.size:
        picture = picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
    picture = _srgb(picture)
    if picture.mode == "RGB":
        return picture
    page = Image.new("RGBA", picture.size, backdrop)
    return Image.alpha_composite(page, picture).convert("RGB")


def reduced(width: int, height: int, limit: int) -> tuple[int, int]:
    """(width, height) with a shorter side of at most `limit` pixels and the same aspect."""
    scale = min(1.0, limit / min(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _eight_bits(image: Image.Image) -> Image.Image:
    """RGB, RGBA or CMYK of any mode, with what it carries (tags, profile)."""
    if image.has_transparency_data:
        found = image.convert("RGBA")
    elif image.mode.startswith("I") or image.mode == "F":
        found = _grey(image)
    elif image.mode in ("RGB", "CMYK"):
        found = image
    else:
        found = image.convert("RGB")
    if found is not image:
        found.info.update({k: v for k, v in image.info.items() if k in ("exif", "icc_profile")})
        if found.mode != image.mode and image.mode not in ("P", "RGBA", "RGBX"):
            found.info.pop("icc_profile", None)  # the profile was of the other mode
    return found


def _grey(image: Image.Image) -> Image.Image:
    """Sixteen bits, or floats, as eight: Pillow itself would cut them off at 255."""
    wide = image.convert("F")
    high = float(wide.getextrema()[1])  # type: ignore[arg-type]
    # Whole numbers have 16 bits, floats go to 1, and whatever goes beyond ends at its own white.
    white = 65535.0 if image.mode != "F" else 1.0
    white = max(white, high if high == high and high < float("inf") else white)
    grey = wide.point(lambda v: v * (255.0 / white) + 0.5)
    turned = grey.convert("L").convert("RGB")
    turned.info.update(image.info)
    return turned


def _srgb(picture: Image.Image) -> Image.Image:
    """RGB or RGBA in sRGB: phones write wider colours, printers CMYK, each with its profile."""
    mode = "RGBA" if picture.mode == "RGBA" else "RGB"
    data = picture.info.get("icc_profile")
    if isinstance(data, bytes) and data:
        try:
            profile = ImageCms.ImageCmsProfile(BytesIO(data))
            if picture.mode == "CMYK" or "srgb" not in _described(profile):
                target = ImageCms.createProfile("sRGB")
                turned = ImageCms.profileToProfile(picture, profile, target, outputMode=mode)
                assert turned is not None
                return turned
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass  # a damaged profile: its colours are taken as they are
    return picture if picture.mode == mode else picture.convert(mode)


def _described(profile: ImageCms.ImageCmsProfile) -> str:
    return ImageCms.getProfileDescription(profile).lower()
