"""Pictures that a model knows too little about are held, not moved.

A small model that learned from one world makes that world out of whatever it is given: a
photograph dissolves within half a second. How little it knows a picture can be measured: noise the
picture to a middle level, let the model guess what is under the noise, and compare.

    surprise = mean (guess − picture)²    over latents of unit size, without a text

It is small on scenes of its own world and larger on photographs, but busy scenes overlap with
calm photographs (measured: 0.23 … 0.44 and 0.24 … 0.60). So the bound, which a model's settings
hold, is the median of its world, and only pictures that no worldreel made are compared with it. For
those above, what lies between given frames does not start from pure noise but from those frames,
held still, at a low noise level: the picture stays, and shimmers rather than moves.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from worldreel.decoding import encoded
from worldreel.diffusion import flow
from worldreel.diffusion.windows import moments
from worldreel.models.embedded import EmbeddedModel
from worldreel.models.model import Model
from worldreel.video.pixels import signed

LEVEL = 0.5
"""The noise level at which a guess is asked for."""
HELD = 0.2
"""The noise level from which held frames start."""
_DRAWS = 4


@torch.no_grad()
def surprise(model: EmbeddedModel, frames: Tensor) -> Tensor:
    """How little the model knows each of `frames` (uint8 `[n, H, W, 3]`, native size): `[n]`."""
    stills = signed(frames).transpose(0, 1)[:, :, None]  # each a clip of one frame
    latents, _ = model.codec.encode(stills.to(model.device))
    text, mask = model.read("")
    text, mask = text.expand(len(latents), -1, -1), mask.expand(len(latents), -1)
    times = torch.tensor(moments([0], [0]), device=model.device)
    level = torch.full((len(latents), 1), LEVEL, device=model.device)
    generator, total = torch.Generator().manual_seed(0), torch.zeros(len(latents))
    for _ in range(_DRAWS):
        noise = torch.randn(latents.shape, generator=generator).to(latents)
        noisy = flow.interpolate(latents, noise, torch.tensor(LEVEL))
        velocity = model.transformer(noisy, level, text, mask, times=times)
        guess = flow.clean_of(noisy, velocity, torch.tensor(LEVEL))
        total += (guess - latents).square().mean((1, 2, 3, 4)).cpu() / _DRAWS
    return total


def held(model: Model, frame: Tensor) -> Tensor:
    """The latent frame `[1, C, 1, h, w]` of a group in which `frame` `[H, W, 3]` stands still."""
    still = frame.expand(model.codec.config.temporal, -1, -1, -1)
    return encoded(model.codec, still, held=True)


def between(sides: Sequence[tuple[int, Tensor]], index: int) -> Tensor:
    """What to hold at latent frame `index`: the nearest given frame, or a mixture of the nearest
    on either side by distance. `sides` are (latent frame, held latents), ascending."""
    before = [side for side in sides if side[0] < index]
    after = [side for side in sides if side[0] > index]
    if not before:
        return after[0][1]
    if not after:
        return before[-1][1]
    (a, left), (b, right) = before[-1], after[0]
    share = (index - a) / (b - a)
    return (1 - share) * left + share * right
