"""Films of any codec as FFmpeg reads them: upright, with square pixels, each frame with its time.

Runs in the process that may break (`reader.py`), so there is no torch here. A frame is turned into
pixels only if it is shown: of a film of 60 frames a second played at 12, one in five.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import av
from av.video.stream import VideoStream
from PIL import Image

from worldreel.errors import MediaError, message, shown
from worldreel.video.photo import MAX_PIXELS, check_pixels, reduced

__all__ = ["CONTAINERS", "Film", "opened"]

CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,asf,flv,mpeg,mpegts,mpegvideo,ogg,h264,hevc,ivf,"
    "m4v,mxf,nut,rm,dv,y4m,yuv4mpegpipe,gif,apng,obu"
)
"""Containers that hold what they show; play lists, which name other files, are not among them."""

_EXACT = 0x4 | 0x2000 | 0x4000 | 0x40000
"""swscale's flags for bicubic, full chroma in and out, accurate rounding (see `write.py`)."""
_QUARTERS = {
    1: Image.Transpose.ROTATE_90,
    2: Image.Transpose.ROTATE_180,
    3: Image.Transpose.ROTATE_270,
}


@dataclass(frozen=True)
class Film:
    """An open film; the frames can be walked through once."""

    path: Path
    container: av.container.InputContainer
    stream: VideoStream

    @property
    def rate(self) -> float:
        """Frames a second, as the file or its timestamps say (25 if nothing does)."""
        return float(self.stream.average_rate or self.stream.guessed_rate or 0) or 25.0

    @property
    def seconds(self) -> float | None:
        """How long the pictures last as the file says, if it does."""
        if self.stream.duration and self.stream.time_base:
            return float(self.stream.duration * self.stream.time_base)
        # A container's duration is that of its longest part, which may be the sound.
        if self.container.duration and len(self.container.streams) == 1:
            return self.container.duration / 1e6
        return None

    @property
    def remark(self) -> str | None:
        """The comment that the file carries, where a recipe may be."""
        found = self.container.metadata.get("comment")
        return found if isinstance(found, str) else None

    def frames(self, start: float = 0.0) -> Iterator[tuple[float, float, av.VideoFrame]]:
        """(from, until, frame) in seconds from the first picture, from about `start` on.

        Raises `MediaError` where the file breaks off before the end that it promises.
        """
        origin = 0.0
        end = last = -math.inf
        for index, (time, frame) in enumerate(self._decoded(start)):
            origin = time if index == 0 and time is not None else origin
            # What there is no time for comes at the rate.
            time = self._snapped(index / self.rate if time is None else time - origin)
            if time < last:
                continue  # a damaged clock: time does not go back
            last, end = time, time + self._shown(frame)
            yield time, end, frame
        seconds = self.seconds
        if seconds is not None and 0 <= end < seconds - max(0.5, 0.05 * seconds):
            came = f"{shown(self.path.name)} breaks off at {end:.1f} of {seconds:.1f} seconds"
            nearest = f"its first {math.floor(10 * end) / 10:g} seconds"
            raise MediaError(message(came, "give a whole file or a part of it", nearest=nearest))

    def picture(self, frame: av.VideoFrame, limit: int | None) -> Image.Image:
        """`frame` in RGB, upright, with square pixels, its shorter side at most `limit`."""
        width, height = self._square()
        if limit is not None:
            width, height = reduced(width, height, limit)
        plain = frame.reformat(width=width, height=height, format="rgb24", interpolation=_EXACT)
        plane = plain.planes[0]
        size = (width, height)
        image = Image.frombuffer("RGB", size, bytes(plane), "raw", "RGB", plane.line_size, 1)
        quarters = round(frame.rotation / 90) % 4  # both count counterclockwise
        return image.transpose(_QUARTERS[quarters]) if quarters else image

    def size(self, frame: av.VideoFrame) -> tuple[int, int]:
        """(width, height) of the upright picture before it is reduced."""
        width, height = self._square()
        return (height, width) if round(frame.rotation / 90) % 2 else (width, height)

    def _square(self) -> tuple[int, int]:
        """(width, height) with square pixels, before it is turned."""
        context = self.stream.codec_context
        aspect = float(self.stream.sample_aspect_ratio or 1) or 1.0
        # Nobody means a pixel ten times as wide as high; such numbers are damage.
        aspect = aspect if 0.1 < aspect < 10 else 1.0
        width = max(1, round(context.width * aspect))
        check_pixels(self.path, width, context.height)
        return width, context.height

    def _decoded(self, start: float) -> Iterator[tuple[float | None, av.VideoFrame]]:
        """(time, frame) of the first frame and of those from about `start` on, as the file counts
        time: which the first picture need not begin at 0, and not where the header says."""
        for frame in self.container.decode(self.stream):
            yield frame.time, frame
            if start > 1 and frame.time is not None and self._indexed():
                with suppress(av.FFmpegError):  # where that is impossible it is read through
                    self.container.seek(int((frame.time + start - 1) * 1e6), backward=True)
            start = 0

    def _indexed(self) -> bool:
        """Whether it knows where its key frames are: elsewhere a seek lands amid broken frames."""
        return not {"mov", "mp4", "matroska", "webm", "avi"}.isdisjoint(
            self.container.format.name.split(",")
        )

    def _snapped(self, time: float) -> float:
        """`time`, or the tick of the rate very near it: many files round to milliseconds, and a
        film of 24 frames a second seen at 12 would take now this neighbour, now the other."""
        ticks = time * self.rate
        return round(ticks) / self.rate if abs(ticks - round(ticks)) < 0.1 else time

    def _shown(self, frame: av.VideoFrame) -> float:
        """For how many seconds a frame is on screen, if none follows."""
        if frame.duration and frame.time_base:
            return float(frame.duration * frame.time_base)
        return 1 / self.rate


@contextmanager
def opened(path: Path) -> Iterator[Film]:
    """The film in `path`, judged by its header; raises `MediaError`, or as FFmpeg does."""
    options = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
    with av.open(f"file:{path}", options=options, metadata_errors="replace") as container:
        # The picture of an album's cover is a video stream too.
        moving = [s for s in container.streams.video if not _cover(s)]
        if not moving:
            raise MediaError(message(f"{shown(path.name)} holds no pictures", "give a video"))
        stream = max(moving, key=lambda s: s.codec_context.width * s.codec_context.height)
        check_pixels(path, stream.codec_context.width, stream.codec_context.height)
        # The header may lie: this holds for the sizes that the stream itself declares.
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS + 2**20)}
        stream.thread_type = "AUTO"
        yield Film(path, container, stream)


def _cover(stream: VideoStream) -> bool:
    return bool(int(getattr(stream, "disposition", 0)) & 0x400)  # AV_DISPOSITION_ATTACHED_PIC
