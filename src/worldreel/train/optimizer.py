"""The optimizer: Muon for matrices, AdamW for everything else, and averaged weights.

Muon (Jordan et al. 2024) orthogonalises the momentum of each matrix; on transformers it needs
about half the steps of AdamW. `match_rms_adamw` (Liu et al. 2025) makes one learning rate do
for both.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn


class Optimizers:
    """Steps several optimizers as one, with a learning rate set from outside."""

    def __init__(
        self, modules: Iterable[nn.Module], *, learning_rate: float, muon: bool = True
    ) -> None:
        self.learning_rate = learning_rate
        matrices: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for module in modules:
            for name, parameter in module.named_parameters():
                if not parameter.requires_grad:
                    continue
                hidden = parameter.ndim == 2 and "table" not in name and "position" not in name
                (matrices if hidden and muon else others).append(parameter)
        self.parameters = [*matrices, *others]
        self.all: list[torch.optim.Optimizer] = []
        if matrices:
            self.all.append(
                torch.optim.Muon(
                    matrices, lr=learning_rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"
                )
            )
        self.all.append(
            torch.optim.AdamW(others, lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.0)
        )

    def step(self, factor: float, *, clip: float = 1.0) -> float:
        """One step at `factor` times the learning rate; returns the gradient's norm."""
        norm = nn.utils.clip_grad_norm_(self.parameters, clip)
        for optimizer in self.all:
            for group in optimizer.param_groups:
                group["lr"] = self.learning_rate * factor
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return float(norm)

    def state_dict(self) -> list[dict[str, object]]:
        return [optimizer.state_dict() for optimizer in self.all]

    def load_state_dict(self, states: list[dict[str, object]]) -> None:
        for optimizer, state in zip(self.all, states, strict=True):
            optimizer.load_state_dict(state)


class Average:
    """An exponential moving average of weights whose memory grows with the run (Karras et al.
    2024): after step n it remembers about the last n / 8 steps, at most `longest`."""

    def __init__(self, module: nn.Module, *, longest: float = 2000.0) -> None:
        self.longest = longest
        self.weights = {k: v.detach().clone().float() for k, v in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        keep = 1 - 1 / min(self.longest, max(1.0, step / 8))
        for name, value in module.state_dict().items():
            self.weights[name].lerp_(value.float(), 1 - keep)


def rate(step: float, *, total: float, warmup: float, cooldown: float = 0.3) -> float:
    """Warm up, hold, then fall along a cosine over the last `cooldown` of the run: 0 … 1.

    `step`, `total` and `warmup` are steps; or shares of the run with `total` 1 and `warmup` 0.
    """
    if step < warmup:
        return min(1.0, (step + 1) / warmup)
    start = total * (1 - cooldown)
    if step <= start:
        return 1.0
    share = min(1.0, (step - start) / max(total - start, 1e-9))
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share))


def half_precision(device: torch.device) -> torch.autocast:
    """bf16 where it pays: measured three times fp32 on CPUs with AVX512-BF16, and on any GPU."""
    return torch.autocast(device.type, torch.bfloat16)


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of pictures in [-1, 1], over all but the first axis."""
    error = (a.float() - b.float()).square().flatten(1).mean(1).clamp_min(1e-10)
    return 10 * torch.log10(4 / error)
