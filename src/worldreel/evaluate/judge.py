"""The judges: small networks that say what a clip shows, so that a model can be marked.

Two of them, both on frames of 64², because that is where a toy world is still plain to the eye:

    Look    one frame → on a grid of 16×16 cells the kind and the colour of the actor there,
            and for the whole frame the place and the time of day
    Motion  nine frames over the clip → on a grid of 8×8 cells where the actor there travels
            in the world, and for the whole clip what the camera does

They learned from all combinations, seen and unseen mixed, colour and kind at the cells where the
actor is: a judge taught on a model's training combinations learns pairs instead of factors and
lies. They saw turned hues and shapeless blobs as well, so that shape decides what a thing is.
What they are worth is measured on renders and on the codec's reconstructions of them, beside
every figure that they give (`bench`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.resources import files

import torch
import torch.nn.functional as F
from safetensors.torch import load
from torch import Tensor, nn

from worldreel.errors import WeightsError

__all__ = [
    "DIRECTIONS",
    "GRID",
    "MOMENTS",
    "NOTHING",
    "SIDE",
    "Judgement",
    "Judges",
    "Vocabulary",
    "presences",
    "view",
]

SIDE = 64
"""Pixels a side of what the judges see."""
GRID = 16
"""Cells a side of Look's grid; Motion's is half as fine."""
MOMENTS = 9
"""Frames of a clip that are judged, evenly spaced, first and last among them."""
DIRECTIONS = ("none", "left", "right", "up", "down")
NOTHING = "nothing clear"
"""Stands among the kinds where no kind, or no further one, is plainly seen."""
_CLEAR = 0.1  # presence that a kind needs to be seen at all; of true ones 1 in 200 has less
_PEAK = 8  # cells that make a presence: an actor of the smallest size covers about so many


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """What the judges can tell apart; the order is that of their outputs."""

    kinds: tuple[str, ...]
    colours: tuple[str, ...]
    places: tuple[str, ...]
    times: tuple[str, ...]
    cameras: tuple[str, ...]

    @classmethod
    def from_json(cls, text: str) -> Vocabulary:
        """The inverse of `to_json`."""
        return cls(**{name: tuple(values) for name, values in json.loads(text).items()})

    def to_json(self) -> str:
        """One line, as kept in the weights' metadata."""
        return json.dumps(asdict(self))


def _conv(wide: int, out: int, *, stride: int = 1, kernel: int = 3) -> nn.Sequential:
    convolution = nn.Conv2d(wide, out, kernel, stride=stride, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out), nn.ReLU())


class _Block(nn.Module):
    """x + conv(conv(x))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _conv(width, width)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(self.second(self.first(x)))
        return F.relu(x + y)


class Look(nn.Module):
    """Frames [N, 3, 64, 64] in [-1, 1] → logits: kind [N, 1+K, 16, 16] (0 is nobody), colour
    [N, C+1, 16, 16] (the last is "as it was drawn"), place [N, P], time [N, T]."""

    def __init__(self, vocabulary: Vocabulary, *, width: int = 48) -> None:
        super().__init__()
        self.enter = nn.Sequential(
            _conv(3, width // 2, stride=2, kernel=5), _conv(width // 2, width, stride=2)
        )
        self.fine = _Block(width)
        self.down = _conv(width, 2 * width, stride=2)
        self.coarse = nn.Sequential(_Block(2 * width), _Block(2 * width))
        self.up = nn.Conv2d(2 * width, width, 1, bias=False)
        self.merge = _conv(2 * width, 2 * width)
        self.kind = nn.Conv2d(2 * width, 1 + len(vocabulary.kinds), 1)
        self.colour = nn.Conv2d(2 * width, len(vocabulary.colours) + 1, 1)
        self.place = nn.Linear(4 * width, len(vocabulary.places))
        self.time = nn.Linear(4 * width, len(vocabulary.times))

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        fine = self.fine(self.enter(frames))
        coarse = self.coarse(self.down(fine))
        above = F.interpolate(self.up(coarse), scale_factor=2.0, mode="nearest")
        cells = self.merge(torch.cat([fine, above], 1))
        whole = torch.cat([coarse.mean((2, 3)), coarse.amax((2, 3))], 1)
        return self.kind(cells), self.colour(cells), self.place(whole), self.time(whole)


_REACH = (2, 5)  # rows and columns of cells that motion is searched over
_PAIRS = ((0, 1), (1, 2), (5, 6), (0, 4), (2, 6), (4, 8))
"""Neighbouring moments, for what is fast, and distant ones, for what is slow."""


@lru_cache(maxsize=1)
def _neighbours() -> tuple[Tensor, Tensor]:
    """For each cell the indices of the cells within reach, [256, 55], and which exist."""
    rows, columns = _REACH
    at = torch.arange(GRID)
    y, x = (c.flatten()[:, None] for c in torch.meshgrid(at, at, indexing="ij"))
    dy, dx = torch.meshgrid(
        torch.arange(-rows, rows + 1), torch.arange(-columns, columns + 1), indexing="ij"
    )
    y, x = y + dy.flatten(), x + dx.flatten()
    exists = (y >= 0) & (y < GRID) & (x >= 0) & (x < GRID)
    return (y * GRID + x).where(exists, 0), exists


def _correlations(first: Tensor, second: Tensor) -> Tensor:
    """How alike each cell is to those around it a moment later: [N, C, 16, 16] twice →
    [N, 55, 16, 16], a distribution over displacements."""
    a, b = (F.normalize(x.flatten(2), dim=1) for x in (first, second))
    index, exists = _neighbours()
    alike = (a.transpose(1, 2) @ b).gather(2, index.expand(len(a), -1, -1))
    moved: Tensor = (12 * alike).masked_fill(~exists, -20.0).softmax(2)
    return moved.transpose(1, 2).reshape(len(a), -1, GRID, GRID)


class Motion(nn.Module):
    """Clips [B, 9, 3, 64, 64] in [-1, 1] → logits: direction of the actor in each cell
    [B, 1+5, 8, 8] (0 is nobody), camera [B, M]."""

    def __init__(self, vocabulary: Vocabulary, *, width: int = 32) -> None:
        super().__init__()
        displacements = (2 * _REACH[0] + 1) * (2 * _REACH[1] + 1)
        self.enter = nn.Sequential(
            _conv(3, 24, stride=2, kernel=5), nn.Conv2d(24, width, 3, stride=2, padding=1)
        )
        self.pair = nn.Sequential(
            nn.BatchNorm2d(displacements + 2 * width),
            _conv(displacements + 2 * width, 2 * width, kernel=1),
            _conv(2 * width, 2 * width, stride=2),
        )
        self.join = _conv(2 * width * len(_PAIRS), 3 * width, kernel=1)
        self.deep = _Block(3 * width)
        self.direction = nn.Sequential(
            _conv(9 * width, 3 * width, kernel=1), nn.Conv2d(3 * width, 1 + len(DIRECTIONS), 1)
        )
        self.camera = nn.Sequential(
            nn.Linear(6 * width, 3 * width),
            nn.ReLU(),
            nn.Linear(3 * width, len(vocabulary.cameras)),
        )

    def forward(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        batch = len(clips)
        x = self.enter(clips.flatten(0, 1)).unflatten(0, (batch, MOMENTS))
        first = x[:, [i for i, _ in _PAIRS]].flatten(0, 1)
        second = x[:, [j for _, j in _PAIRS]].flatten(0, 1)
        x = self.pair(torch.cat([_correlations(first, second), first, second], 1))
        x = self.deep(self.join(x.unflatten(0, (batch, -1)).flatten(1, 2)))
        whole = torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)
        around = whole[:, :, None, None].expand(-1, -1, *x.shape[2:])
        return self.direction(torch.cat([x, around], 1)), self.camera(whole)


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What the judges see in one clip."""

    place: str
    time: str
    camera: str
    motion: str
    """Where the actor travels in the world (the most likely; for clips of one actor)."""
    presence: dict[str, float]
    """Kind → how surely it is somewhere, 0..1, the surest first; NOTHING stands where sureness
    ends, so that a shapeless actor is no kind."""
    colours: dict[str, str]
    """Kind → the colour of the eight at the places where that kind is seen."""
    colour: str
    """The colour of the eight over all actors (for clips of one actor)."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """All kinds, the surest first, NOTHING behind those that are seen."""
        return tuple(self.presence)


class Judges(nn.Module):
    """Both judges with their vocabulary."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.look = Look(vocabulary)
        self.motion = Motion(vocabulary)

    @classmethod
    def load(cls) -> Judges:
        """The judges that ship with the package, ready to judge.

        Raises:
            WeightsError: the weights are missing or not those of the checksum beside them.
        """
        return _shipped()

    @torch.no_grad()
    def judge(self, clips: Tensor) -> list[Judgement]:
        """Judges views [B, 9, 3, 64, 64] in [-1, 1] (see `view`)."""
        assert not self.training
        kind_logits, colour, place, time = self.look(clips.flatten(0, 1))
        kind = kind_logits.softmax(1).unflatten(0, (len(clips), MOMENTS))
        colour = colour[:, :-1].softmax(1).unflatten(0, (len(clips), MOMENTS))
        presence = presences(kind_logits).unflatten(0, (len(clips), MOMENTS)).mean(1)
        painted = torch.einsum("btkyx,btcyx->bkc", kind[:, :, 1:], colour)
        place = place.log_softmax(1).unflatten(0, (len(clips), MOMENTS)).mean(1)
        time = time.log_softmax(1).unflatten(0, (len(clips), MOMENTS)).mean(1)
        direction, camera = self.motion(clips)
        travel = direction.softmax(1)[:, 1:].sum((2, 3))
        words = self.vocabulary
        return [
            Judgement(
                place=words.places[int(place[i].argmax())],
                time=words.times[int(time[i].argmax())],
                camera=words.cameras[int(camera[i].argmax())],
                motion=DIRECTIONS[int(travel[i].argmax())],
                presence=_ordered(words.kinds, presence[i]),
                colours={
                    name: words.colours[int(painted[i, k].argmax())]
                    for k, name in enumerate(words.kinds)
                },
                colour=words.colours[int(painted[i].sum(0).argmax())],
            )
            for i in range(len(clips))
        ]


def _ordered(kinds: tuple[str, ...], presence: Tensor) -> dict[str, float]:
    """Presences [K] by name with NOTHING among them, the surest first."""
    found = {NOTHING: _CLEAR, **dict(zip(kinds, presence.tolist(), strict=True))}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def presences(kind: Tensor) -> Tensor:
    """How surely each kind is somewhere in a frame: Look's logits [N, 1+K, 16, 16] → [N, K] in
    0..1, the mean over the cells where it is surest."""
    found: Tensor = kind.softmax(1)[:, 1:].flatten(2).topk(_PEAK, -1).values.mean(2)
    return found


def view(frames: Tensor) -> Tensor:
    """What the judges see of videos.

    Args:
        frames: uint8 [T, H, W, 3] of one video, or float [B, 3, T, H, W] in [-1, 1].

    Returns:
        [B, 9, 3, 64, 64] in [-1, 1]: nine moments, area-pooled.
    """
    if frames.dtype == torch.uint8:
        frames = frames.permute(3, 0, 1, 2)[None].float() / 127.5 - 1
    moments = torch.linspace(0, frames.shape[2] - 1, MOMENTS).round().long()
    picked = frames[:, :, moments].transpose(1, 2)
    small = F.interpolate(picked.flatten(0, 1).clamp(-1, 1), size=(SIDE, SIDE), mode="area")
    clips: Tensor = small.unflatten(0, (len(frames), MOMENTS))
    return clips


WEIGHTS, CHECKSUM = "judges.safetensors", "judges.sha256"
_SCALE = ".scale"


def packed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights for the file: matrices and filters in 8 bits with a scale a row, the rest in 16."""
    stored: dict[str, Tensor] = {}
    for name, value in state.items():
        if not value.is_floating_point():
            stored[name] = value
        elif value.ndim < 2:
            stored[name] = value.half()
        else:
            scale = value.flatten(1).abs().amax(1).clamp_min(1e-8) / 127
            rows = scale.view(-1, *[1] * (value.ndim - 1))
            stored[name] = (value / rows).round().to(torch.int8)
            stored[name + _SCALE] = scale.float()
    return {name: value.contiguous() for name, value in stored.items()}


def unpacked(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `packed`, but for the rounding."""
    state: dict[str, Tensor] = {}
    for name, value in stored.items():
        if name.endswith(_SCALE):
            continue
        if value.dtype == torch.int8:
            scale = stored[name + _SCALE]
            state[name] = value.float() * scale.view(-1, *[1] * (value.ndim - 1))
        else:
            state[name] = value.float() if value.is_floating_point() else value
    return state


def opened(blob: bytes) -> Judges:
    """The judges in the bytes of a weights file, ready to judge."""
    size = int.from_bytes(blob[:8], "little")
    vocabulary = Vocabulary.from_json(json.loads(blob[8 : 8 + size])["__metadata__"]["vocabulary"])
    judges = Judges(vocabulary)
    judges.load_state_dict(unpacked(load(blob)))
    return judges.eval().requires_grad_(False)


@lru_cache(maxsize=1)
def _shipped() -> Judges:
    folder = files("worldreel.evaluate") / "assets"
    try:
        blob = (folder / WEIGHTS).read_bytes()
        expected = (folder / CHECKSUM).read_text().split()[0]
    except OSError as error:
        raise WeightsError(f"The judges' weights {WEIGHTS} are missing; install again.") from error
    found = hashlib.sha256(blob).hexdigest()
    if found != expected:
        raise WeightsError(
            f"The judges' weights {WEIGHTS} have the checksum {found[:12]}…; "
            f"they need {expected[:12]}…; install again."
        )
    return opened(blob)
