"""Optimizer, averaged weights, the learning rate's course, the clock and checkpoints."""

from __future__ import annotations

import math
import pickle
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from worldreel.train import checkpoint
from worldreel.train.clock import Clock
from worldreel.train.optimizer import Average, Optimizers, half_precision, psnr, rate
from worldreel.transformer.config import TransformerConfig
from worldreel.transformer.model import Transformer

# ---- the learning rate


def test_the_rate_warms_up_holds_and_falls() -> None:
    course = [rate(step, total=1000, warmup=50, cooldown=0.4) for step in range(1001)]
    assert course[0] == 1 / 50 and course[49] == 1
    assert all(b - a == pytest.approx(1 / 50) for a, b in pairwise(course[:50]))
    assert set(course[50:601]) == {1.0}
    assert all(a > b for a, b in pairwise(course[601:]))
    assert course[800] == pytest.approx(0.51) and course[1000] == pytest.approx(0.02)


def test_the_rate_never_jumps_and_never_exceeds_one() -> None:
    for total, warmup in ((1000.0, 30.0), (1.0, 0.0), (1.0, 0.02), (400.0, 1.0)):
        steps = [total * i / 2000 for i in range(2100)]
        course = [rate(s, total=total, warmup=warmup, cooldown=0.5) for s in steps]
        assert all(0.01 < x <= 1 for x in course)
        fall = [a - b for a, b in pairwise(course)]
        assert max(fall) < 0.002


# ---- averaged weights


def test_the_average_of_constant_weights_is_those_weights() -> None:
    layer = nn.Linear(3, 2)
    average = Average(layer)
    for step in range(1, 50):
        average.update(layer, step)
    for name, value in layer.state_dict().items():
        torch.testing.assert_close(average.weights[name], value)


def test_the_average_remembers_an_eighth_of_the_run() -> None:
    """Weight of step k after n steps is about 8 k⁷ / n⁸: on weights that grow as k the average
    lies at 8/9 n, and a start a hundred times too large is long forgotten."""
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, 1e4)
    average = Average(layer)
    for step in range(1, 2001):
        nn.init.constant_(layer.weight, step)
        average.update(layer, step)
    assert float(average.weights["weight"]) == pytest.approx(8 / 9 * 2000, rel=0.005)


def test_the_averages_memory_has_an_end() -> None:
    """Once `longest` rules, the average lags `longest` - 1 steps behind."""
    layer = nn.Linear(1, 1, bias=False)
    average = Average(layer, longest=20)
    for step in range(1, 1001):
        nn.init.constant_(layer.weight, step)
        average.update(layer, step)
    assert float(average.weights["weight"]) == pytest.approx(1000 - 19, abs=0.1)


def test_the_average_is_apart_from_the_weights_and_fits_back() -> None:
    layer = nn.Linear(3, 2)
    average = Average(layer)
    before = average.weights["weight"].clone()
    nn.init.zeros_(layer.weight)
    assert torch.equal(average.weights["weight"], before)
    layer.load_state_dict(average.weights)
    assert torch.equal(layer.weight, before)


# ---- optimizers


def small() -> Transformer:
    torch.manual_seed(0)
    config = TransformerConfig(
        width=16, layers=1, heads=2, hidden=24, channels=2, text_width=6, frequencies=8
    )
    return Transformer(config)


def test_hidden_matrices_go_to_muon_and_every_parameter_to_one_optimizer() -> None:
    model = small()
    muon, adam = Optimizers([model], learning_rate=1e-3).all
    names = {id(p): n for n, p in model.named_parameters()}
    by_muon = {names[id(p)] for group in muon.param_groups for p in group["params"]}
    by_adam = {names[id(p)] for group in adam.param_groups for p in group["params"]}
    sizes = {n: p.ndim for n, p in model.named_parameters()}
    hidden = {n for n in sizes if n.startswith("blocks") and n.endswith("weight") and sizes[n] == 2}
    assert hidden and hidden <= by_muon
    assert all(sizes[n] == 2 and "table" not in n for n in by_muon)
    assert by_muon | by_adam == set(names.values()) and not by_muon & by_adam


def test_frozen_parameters_stay() -> None:
    model = small()
    model.enter.requires_grad_(False)
    optimizers = Optimizers([model], learning_rate=1e-3)
    assert all(p is not model.enter.weight for p in optimizers.parameters)


def test_without_muon_there_is_one_optimizer() -> None:
    assert len(Optimizers([small()], learning_rate=1e-3, muon=False).all) == 1


class Deep(nn.Module):
    """y = W₂ W₁ x: one hidden matrix for Muon, one outer for AdamW."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.blocks = nn.ModuleList([nn.Linear(6, 6, bias=False)])
        self.leave = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.leave(self.blocks[0](x))  # type: ignore[no-any-return]


def fit(model: Deep, optimizers: Optimizers, steps: range) -> float:
    """Regression on a fixed linear map; the same batches for the same steps."""
    truth = torch.randn(6, 3, generator=torch.Generator().manual_seed(5))
    loss = torch.zeros(())
    for step in steps:
        x = torch.randn(64, 6, generator=torch.Generator().manual_seed(step))
        loss = (model(x) - x @ truth).square().mean()
        loss.backward()
        optimizers.step(rate(step, total=200, warmup=10))
    return float(loss.detach())


@pytest.mark.parametrize("muon", [True, False])
def test_both_find_a_linear_map(muon: bool) -> None:
    model = Deep()
    first = fit(model, Optimizers([model], learning_rate=0.0, muon=muon), range(1))
    assert fit(model, Optimizers([model], learning_rate=0.03, muon=muon), range(200)) < 0.01 * first


def test_a_rate_of_zero_moves_nothing_and_gradients_are_cleared() -> None:
    model = Deep()
    before = [p.detach().clone() for p in model.parameters()]
    optimizers = Optimizers([model], learning_rate=0.1)
    model(torch.ones(2, 6)).sum().backward()
    norm = math.sqrt(sum(float(p.grad.square().sum()) for p in model.parameters()))  # type: ignore[union-attr]
    assert optimizers.step(0.0) == pytest.approx(norm, rel=1e-5)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert all(p.grad is None for p in model.parameters())


def test_a_resumed_run_equals_one_in_a_piece(tmp_path: Path) -> None:
    whole = Deep()
    fit(whole, Optimizers([whole], learning_rate=0.02), range(40))

    model = Deep()
    optimizers = Optimizers([model], learning_rate=0.02)
    fit(model, optimizers, range(20))
    state = {"model": model.state_dict(), "optimizers": optimizers.state_dict(), "step": 20}
    checkpoint.save(tmp_path / "run.pt", state)

    found = checkpoint.load(tmp_path / "run.pt")
    assert found is not None and found["step"] == 20
    resumed = Deep()
    again = Optimizers([resumed], learning_rate=0.02)
    resumed.load_state_dict(found["model"])
    again.load_state_dict(found["optimizers"])
    fit(resumed, again, range(20, 40))
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


# ---- the clock


def test_the_clock_goes_on_where_it_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    clock = Clock(2.0)
    assert clock.spent == 0 and clock.progress == 0
    now[0] += 30
    assert clock.spent == 30 and clock.progress == 0.25
    now[0] += 5000  # the machine slept between two sittings
    resumed = Clock(2.0, spent=30.0)
    now[0] += 60
    assert resumed.spent == 90 and resumed.progress == 0.75
    now[0] += 500
    assert resumed.progress == 1


# ---- checkpoints


def test_a_checkpoint_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "run.pt"
    assert checkpoint.load(path) is None
    checkpoint.save(path, {"weight": torch.arange(5.0), "step": 7, "nested": [{"lr": 0.1}]})
    found = checkpoint.load(path)
    assert found is not None and found["step"] == 7 and found["nested"] == [{"lr": 0.1}]
    assert torch.equal(found["weight"], torch.arange(5.0))
    assert [p.name for p in path.parent.iterdir()] == ["run.pt"]


@pytest.mark.parametrize("failure", [OSError, KeyboardInterrupt])
def test_an_interrupted_checkpoint_keeps_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: type[BaseException]
) -> None:
    path = tmp_path / "run.pt"
    checkpoint.save(path, {"step": 1})

    def half(state: Any, file: Any) -> None:
        file.write(b"half of it")
        raise failure("interrupted")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(failure):
        checkpoint.save(path, {"step": 2})
    assert checkpoint.load(path) == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["run.pt"]  # nothing half-written is left


class Evil:
    """Unpickling it would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_checkpoint_cannot_run_code(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    torch.save({"step": Evil(trace)}, tmp_path / "run.pt")
    with pytest.raises(pickle.UnpicklingError):
        checkpoint.load(tmp_path / "run.pt")
    assert not trace.exists()


# ---- measures


def test_psnr_of_a_known_error() -> None:
    a = torch.zeros(2, 3, 4, 8, 8)
    b = torch.stack([torch.full(a.shape[1:], 0.2), torch.full(a.shape[1:], 0.02)])
    # Pictures span 2, so an error of 0.2 is a tenth of the range: 20 dB.
    torch.testing.assert_close(psnr(a, b), torch.tensor([20.0, 40.0]))
    assert float(psnr(a, a).min()) >= 100


def test_half_precision_is_bfloat16() -> None:
    with half_precision(torch.device("cpu")):
        assert nn.Linear(2, 2)(torch.ones(1, 2)).dtype == torch.bfloat16
