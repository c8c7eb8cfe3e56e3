"""Contact sheets: many moments of one video, or many videos, on one dark page."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from worldreel.video.video import Video

__all__ = ["contact_sheet"]

_PAGE, _CARD, _INK, _FAINT = "#101216", "#1a1d24", "#eceef2", "#8d94a3"
_MARGIN, _GAP, _PAD, _RADIUS = 28, 18, 12, 10
_SEAM = 4  # between the moments of one strip
_TITLE, _CAPTION, _TIME = 24, 18, 14
_SCALE = 4  # masks are drawn this much larger, for smooth corners

Captioned = tuple[str, Video]


def contact_sheet(
    shown: Video | Sequence[Captioned],
    *,
    columns: int | None = None,
    frames: int | None = None,
    thumb: int = 176,
    title: str | None = None,
) -> Image.Image:
    """A page (RGB) with evenly spaced frames, each `thumb` pixels high.

    One video: `frames` (8) moments in `columns` (4), the time under each, and above them `title`,
    the recipe's prompt if none is given. Several (caption, video): one card each with its caption
    and a strip of `frames` (4) moments, the cards in `columns` (as many as suit a page).
    """
    if isinstance(shown, Video):
        moments = _moments(shown, frames or 8, thumb)
        prompt = str((shown.recipe or {}).get("prompt", ""))
        cards = [_card([picture], f"{time:.1f} s", _TIME) for time, picture in moments]
        return _page(cards, min(columns or 4, len(cards)), title if title is not None else prompt)
    assert shown, "a sheet shows at least one video"
    cards = [
        _card([picture for _, picture in _moments(video, frames or 4, thumb)], caption, _CAPTION)
        for caption, video in shown
    ]
    widest = max(card.width for card in cards)
    columns = columns or max(1, round(1800 / (widest + _GAP)))
    return _page(cards, min(columns, len(cards)), title or "")


def _moments(video: Video, count: int, thumb: int) -> list[tuple[float, Image.Image]]:
    """(seconds, picture) of up to `count` frames, the first and the last among them."""
    count = max(1, min(count, len(video)))
    last = len(video) - 1
    indices = [round(i * last / (count - 1)) if count > 1 else 0 for i in range(count)]
    size = (max(1, round(thumb * video.width / video.height)), thumb)
    pictures = (Image.fromarray(frame) for frame in video.pick(indices).numpy())
    return [
        (i / video.fps, picture.resize(size, Image.Resampling.LANCZOS))
        for i, picture in zip(indices, pictures, strict=True)
    ]


def _card(pictures: Sequence[Image.Image], caption: str, size: int) -> Image.Image:
    """The pictures side by side in one rounded strip, the caption wrapped below."""
    width = sum(p.width for p in pictures) + _SEAM * (len(pictures) - 1)
    lines = _wrapped(caption, size, width - 4)
    line = round(size * 1.35)
    below = _PAD - 4 + line * len(lines) if lines else 0
    card = Image.new("RGB", (width + 2 * _PAD, pictures[0].height + below + 2 * _PAD), _CARD)
    strip = Image.new("RGB", (width, pictures[0].height), _CARD)
    x = 0
    for picture in pictures:
        strip.paste(picture, (x, 0))
        x += picture.width + _SEAM
    card.paste(strip, (_PAD, _PAD), _rounded(strip.size, _RADIUS // 2))
    draw = ImageDraw.Draw(card)
    for row, text in enumerate(lines):
        y = _PAD + strip.height + _PAD - 4 + row * line
        draw.text((_PAD + 2, y), text, font=_font(size), fill=_FAINT if size == _TIME else _INK)
    return card


def _page(cards: Sequence[Image.Image], columns: int, title: str) -> Image.Image:
    """Cards of any size in rows, equally wide columns, the title on top."""
    widths = [max(card.width for card in cards[c::columns]) for c in range(columns)]
    rows = [cards[r : r + columns] for r in range(0, len(cards), columns)]
    heights = [max(card.height for card in row) for row in rows]
    width = sum(widths) + _GAP * (columns - 1) + 2 * _MARGIN
    lines = _wrapped(title, _TITLE, width - 2 * _MARGIN)
    top = _MARGIN + round(_TITLE * 1.35) * len(lines) + (_GAP // 2 if lines else 0)
    height = top + sum(heights) + _GAP * (len(rows) - 1) + _MARGIN
    page = Image.new("RGB", (width, height), _PAGE)
    draw = ImageDraw.Draw(page)
    for row, text in enumerate(lines):
        y = _MARGIN - 6 + row * round(_TITLE * 1.35)
        draw.text((_MARGIN + 2, y), text, font=_font(_TITLE), fill=_INK)
    y = top
    for cells, tall in zip(rows, heights, strict=True):
        x = _MARGIN
        for card, wide in zip(cells, widths, strict=False):
            # A shorter card is drawn as tall as its row, so that the rows line up.
            full = Image.new("RGB", (wide, tall), _CARD)
            full.paste(card, (0, 0))
            page.paste(full, (x, y), _rounded(full.size, _RADIUS))
            x += wide + _GAP
        y += tall + _GAP
    return page


@lru_cache(maxsize=64)
def _rounded(size: tuple[int, int], radius: int) -> Image.Image:
    """A mask (L) of a rectangle with round corners."""
    large = Image.new("L", (size[0] * _SCALE, size[1] * _SCALE), 0)
    box = (0, 0, large.width - 1, large.height - 1)
    ImageDraw.Draw(large).rounded_rectangle(box, radius * _SCALE, fill=255)
    return large.resize(size, Image.Resampling.LANCZOS)


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """DejaVu where the system has it (it knows most scripts), else what Pillow brings."""
    try:
        return ImageFont.truetype("DejaVuSans.ttf", size)
    except OSError:
        return ImageFont.load_default(size)


def _wrapped(text: str, size: int, width: int, *, most: int = 4) -> list[str]:
    """`text` in at most `most` lines of `width` pixels, cut with an ellipsis."""
    font = _font(size)
    lines: list[str] = []
    line = ""
    words = " ".join(text.split())[:600].split(" ") if text.strip() else []
    for word in words:
        while font.getlength(word) > width and len(word) > 1:  # no blanks, or a long address
            fits = 1
            while fits + 1 < len(word) and font.getlength(word[: fits + 1]) <= width:
                fits += 1
            lines += [line] * bool(line) + [word[:fits]]
            line, word = "", word[fits:]
        longer = f"{line} {word}".strip()
        if line and font.getlength(longer) > width:
            lines.append(line)
            line = word
        else:
            line = longer
    lines += [line] * bool(line)
    if len(lines) > most:
        lines = lines[:most]
        while lines[-1] and font.getlength(lines[-1] + "…") > width:
            lines[-1] = lines[-1][:-1]
        lines[-1] += "…"
    return lines
