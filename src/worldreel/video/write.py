"""Writing, all or nothing: a file appears complete under its name or not at all.

Every writer fills a hidden temporary file beside the target; only a complete one, pushed to the
disk, is renamed over it. Whatever happens before that (an error, a full disk, Ctrl-C) removes it.
Frames are asked for a chunk at a time, so that a minute costs no more memory than a second.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, cast

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from worldreel.errors import OutputError, message, shown
from worldreel.recipe import IMAGE_DESCRIPTION, pack
from worldreel.video import gif

if TYPE_CHECKING:
    from worldreel.video.video import Seal, Video

__all__ = ["Progress", "atomic", "check_image", "check_output", "save_image", "save_video"]

Progress = Callable[[int, int], None]
"""Is told (frames written, frames in total) after each frame."""

EXACT = 0x4 | 0x2000 | 0x4000 | 0x40000
"""swscale's flags for bicubic, full chroma in and out, accurate rounding: without them RGB comes
back up to 2 of 255 darker (measured on seven colours; with them at most 1 off, unbiased)."""

_BT709 = 1  # the number of Rec. 709 in H.264's tables of primaries, transfer and matrix
_ENCODERS = ("libx264", "libopenh264", "h264_videotoolbox", "h264_mf")
_PICTURES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
_GIF_FPS = 50.0
"""Browsers slow down frames shorter than 2/100 s, the unit of GIF being 1/100 s."""


def save_video(video: Video, path: Path, *, progress: Progress | None = None) -> Path:
    """Write `video` in the format of the path's suffix; `OutputError` if that cannot be."""
    check_output(path, frames=len(video))
    with atomic(path) as temporary:
        _WRITERS[path.suffix.lower()](video, temporary, progress)
        if video.seal is not None:
            video.seal(temporary, path.name)
    return path


def save_image(
    image: Image.Image, path: str | Path, *, seal: Seal | None = None, quality: int = 92
) -> Path:
    """Write one picture, such as a contact sheet, as .png, .jpg or .webp; `seal` is done to the
    file before it gets its name. Raises `OutputError`."""
    path = Path(path)
    check_image(path)
    with atomic(path) as temporary:
        form = _PICTURES[path.suffix.lower()]
        image.convert("RGB").save(temporary, format=form, quality=quality)
        if seal is not None:
            seal(temporary, path.name)
    return path


def check_image(path: str | Path) -> None:
    """Raise `OutputError` if a picture cannot be written to `path`; cheap, as `check_output`."""
    path = Path(path)
    _check_suffix(path, tuple(_PICTURES))
    _check_place(path)


def check_output(path: str | Path, *, frames: int | None = None) -> None:
    """Raise `OutputError` if a video (of `frames`, if known) cannot be written to `path`.

    Cheap: worth a call before minutes of computing.
    """
    path = Path(path)
    _check_suffix(path, tuple(_WRITERS))
    if path.suffix.lower() == ".png" and frames is not None and frames > 1:
        came = f"a PNG holds one picture and this video has {frames} frames"
        nearest = shown(path.with_suffix(".webp").name)
        raise OutputError(message(came, "write a moving format or one frame", nearest=nearest))
    _check_place(path)


def _check_suffix(path: Path, suffixes: tuple[str, ...]) -> None:
    if path.suffix.lower() not in suffixes:
        came = f"the file name is {shown(path.name)}"
        needed = f"it must end in {', '.join(suffixes[:-1])} or {suffixes[-1]}"
        # The whole name is kept ("v1.2" is no suffix that was meant), an unknown suffix replaced.
        stem = path.stem if path.suffix[1:].isalpha() else path.name
        nearest = shown((stem or "video") + suffixes[0])
        raise OutputError(message(came, needed, nearest=nearest))


def _check_place(path: Path) -> None:
    came = f"{shown(str(path), limit=200)} cannot be written"
    if "\0" in str(path):
        raise OutputError(message(came, "a file name holds no zero byte"))
    target = Path(os.path.realpath(path))
    try:
        exists, folder = target.exists(), target.parent
        if target.is_dir():
            raise OutputError(message(came, "it is a folder, give a file name"))
        if not folder.is_dir():
            raise OutputError(message(came, "its folder does not exist, make it first"))
        if exists and not target.is_file():
            raise OutputError(message(came, "it is no ordinary file"))
    except OSError as error:  # a name too long, a disk that does not answer
        raise OutputError(message(came, "choose another name or folder")) from error
    needed = "you may not write there, choose another folder"
    if not os.access(folder, os.W_OK | os.X_OK) or (exists and not os.access(target, os.W_OK)):
        raise OutputError(message(came, needed))
    try:  # permissions are not all: some file systems take no files at all
        probe = _beside(target)
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise OutputError(message(came, needed)) from error


def _beside(target: Path) -> Path:
    """A hidden name in the target's folder that nothing has yet."""
    return target.with_name(f".worldreel-{secrets.token_hex(6)}.part")


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` to fill, renamed to `path` if the block ends well.

    Errors of the system and of the encoder become `OutputError`; in any case, Ctrl-C included,
    the temporary file is gone afterwards.
    """
    target = Path(os.path.realpath(path))  # a link stays a link; what it points to is replaced
    temporary = _beside(target)
    try:
        with open(temporary, "xb"):
            pass
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
        _sync_folder(target.parent)
    except (OSError, av.error.FFmpegError) as error:
        reason = (getattr(error, "strerror", None) or str(error) or "unknown").lower()
        came = f"{shown(str(path), limit=200)} cannot be written ({reason})"
        raise OutputError(message(came, "free some space or choose another folder")) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself last through a power cut, where the system lets us."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _pictures(video: Video, progress: Progress | None) -> Iterator[NDArray[np.uint8]]:
    """Each frame [H, W, 3]; `progress` hears of it when the next one is asked for."""
    done = 0
    for chunk in video.chunks():
        for pixels in chunk.numpy():
            yield pixels
            done += 1
            if progress is not None:
                progress(done, len(video))


def _even(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`frame` with even sides: yuv420p has no others, so a last row or column is repeated."""
    height, width = frame.shape[:2]
    if height % 2 or width % 2:
        frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.ascontiguousarray(frame)


def _write_mp4(video: Video, path: Path, progress: Progress | None) -> None:
    """H.264 in yuv420p, which every player plays; moov first, so that it starts at once."""
    encoder = next((name for name in _ENCODERS if name in av.codecs_available), None)
    if encoder is None:
        came = "this PyAV has no H.264 encoder"
        raise OutputError(message(came, "install av from PyPI, which has", nearest="a .webp"))
    options = {"movflags": "+faststart"}
    with av.open(f"file:{path}", "w", format="mp4", options=options) as container:
        if video.recipe is not None:
            container.metadata["comment"] = pack(video.recipe)
            container.metadata["title"] = str(video.recipe.get("prompt", ""))
        rate = Fraction(video.fps).limit_denominator(1001)
        stream = cast("av.VideoStream", container.add_stream(encoder, rate=rate))
        stream.width, stream.height = video.width + video.width % 2, video.height + video.height % 2
        stream.pix_fmt = "yuv420p"
        if encoder == "libx264":
            # With AVX-512, x264's macroblock tree reads memory that nobody wrote unless a row has a
            # multiple of eight blocks: the same frames would give other files now and then.
            stream.options = {"crf": "16", "preset": "medium", "x264-params": "mbtree=0"}
        else:
            stream.bit_rate = max(500_000, round(stream.width * stream.height * video.fps * 0.4))
        context = stream.codec_context
        context.color_primaries = context.color_trc = context.colorspace = _BT709
        context.color_range = ColorRange.MPEG
        context.gop_size = max(1, round(2 * video.fps))  # a key frame every 2 s, for seeking
        for index, pixels in enumerate(_pictures(video, progress)):
            frame = av.VideoFrame.from_ndarray(_even(pixels), format="rgb24").reformat(
                format="yuv420p",
                dst_colorspace=Colorspace.ITU709,
                dst_color_range=ColorRange.MPEG,
                interpolation=EXACT,
            )
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    _check_mp4(path, len(video))


def _check_mp4(path: Path, frames: int) -> None:
    """Count the written packets: a muxer on a full disk may lose the end without a word."""
    with av.open(f"file:{path}") as container:
        found = sum(1 for packet in container.demux(video=0) if packet.size)
    if found != frames:
        raise OSError(f"only {found} of {frames} frames arrived")


def _durations(frames: int, fps: float, unit_ms: int) -> list[int]:
    """Milliseconds for each frame, multiples of `unit_ms`, whose sums keep to i / fps."""
    edges = [round(i * 1000 / (fps * unit_ms)) for i in range(frames + 1)]
    return [max(1, b - a) * unit_ms for a, b in pairwise(edges)]


def _write_gif(video: Video, path: Path, progress: Progress | None) -> None:
    """One palette for the whole clip, so that colours do not flicker; it loops."""
    if video.fps > _GIF_FPS:  # a container's approximation of the same video: the recipe stays
        video = replace(video.resample(_GIF_FPS), recipe=video.recipe)
    samples = range(0, len(video), max(1, len(video) // 12))[:16]
    palette = gif.palette(video.pick(samples).numpy())
    frames = (Image.fromarray(pixels) for pixels in _pictures(video, progress))
    remark = None if video.recipe is None else pack(video.recipe).encode()
    with open(path, "wb") as file:
        for part in gif.parts(frames, _durations(len(video), video.fps, 10), palette, remark):
            file.write(part)


def _write_webp(video: Video, path: Path, progress: Progress | None) -> None:
    """Animated WebP: smaller and finer than GIF, shown by all browsers; it loops."""
    exif = Image.Exif()
    if video.recipe is not None:
        exif[IMAGE_DESCRIPTION] = pack(video.recipe)
    frames = (Image.fromarray(pixels) for pixels in _pictures(video, progress))
    first = next(frames)
    first.save(
        path,
        format="WEBP",
        save_all=True,
        append_images=[_Later(frames) for _ in range(len(video) - 1)],
        duration=_durations(len(video), video.fps, 1),
        loop=0,
        quality=90,
        method=4,
        exif=exif,
    )
    for _ in frames:  # the last frame is done, too
        raise AssertionError("WebP took too few frames")


class _Later:
    """A picture that there is only once Pillow asks for it in a mode that it can write: it makes a
    list of all pictures before it writes the first."""

    mode = "?"
    has_transparency_data = False

    def __init__(self, frames: Iterator[Image.Image]) -> None:
        self._frames = frames

    def seek(self, frame: int) -> None:
        assert frame == 0, "a picture that comes later is one picture"

    def convert(self, mode: str) -> Image.Image:
        assert mode == "RGB", f"asked for {mode}"
        return next(self._frames)


def _write_png(video: Video, path: Path, progress: Progress | None) -> None:
    """The one frame, without loss."""
    chunks = PngInfo()
    if video.recipe is not None:
        chunks.add_text("worldreel", pack(video.recipe))
    for pixels in _pictures(video, progress):
        Image.fromarray(pixels).save(path, format="PNG", pnginfo=chunks, optimize=True)


_WRITERS: dict[str, Callable[[Video, Path, Progress | None], None]] = {
    ".mp4": _write_mp4,
    ".gif": _write_gif,
    ".webp": _write_webp,
    ".png": _write_png,
}
