"""The network that knows hate symbols: small, and told what it sees by nothing but shape.

Seven 3×3 convolutions without padding see exactly 59×59 pixels and say one of eight things:
nothing, or one of the seven symbols. Run over a larger picture the same network answers for a
window every 8 pixels. A symbol is 20 to 48 pixels large in its window; larger ones are found in the
picture made smaller (1, 2/3, 4/9 …).

A window that answers is looked at again, by the same network, turned by quarters and at three
scales. A hooked cross stays one when it is turned, a chance likeness does not: the mean of the log
probabilities is its score.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldreel.safety.symbols import SYMBOLS

__all__ = ["Sight", "SymbolNet", "load", "sights"]

STRIDE = 8
SEEN = 59
_WIDTHS = (24, 32, 48, 64, 96, 128, 160)
_STRIDES = (2, 1, 2, 1, 2, 1, 1)
_FIRST = 0.5
"""Probability from which a window is looked at again."""
_LOOKS = 6
"""Windows of one picture that are looked at again."""


@dataclass(frozen=True, kw_only=True)
class Sight:
    """A symbol in a picture: its name, score in 0..1, and its middle as shares of the sides."""

    symbol: str
    score: float
    x: float
    y: float


class SymbolNet(nn.Module):
    """Pictures [n, 3, H, W] in 0..1 → log odds [n, 8, h, w] of nothing and each symbol."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for width, stride in zip(_WIDTHS, _STRIDES, strict=True):
            layers += [
                nn.Conv2d(before, width, 3, stride=stride, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            ]
            before = width
        self.layers = nn.Sequential(*layers)
        self.head = nn.Conv2d(before, 1 + len(SYMBOLS), 1)

    def forward(self, pictures: Tensor) -> Tensor:
        answer: Tensor = self.head(self.layers(pictures * 4 - 2))
        return answer


def load(path: Path) -> SymbolNet:
    """The network with the weights (float16) in the safetensors file `path`, ready to look."""
    from safetensors.torch import load_file

    network = SymbolNet()
    network.load_state_dict(
        {k: v.float() if v.is_floating_point() else v for k, v in load_file(path).items()}
    )
    return network.eval()


def _scales(high: int, wide: int, short: int) -> list[tuple[int, int]]:
    """Sizes that a picture is looked at: `short` (or its own shorter side), then by a
    third less each, down to 40."""
    sizes, side = [], float(min(short, max(40, min(high, wide))))
    while side > 40:
        sizes.append(side)
        side /= 1.5
    sizes.append(40.0)
    factor = [s / min(high, wide) for s in sizes]
    return [(max(1, round(high * f)), max(1, round(wide * f))) for f in factor]


@torch.inference_mode()
def sights(network: SymbolNet, frame: Tensor, *, short: int = 288) -> list[Sight]:
    """Symbols in one frame uint8 [H, W, 3], the surest of each kind first.

    Args:
        short: pixels that the frame's shorter side is reduced to.
    """
    picture = frame.permute(2, 0, 1)[None].float() / 255
    found: dict[str, Sight] = {}
    for high, wide in _scales(frame.shape[0], frame.shape[1], short):
        level = F.interpolate(picture, (high, wide), mode="bilinear", antialias=True)
        around = F.pad(level, (SEEN // 2,) * 4, mode="replicate")
        chances = network(around).softmax(1)[0, 1:]
        best = chances.amax(0).flatten()
        top = best.topk(min(_LOOKS, len(best)))
        for cell in top.indices[top.values > _FIRST].tolist():
            row, column = divmod(cell, chances.shape[-1])
            y, x = row * STRIDE + SEEN // 2, column * STRIDE + SEEN // 2
            name, score = _again(network, around, y, x)
            spot = Sight(
                symbol=name,
                score=score,
                x=min(1.0, column * STRIDE / wide),
                y=min(1.0, row * STRIDE / high),
            )
            if name not in found or found[name].score < score:
                found[name] = spot
    return sorted(found.values(), key=lambda sight: -sight.score)


def _again(network: SymbolNet, around: Tensor, y: int, x: int) -> tuple[str, float]:
    """A second look at the window whose middle is (x, y): the symbol and its score."""
    views = []
    for scale in (0.88, 1.0, 1.14):
        half = SEEN * scale / 2
        top, left = max(0, round(y - half)), max(0, round(x - half))
        window = around[..., top : round(y + half) + 1, left : round(x + half) + 1]
        window = F.interpolate(window, (SEEN, SEEN), mode="bilinear")
        views += [torch.rot90(window, turn, (2, 3)) for turn in range(4)]
    chances = network(torch.cat(views))[..., 0, 0].log_softmax(1).mean(0).exp()
    index = int(chances[1:].argmax())
    return SYMBOLS[index], float(chances[1 + index])
