"""Finding faces: MTCNN, three small networks one behind the other (Zhang et al. 2016, 1604.02878).

The first sees 12×12 pixels of a picture at many sizes and proposes boxes; the second looks at each
box again at 24×24 and the third at 48×48. Each says a probability and where the box should rather
be. Written anew here; the weights are those of the package facenet-pytorch (MIT), as float16.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Faces", "load"]

_SMALLER = 0.709  # about 1/√2: each size of the picture is half the one before in area
_SURE = (0.6, 0.7, 0.7)  # probabilities that the three networks ask for
_MOST = 200  # boxes that are looked at again


class _Stage(nn.Module):
    """Convolutions with pooling between them, then perhaps one dense layer; then a probability
    of a face and four shifts. The names are those of the weights."""

    def __init__(
        self, widths: tuple[int, ...], kernels: tuple[int, ...], pools: tuple[int, ...], dense: int
    ) -> None:
        super().__init__()
        before = 3
        for number, (width, kernel) in enumerate(zip(widths, kernels, strict=True), 1):
            self.add_module(f"conv{number}", nn.Conv2d(before, width, kernel))
            self.add_module(f"prelu{number}", nn.PReLU(width))
            before = width
        self.pools, self.count = pools, len(widths)
        at = self.count + 1
        self.dense = f"dense{at}" if dense else ""
        if dense:
            outer = 3  # side of what the last convolution leaves
            self.add_module(self.dense, nn.Linear(before * outer * outer, dense))
            self.add_module(f"prelu{at}", nn.PReLU(dense))
            self.names = (f"dense{at + 1}_1", f"dense{at + 1}_2")
            self.add_module(self.names[0], nn.Linear(dense, 2))
            self.add_module(self.names[1], nn.Linear(dense, 4))
        else:
            self.names = (f"conv{at}_1", f"conv{at}_2")
            self.add_module(self.names[0], nn.Conv2d(before, 2, 1))
            self.add_module(self.names[1], nn.Conv2d(before, 4, 1))

    def forward(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures [n, 3, H, W] in -1..1 → probabilities [n, …] and shifts [n, 4, …]."""
        for number in range(1, self.count + 1):
            seen = getattr(self, f"prelu{number}")(getattr(self, f"conv{number}")(seen))
            if number <= len(self.pools):
                seen = F.max_pool2d(seen, self.pools[number - 1], 2, ceil_mode=True)
        if self.dense:
            seen = seen.permute(0, 3, 2, 1).flatten(1)  # the weights count columns first
            seen = getattr(self, f"prelu{self.count + 1}")(getattr(self, self.dense)(seen))
        chances, shifts = (getattr(self, name)(seen) for name in self.names)
        return chances.softmax(1)[:, 1], shifts


@dataclass(frozen=True, kw_only=True)
class Faces:
    """The three networks."""

    propose: _Stage
    refine: _Stage
    decide: _Stage

    @torch.inference_mode()
    def find(self, frame: Tensor, *, smallest: float = 20.0) -> tuple[Tensor, Tensor]:
        """Faces in a frame uint8 [H, W, 3]: boxes [n, 4] (x, y, x, y in pixels) and
        probabilities [n], the surest first.

        Args:
            smallest: pixels that a face must measure.
        """
        picture = (frame.permute(2, 0, 1)[None].float() - 127.5) / 128
        boxes, chances = self._proposed(picture, smallest)
        for network, side, sure in ((self.refine, 24, _SURE[1]), (self.decide, 48, _SURE[2])):
            if not len(boxes):
                break
            boxes = _squared(boxes)
            chances, shifts = network(_cut(picture, boxes, side))
            kept = chances > sure
            boxes, chances = _shifted(boxes[kept], shifts[kept]), chances[kept]
            if side == 24:
                boxes, chances = _apart(boxes, chances, 0.7)
        return _apart(boxes, chances, 0.5)

    def _proposed(self, picture: Tensor, smallest: float) -> tuple[Tensor, Tensor]:
        found = [(picture.new_zeros(0, 4), picture.new_zeros(0))]
        high, wide = picture.shape[2:]
        scale = 12 / smallest
        while min(high, wide) * scale >= 12:
            size = (int(high * scale + 1), int(wide * scale + 1))
            chances, shifts = self.propose(F.interpolate(picture, size, mode="area"))
            cells = torch.nonzero(chances[0] > _SURE[0])
            corner = cells.flip(1).float() * 2
            boxes = torch.cat([corner + 1, corner + 12], 1) / scale
            moved = shifts[0][:, cells[:, 0], cells[:, 1]].T
            chance = chances[0][cells[:, 0], cells[:, 1]]
            boxes, chance = _apart(_shifted(boxes, moved), chance, 0.5)
            found.append((boxes, chance))
            scale *= _SMALLER
        return _apart(torch.cat([b for b, _ in found]), torch.cat([c for _, c in found]), 0.7)


def _shifted(boxes: Tensor, shifts: Tensor) -> Tensor:
    size = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    return boxes + shifts * size


def _squared(boxes: Tensor) -> Tensor:
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).amax(1, keepdim=True) / 2
    return torch.cat([middle - half, middle + half], 1)


def _cut(picture: Tensor, boxes: Tensor, side: int) -> Tensor:
    """What is in the boxes, [n, 3, side, side]; grey beyond the picture."""
    cuts = []
    high, wide = picture.shape[2:]
    for x0, y0, x1, y1 in boxes.round().int().tolist():
        x1, y1 = max(x1, x0 + 1), max(y1, y0 + 1)
        part = picture[:, :, max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)]
        over = (max(0, -x0), max(0, x1 - wide), max(0, -y0), max(0, y1 - high))
        if 0 in part.shape:
            part, over = picture.new_zeros(1, 3, 1, 1), (0, 0, 0, 0)
        cuts.append(F.interpolate(F.pad(part, over), (side, side), mode="area"))
    return torch.cat(cuts)


def _apart(boxes: Tensor, chances: Tensor, most: float) -> tuple[Tensor, Tensor]:
    """The surest boxes that do not cover each other by more than `most` (shared over joint)."""
    order = chances.argsort(descending=True)[:_MOST]
    boxes, chances = boxes[order], chances[order]
    corner = torch.maximum(boxes[:, None, :2], boxes[None, :, :2])
    other = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = (other - corner).clamp_min(0).prod(2)
    area = (boxes[:, 2:] - boxes[:, :2]).clamp_min(0).prod(1)
    covers = shared > most * (area[:, None] + area[None] - shared)
    kept: list[int] = []
    for index in range(len(boxes)):
        if not kept or not bool(covers[index, kept].any()):
            kept.append(index)
    return boxes[kept], chances[kept]


def load(path: Path) -> Faces:
    """The networks with the weights in the safetensors file `path`."""
    from safetensors.torch import load_file

    tensors = {name: tensor.float() for name, tensor in load_file(path).items()}
    stages = {
        "pnet": _Stage((10, 16, 32), (3, 3, 3), (2,), 0),
        "rnet": _Stage((28, 48, 64), (3, 3, 2), (3, 3), 128),
        "onet": _Stage((32, 64, 64, 128), (3, 3, 3, 2), (3, 3, 2), 256),
    }
    for name, stage in stages.items():
        own = {k[5:]: v for k, v in tensors.items() if k.startswith(f"{name}.")}
        stage.load_state_dict(own)
        stage.eval()
    return Faces(propose=stages["pnet"], refine=stages["rnet"], decide=stages["onet"])
