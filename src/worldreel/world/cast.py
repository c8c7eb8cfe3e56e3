"""The nouns of a scene: who plays (`Cast`) and how the camera goes (`CameraMove`).

Plain frozen data in world units and seconds. What the data *means* in time is in `motion` and
`camera`; how it is said in words is in `captions`.
"""

from __future__ import annotations

from dataclasses import dataclass

BEHAVIOURS = (
    "idle",
    "walk",
    "run",
    "jump",
    "bounce",
    "fall",
    "roll",
    "fly",
    "swim",
    "drive",
    "slide",
    "float",
    "dance",
    "spin",
    "grow",
    "shrink",
    "leave",
)
"""What one actor can do alone."""

EVENTS = ("chase", "meet", "pass")
"""What two actors do together; `pass`: the first passes behind the second, an occluding prop."""

TRAVELS = ("walk", "run", "fly", "swim", "drive", "roll", "slide", "leave")
"""Behaviours that carry an actor across the world."""

CAMERA_MOVES = (
    "static",
    "pan left",
    "pan right",
    "tilt up",
    "tilt down",
    "zoom in",
    "zoom out",
    "follow",
    "handheld",
)
"""The sign is the camera's: in `pan right` the camera goes right and the picture slides left."""

STYLES = ("plain", "grain", "black and white", "watercolour", "step-printing")
"""Film styles; drawn by the renderer."""

CRUISE = {
    "walk": 0.34,
    "run": 0.72,
    "drive": 0.85,
    "fly": 0.62,
    "swim": 0.45,
    "roll": 0.5,
    "slide": 0.5,
}
"""World units a second of an actor that a camera follows, before its own `speed`."""


@dataclass(frozen=True, kw_only=True)
class Cast:
    """One actor in one scene."""

    kind: str
    colour: str | None = None
    """One of the eight colours, or None for the colours it was drawn in."""
    feeling: str | None = None
    size: float
    """Content height, world units, in a square frame."""
    width: float
    """Content width, world units, in a square frame."""
    slot: float = 0.0
    """Resting place, -1..1 across the frame (times half its width)."""
    feet: float
    """y of the lowest point at rest, world units."""
    lane: float = 0.5
    """Depth, 0 far to 1 near; nearer actors cover others."""
    floor: float | None = None
    """y of the ground below, world units; None in open water, the sky or space."""
    medium: str = "ground"
    behaviour: str = "idle"
    direction: str = "none"
    """Where it goes in the world: left, right, up, down or none."""
    facing: int = 1
    """+1 faces right, -1 left, while it does not travel."""
    reach: tuple[float, float] = (0.0, 0.0)
    """From and to, in units of half the frame's width (height for up and down)."""
    start: float = 0.0
    end: float = 4.0
    """Seconds between which the behaviour happens."""
    speed: float = 1.0
    amount: float = 1.0
    phase: float = 0.0
    """Where in its animation cycle it begins, 0..1."""
    round: bool = False
    """Whether it turns in the plane of the picture when it spins."""
    directional: bool = True
    """Whether it is drawn from the side and so has to face where it goes."""

    @property
    def travels(self) -> bool:
        """Whether it moves across the world."""
        return self.behaviour in TRAVELS


@dataclass(frozen=True, kw_only=True)
class CameraMove:
    """A named camera move with its strength."""

    name: str = "static"
    amount: float = 0.0
    """Half the path of a pan (of half the frame's width) or tilt (world units); log zoom ratio."""
    target: tuple[float, float] = (0.0, 0.5)
    """Where a zoom goes: slot -1..1 and y in world units."""
    phase: float = 0.0
    """Seed of a hand's tremor."""
