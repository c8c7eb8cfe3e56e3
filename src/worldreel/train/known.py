"""What is known in training: the same idea as diffusion/known.py, drawn at random.

Most clips know nothing (text to video). Others know what people give: first frames, last ones,
both ends, stray ones, everything but a part of the picture; and some have a noise level of their
own for every frame (Diffusion Forcing, Chen et al. 2024), which teaches the transformer to trust
clean frames and doubt noisy ones.

A `View` is what of a clip a step looks at: all of it as a rule, else a window as sampling long
videos and storyboards has them (diffusion/windows.py): a remembered moment and a stretch of the
rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from worldreel.diffusion import flow
from worldreel.diffusion.windows import moments


@dataclass(frozen=True, kw_only=True)
class View:
    """Latent frames `indices` of a clip, their shots and moments; `given` of them are known
    whatever else is (memories, and what comes before a window)."""

    indices: tuple[int, ...]
    shots: tuple[int, ...]
    times: tuple[float, ...]
    given: tuple[bool, ...]


def draw_view(frames: int, cuts: Sequence[int], *, share: float) -> View:
    """A view of clips of `frames` latent frames with `cuts`; a window in a `share` of draws."""
    shots = [sum(cut <= i for cut in cuts) for i in range(frames)]
    indices, given = list(range(frames)), [False] * frames
    if frames >= 6 and float(torch.rand(())) < share:
        if cuts:
            indices, given = _after(int(cuts[_below(len(cuts))]), shots)
        else:
            indices, given = _window(frames)
    own = [shots[i] for i in indices]
    return View(
        indices=tuple(indices),
        shots=tuple(own),
        times=tuple(moments(indices, own)),
        given=tuple(given),
    )


def _below(end: int) -> int:
    return int(torch.randint(end, ()))


def _after(cut: int, shots: list[int]) -> tuple[list[int], list[bool]]:
    """The shot from `cut` on, and a moment of the shot before to remember its cast by."""
    before = [i for i, shot in enumerate(shots) if shot == shots[cut] - 1 and i > 0]
    shot = [i for i, other in enumerate(shots) if other == shots[cut]]
    return [before[_below(len(before))], *shot], [True] + [False] * len(shot)


def _window(frames: int) -> tuple[list[int], list[bool]]:
    """A stretch that begins after the clip does: with its first frames known, or its last, and
    perhaps a memory of before."""
    first = 1 + _below(max(1, frames // 3))
    rest = list(range(first, frames))
    known = 1 + _below(max(1, len(rest) // 2))
    forward = float(torch.rand(())) < 0.8
    given = [(i < known) if forward else (i >= len(rest) - known) for i in range(len(rest))]
    if first > 2 and float(torch.rand(())) < 0.6:
        return [1, *rest], [True, *given]
    return rest, given


def draw_known(
    shape: tuple[int, int, int, int],
    *,
    share: float,
    shift: float,
    patch: tuple[int, int, int] = (1, 2, 2),
    given: Sequence[bool] | None = None,
    device: torch.device | str = "cpu",
) -> tuple[Tensor, Tensor]:
    """Noise levels and loss weights, both `[B, 1, t, h, w]`; weight 0 and level 0 where known.

    Args:
        shape: (B, t, h, w) of the latents.
        share: of clips that know something.
        shift: of the noise levels (see `flow.shift`).
        patch: sizes of a patch, which is known as a whole or not at all.
        given: latent frames that are known in every clip.
    """
    batch, t, h, w = shape
    level = flow.draw_levels((batch, 1), amount=shift).expand(-1, t).clone()
    known = torch.zeros(batch, t, h, w, dtype=torch.bool)
    for clip in torch.nonzero(torch.rand(batch) < share)[:, 0].tolist():
        choice = float(torch.rand(()))
        if t == 1 or choice >= 0.85:
            known[clip] = _around(t, h, w, patch)
        elif choice >= 0.7:
            level[clip] = flow.draw_levels((t,), amount=shift)
        else:
            known[clip, _frames(t, choice)] = True
    if given is not None:
        known[:, torch.tensor(given)] = True
    level = torch.where(known, 0.0, level[:, :, None, None])[:, None]
    return level.to(device), (~known).float()[:, None].to(device)


def _frames(t: int, choice: float) -> list[int]:
    """Known latent frames: the first, the beginning, the end, both ends, or any."""
    some = 1 + _below(t - 1)
    if choice < 0.25:
        return [0]
    if choice < 0.4:
        return list(range(some))
    if choice < 0.5:
        return list(range(t - some, t))
    if choice < 0.63:
        left = 1 + _below(max(1, t // 2))
        return [*range(left), *range(min(t - 1, left + 1 + _below(max(1, t // 2))), t)]
    return torch.randperm(t)[:some].tolist()


def _around(t: int, h: int, w: int, patch: tuple[int, int, int]) -> Tensor:
    """`[t, h, w]`: all is known but a rectangle, throughout or for a while."""
    known = torch.ones(t, h, w, dtype=torch.bool)
    spans = []
    for size, step in ((h, patch[1]), (w, patch[2])):
        cells = size // step
        length = 1 + _below(max(1, cells - 1))
        first = _below(cells - length + 1)
        spans.append(slice(first * step, (first + length) * step))
    begin = _below(t) if float(torch.rand(())) < 0.4 else 0
    known[begin:, spans[0], spans[1]] = False
    return known
