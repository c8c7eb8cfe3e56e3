"""What looks like a hate symbol and is none, drawn as symbols.py draws them: crosses, pinwheels,
windmills, spoked wheels, gears, clocks, screws, single bolts, ribbons, other runes, letters …"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from PIL import ImageFont

from worldreel.safety.strokes import Pen, Point, arms, bolt, turned

__all__ = ["LOOKALIKES"]


def _cross(pen: Pen) -> None:
    arms(pen, int(pen.chance.choice([3, 4, 4, 4, 5, 6, 8])), (0, 0), (0, -0.9))


def _potent(pen: Pen) -> None:
    """Bars across all ends: hooks to both sides."""
    bar = float(pen.chance.uniform(0.3, 0.6))
    arms(pen, 4, (0, 0), (0, -0.8))
    arms(pen, 4, (-bar, -0.8), (bar, -0.8))


def _mixed(pen: Pen) -> None:
    """A cross whose hooks do not run one way round."""
    ways = [
        (1, -1, 1, -1),
        (1, 1, -1, -1),
        (1, 0, 1, 0),
        (0, -1, 0, -1),
        (1, 0, 0, 0),
        (-1, 0, 0, 0),
    ]
    for quarter, way in enumerate(ways[pen.chance.integers(len(ways))]):
        pen.line(*turned([(0, 0), (0, -0.85), (way * 0.75, -0.85)], quarter))


def _three(pen: Pen) -> None:
    """Three or five bent arms, either way."""
    way = float(pen.chance.choice([-1, 1]))
    arms(pen, int(pen.chance.choice([3, 5, 6])), (0, 0), (0, -0.85), (way * 0.45, -0.85))


def _pinwheel(pen: Pen) -> None:
    way, count = float(pen.chance.choice([-1, 1])), int(pen.chance.choice([3, 4, 4, 4, 5, 6]))
    wide, deep = pen.chance.uniform(0.3, 0.8), pen.chance.uniform(-0.5, 0.1)
    for arm in range(count):
        blade = [(0.0, 0.0), (0.0, -0.92), (float(way * wide), -0.92 - float(deep))]
        pen.fill(*turned(blade, 4 * arm / count))


def _whirl(pen: Pen) -> None:
    """Curved arms: fans, galaxies, propellers."""
    way, count = float(pen.chance.choice([-1, 1])), int(pen.chance.choice([2, 3, 4, 4, 5, 7]))
    bend = way * float(pen.chance.uniform(0.6, 2.0))
    radii = np.linspace(0.05, 0.88, 9)
    arm = [(float(r * math.sin(bend * r)), float(-r * math.cos(bend * r))) for r in radii]
    arms(pen, count, *arm)


def _half(pen: Pen) -> None:
    """Two of four arms: a squared S or Z."""
    way = float(pen.chance.choice([-1, 1]))
    for quarter in (0, 2):
        pen.line(*turned([(0, 0), (0, -0.85), (way * 0.8, -0.85)], quarter))


def _spiral(pen: Pen) -> None:
    way, at, step = float(pen.chance.choice([-1, 1])), (0.0, 0.0), 0.42
    points = [at]
    for leg in range(int(pen.chance.integers(4, 8))):
        dx, dy = turned([(0.0, -step * (leg // 2 + 1))], way * leg)[0]
        points.append((points[-1][0] + dx, points[-1][1] + dy))
    middle = np.mean(points, axis=0)
    size = float(np.abs(np.asarray(points) - middle).max()) or 1.0
    pen.line(
        *(((x - middle[0]) / size * 0.88, (y - middle[1]) / size * 0.88) for x, y in points),
        width=min(pen.width, 0.24),
    )


def _key(pen: Pen) -> None:
    """A piece of a meander."""
    way = float(pen.chance.choice([-1, 1]))
    for x in (-0.62, 0.38):
        points = [
            (x - 0.3, 0.8),
            (x - 0.3, -0.7),
            (x + 0.35, -0.7),
            (x + 0.35, 0.3),
            (x, 0.3),
            (x, -0.2),
        ]
        pen.line(*((way * a, b) for a, b in points), width=min(pen.width, 0.18))


def _grid(pen: Pen) -> None:
    count = int(pen.chance.choice([2, 3, 3, 4]))
    for at in np.linspace(-0.85, 0.85, count):
        pen.line((float(at), -0.85), (float(at), 0.85), width=min(pen.width, 0.9 / count))
        pen.line((-0.85, float(at)), (0.85, float(at)), width=min(pen.width, 0.9 / count))


def _wheel(pen: Pen) -> None:
    """A rim, a hub and straight spokes: wheels, dharma wheels, crosshairs."""
    count = int(pen.chance.choice([5, 6, 8, 8, 10, 12, 12, 16]))
    width = min(pen.width, 1.4 / count)
    pen.ring(0.8, width)
    if pen.chance.random() < 0.6:
        pen.disc(0, 0, float(pen.chance.uniform(0.1, 0.3)))
    for spoke in range(count):
        pen.line(*turned([(0, 0), (0, -0.85)], 4 * spoke / count), width=width)


def _rays(pen: Pen) -> None:
    """The sun of a child's drawing, a gear, a flower."""
    count = int(pen.chance.choice([6, 8, 10, 12, 12, 16]))
    inner = float(pen.chance.uniform(0.3, 0.6))
    pen.disc(0, 0, inner * float(pen.chance.uniform(0.5, 1.1)))
    for ray in range(count):
        pen.line(
            *turned([(0, -inner), (0, -0.9)], 4 * ray / count), width=min(pen.width, 2 / count)
        )


def _clock(pen: Pen) -> None:
    pen.ring(0.86, 0.09)
    for hour in range(12):
        pen.line(*turned([(0, -0.78), (0, -0.64)], hour / 3), width=0.06)
    for reach in (0.4, 0.6):
        pen.line((0, 0), *turned([(0, -reach)], float(pen.chance.uniform(0, 4))), width=0.09)


def _one_bolt(pen: Pen) -> None:
    bolt(pen, 0.0, float(pen.chance.uniform(0.4, 0.8)), 0.1, int(pen.chance.choice([-1, 1])))


def _against(pen: Pen) -> None:
    """Two bolts that mirror each other, or slanted strokes: no runes."""
    wide = 0.5
    if pen.chance.random() < 0.5:
        for flip in (-1, 1):
            bolt(pen, flip * 0.45, wide, 0.1, flip)
        return
    lean = float(pen.chance.choice([-1, 1]) * pen.chance.uniform(0.1, 0.5))
    for x in (-0.45, 0.45):
        pen.line((x + lean / 2, -0.85), (x - lean / 2, 0.85), width=min(pen.width, 0.3))


def _star(pen: Pen) -> None:
    points = int(pen.chance.choice([4, 5, 5, 6, 8]))
    inner = float(pen.chance.uniform(0.25, 0.6))
    radii = [0.92 if i % 2 == 0 else inner for i in range(2 * points)]
    turns = [math.pi * i / points for i in range(2 * points)]
    pen.fill(*((r * math.sin(a), -r * math.cos(a)) for r, a in zip(radii, turns, strict=True)))


def _windows(pen: Pen) -> None:
    for x in (-0.47, 0.47):
        for y in (-0.47, 0.47):
            s = float(pen.chance.uniform(0.25, 0.42))
            pen.fill((x - s, y - s), (x + s, y - s), (x + s, y + s), (x - s, y + s))


def _arrows(pen: Pen) -> None:
    """Arrows around a circle: recycling, reload."""
    count, way = int(pen.chance.choice([2, 3, 4])), float(pen.chance.choice([-1, 1]))
    for arm in range(count):
        angles = np.linspace(0, 1.3 * math.pi / count, 6) * way + 2 * math.pi * arm / count
        points = [(0.7 * math.sin(a), -0.7 * math.cos(a)) for a in angles]
        pen.line(*points, width=min(pen.width, 0.2))
        x, y = points[-1]
        ahead = angles[-1] + way * 0.5
        tip = (0.7 * math.sin(ahead), -0.7 * math.cos(ahead))
        pen.fill((x * 1.4, y * 1.4), (x * 0.6, y * 0.6), tip)


def _letters(pen: Pen) -> None:
    """One to three letters or digits, zigzags among them more often."""
    pool = "SZNX45" if pen.chance.random() < 0.5 else "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789#&%+@?"
    count = int(pen.chance.choice([1, 2, 2, 3]))
    word = "".join(pen.chance.choice(list(pool)) for _ in range(count))
    if count == 2 and pen.chance.random() < 0.5:
        word = word[0] * 2
    font = ImageFont.load_default(
        size=pen.side * (0.9 if count == 1 else 0.75 if count == 2 else 0.5)
    )
    middle = (pen.side / 2, pen.side / 2)
    bold = int(pen.chance.uniform(0, 0.03) * pen.side)
    pen.canvas.text(middle, word, fill=255, font=font, anchor="mm", stroke_width=bold)


def _gear(pen: Pen) -> None:
    """Teeth around a disc with a hole."""
    count, inner = int(pen.chance.integers(6, 17)), float(pen.chance.uniform(0.55, 0.75))
    width = 2.2 * inner / count * float(pen.chance.uniform(0.8, 1.3))
    pen.ring((inner + 0.3) / 2, inner - 0.3)
    for tooth in range(count):
        pen.line(*turned([(0, -inner), (0, -0.88)], 4 * tooth / count), width=width)


def _windmill(pen: Pen) -> None:
    """A tower and four sails: a stock, and a frame on one side of it."""
    way, thin = float(pen.chance.choice([-1, 1])), float(pen.chance.uniform(0.03, 0.08))
    spin, wide = float(pen.chance.uniform(0, 1)), float(pen.chance.uniform(0.12, 0.24))
    if pen.chance.random() < 0.6:
        pen.fill((-0.14, 0.0), (0.14, 0.0), (0.3, 0.95), (-0.3, 0.95))
    full = pen.chance.random() < 0.5
    for sail in range(4):
        pen.line(*turned([(0, 0), (0, -0.88)], sail + spin), width=thin)
        frame: list[Point] = [(0, -0.2), (way * wide, -0.2), (way * wide, -0.88), (0, -0.88)]
        if full:
            pen.fill(*turned(frame, sail + spin))
        else:
            pen.line(*turned(frame, sail + spin), width=thin)


def _quartered(pen: Pen) -> None:
    """A cross within a ring: sights, screws, buttons, sun crosses, wheels of four spokes."""
    thin, radius = float(pen.chance.uniform(0.04, 0.16)), float(pen.chance.uniform(0.6, 0.86))
    sights = pen.chance.random() < 0.4
    reach = min(0.94, radius + 0.15) if sights else radius
    width = min(thin, 0.08) if sights else thin * 1.5
    gap = float(pen.chance.uniform(0.1, 0.4)) if pen.chance.random() < 0.4 else 0.0
    pen.ring(radius, width if pen.chance.random() < 0.6 else thin)
    for quarter in range(4):
        pen.line(*turned([(0, -gap), (0, -reach)], quarter), width=width)


def _ribbon(pen: Pen) -> None:
    """A loop whose ends cross: ribbons, fish, tied strings. Round where the rune has corners."""
    turns = np.linspace(-1.35, 1.35, 12) * math.pi / 2
    wide, high = float(pen.chance.uniform(0.25, 0.6)), float(pen.chance.uniform(0.35, 0.55))
    points = [(wide * math.sin(a) * 1.1, -0.4 - high * math.cos(a)) for a in turns]
    feet = float(pen.chance.uniform(0.2, 0.6))
    ends = [(feet, 0.9)], [(-feet, 0.9)]
    pen.line(*ends[0], *points, *ends[1], width=min(pen.width, 0.28))


_RUNES: tuple[tuple[tuple[Point, ...], ...], ...] = (
    (((0.0, -0.9), (0.0, 0.9)), ((0.0, -0.9), (0.5, -0.5)), ((0.0, -0.4), (0.5, 0.0))),
    (((-0.4, 0.9), (-0.4, -0.9), (0.4, -0.4), (0.4, 0.9)),),
    (((0.0, -0.9), (0.0, 0.9)), ((-0.5, -0.6), (0.0, -0.1), (0.5, -0.6))),
    (((0.0, -0.9), (0.0, 0.9)), ((-0.4, -0.2), (0.4, 0.2))),
    (((-0.4, -0.9), (-0.4, 0.9)), ((0.4, -0.9), (0.4, 0.9)), ((-0.4, -0.3), (0.4, 0.3))),
    (((-0.5, -0.9), (0.5, 0.9)), ((0.5, -0.9), (-0.5, 0.9))),
    (((0.0, -0.9), (0.6, 0.0), (0.0, 0.9), (-0.6, 0.0), (0.0, -0.9)),),
    (((0.0, 0.9), (0.0, -0.9)), ((-0.5, -0.4), (0.0, -0.9), (0.5, -0.4))),
    (((-0.4, -0.9), (-0.4, 0.9), (0.4, -0.9), (0.4, 0.9)), ((-0.4, -0.9), (0.4, 0.9))),
    (((-0.5, 0.9), (-0.5, -0.9), (0.5, 0.9), (0.5, -0.9)),),
    (((-0.5, -0.85), (0.5, -0.85), (-0.5, 0.85), (0.5, 0.85)),),
    (((-0.5, -0.85), (0.5, -0.85), (-0.5, 0.85), (0.5, 0.85)), ((-0.35, 0.0), (0.35, 0.0))),
    (((0.0, -0.9), (0.0, 0.9)), ((-0.5, 0.0), (0.5, 0.0)), ((0.0, -0.9), (0.4, -0.6))),
    (((0.0, -0.9), (0.0, 0.9)), ((-0.4, -0.9), (0.4, -0.9)), ((-0.4, 0.9), (0.4, 0.9))),
)


def _rune(pen: Pen) -> None:
    """Other runes, and letters as runes are cut; one or two of them."""
    count = int(pen.chance.choice([1, 1, 2]))
    for place in range(count):
        shape = _RUNES[pen.chance.integers(len(_RUNES))]
        flip, shrink = float(pen.chance.choice([-1, 1])), 1.0 if count == 1 else 0.7
        middle = 0.0 if count == 1 else (place - 0.5) * 1.0
        for stroke in shape:
            points = [(middle + flip * shrink * x, y) for x, y in stroke]
            pen.line(*points, width=min(pen.width, 0.24))


def _weave(pen: Pen) -> None:
    """Blocks at right angles: bricks, tiles, basket weave, squared paper cut off anywhere."""
    size, width = float(pen.chance.uniform(0.3, 0.6)), min(pen.width, 0.16)
    dx, dy = pen.chance.uniform(-size, size, 2)
    for row in range(-4, 5):
        for column in range(-4, 5):
            x, y = float(dx) + column * size, float(dy) + row * size
            if max(abs(x), abs(y)) > 0.95:
                continue
            long = size * 0.42
            if (row + column) % 2:
                pen.line((max(-0.95, x - long), y), (min(0.95, x + long), y), width=width)
            else:
                pen.line((x, max(-0.95, y - long)), (x, min(0.95, y + long)), width=width)


def _branches(pen: Pen) -> None:
    """Strokes at any angle from about one place, some of them bent: twigs, stars, insects."""
    for _ in range(int(pen.chance.integers(3, 9))):
        turn, reach = float(pen.chance.uniform(0, 4)), float(pen.chance.uniform(0.4, 0.9))
        x, y = (float(v) for v in pen.chance.normal(0, 0.12, 2))
        tip = turned([(0, -reach)], turn)[0]
        points: list[Point] = [(x, y), tip]
        if pen.chance.random() < 0.5:
            bend = turned([(float(pen.chance.uniform(-0.5, 0.5)), -reach)], turn)[0]
            points.append((float(np.clip(bend[0], -0.9, 0.9)), float(np.clip(bend[1], -0.9, 0.9))))
        pen.line(*points, width=min(pen.width, 0.25))


LOOKALIKES: dict[str, Callable[[Pen], None]] = {
    "cross": _cross,
    "potent": _potent,
    "mixed": _mixed,
    "three": _three,
    "pinwheel": _pinwheel,
    "whirl": _whirl,
    "half": _half,
    "spiral": _spiral,
    "key": _key,
    "grid": _grid,
    "wheel": _wheel,
    "rays": _rays,
    "clock": _clock,
    "one bolt": _one_bolt,
    "against": _against,
    "star": _star,
    "windows": _windows,
    "arrows": _arrows,
    "letters": _letters,
    "gear": _gear,
    "windmill": _windmill,
    "quartered": _quartered,
    "ribbon": _ribbon,
    "rune": _rune,
    "weave": _weave,
    "branches": _branches,
}
"""Each draws one of its kind by a pen."""
