"""8-bit floats: weights within 1/16, layers what their widened weights say, half the memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from worldreel.models.lora import apply_loras
from worldreel.models.quantised import Float8Linear, can_multiply, quantise, rounded
from worldreel.models.wan.load import EXACT
from worldreel.transformer.config import TransformerConfig
from worldreel.transformer.model import Transformer

CONFIG = TransformerConfig(
    width=96, layers=2, heads=2, hidden=192, channels=4, text_width=16, frequencies=16,
    gelu=True, white=False, pooled=False, text_gelu=True, exact=True,
)  # fmt: skip


def made(config: TransformerConfig, seed: int = 0) -> Transformer:
    torch.manual_seed(seed)
    transformer = Transformer(config).eval().requires_grad_(False)
    for parameter in transformer.parameters():
        fan = parameter[0].numel() if parameter.ndim > 1 else 4
        parameter.copy_(torch.randn(parameter.shape) * fan**-0.5)
    return transformer


def ask(transformer: Transformer) -> Tensor:
    g = torch.Generator().manual_seed(5)
    noisy = torch.randn(1, 4, 2, 8, 8, generator=g)
    text = torch.randn(1, 7, 16, generator=g).to(transformer.enter.weight.dtype)
    velocity: Tensor = transformer(noisy, torch.tensor([[0.6]]), text, None)
    return velocity.float()


def test_every_weight_is_within_a_sixteenth_whatever_the_rows_size() -> None:
    g = torch.Generator().manual_seed(0)
    matrix = torch.randn(200, 300, generator=g) * 10.0 ** torch.linspace(-6, 6, 200)[:, None]
    codes, scale = rounded(matrix)
    restored = codes.float() * scale
    assert codes.dtype == torch.float8_e4m3fn
    assert torch.equal(torch.frexp(scale).mantissa, torch.full_like(scale, 0.5))  # powers of two
    assert float(codes.float().abs().max()) <= 448
    normal = (matrix / scale).abs() >= 2.0**-6
    assert bool(normal.float().mean() > 0.99)
    relative = ((restored - matrix) / matrix).abs()[normal]
    assert float(relative.max()) <= 1 / 16
    assert 0.02 < float(relative.square().mean().sqrt()) < 0.03  # as the docstring says
    assert (
        float((restored - matrix)[~normal].abs().div(scale.expand_as(matrix)[~normal]).max())
        <= 2.0**-10 * 1.0001
    )  # half the least step


def test_rows_of_zeros_and_of_one_number() -> None:
    matrix = torch.stack([torch.zeros(8), torch.full((8,), 448.0), torch.full((8,), -3e38)])
    codes, scale = rounded(matrix)
    restored = codes.float() * scale
    assert torch.equal(restored[0], matrix[0])
    assert torch.equal(restored[1], matrix[1])
    assert torch.allclose(restored[2], matrix[2], rtol=1 / 16)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_layer_is_what_its_widened_weights_say(dtype: torch.dtype) -> None:
    torch.manual_seed(1)
    layer = nn.Linear(64, 48).to(dtype)
    small = Float8Linear(layer)
    x = torch.randn(2, 5, 64).to(dtype)
    widened = (small.weight.float() * small.scale).to(dtype)
    wanted = nn.functional.linear(x, widened, layer.bias)
    assert torch.equal(small(x), wanted)
    assert torch.equal(widened.float(), small.weight.float() * small.scale)  # exact in bf16 too
    assert small(x).dtype == dtype


def test_under_autocast_it_computes_in_bf16() -> None:
    small = Float8Linear(nn.Linear(32, 32))
    with torch.autocast("cpu", torch.bfloat16):
        assert small(torch.randn(3, 32)).dtype == torch.bfloat16


def test_a_networks_memory_halves_and_its_answer_stays_near() -> None:
    config = replace(CONFIG, width=192, hidden=768)
    transformer = made(config)
    for name, parameter in transformer.named_parameters():
        if not any(part in name for part in EXACT):
            parameter.data = parameter.bfloat16()
    wanted = ask(transformer)
    blocks = sum(p.nbytes for p in transformer.blocks.parameters())
    saved = quantise(transformer)
    left = sum(p.nbytes for p in transformer.blocks.parameters())
    assert blocks - left == saved
    assert left < 0.53 * blocks
    error = float((ask(transformer) - wanted).norm() / wanted.norm())
    assert 1e-3 < error < 0.08
    exact = (transformer.enter, transformer.leave, *transformer.level, *transformer.modulation)
    assert not any(isinstance(layer, Float8Linear) for layer in exact)
    assert quantise(transformer) == 0


def test_a_live_lora_on_8_bits_is_a_lora_on_the_widened_weights(tmp_path: Path) -> None:
    torch.manual_seed(2)
    layer = "blocks.0.attention.qkv"
    file = {f"{layer}.lora_A.weight": torch.randn(3, 96) / 10,
            f"{layer}.lora_B.weight": torch.randn(288, 3) / 3}  # fmt: skip
    save_file(file, tmp_path / "a.safetensors")
    lora = [(tmp_path / "a.safetensors", 1.0)]
    first, second = made(CONFIG), made(CONFIG)
    quantise(first)
    plain = ask(first)
    apply_loras(first, lora, fuse=False)
    apply_loras(second, lora, fuse=False)
    quantise(second)
    # Factors of a layer in 8 bits are bf16, those of one in fp32 are fp32.
    assert float((ask(first) - ask(second)).norm() / ask(second).norm()) < 2e-3
    assert float((ask(first) - plain).norm() / plain.norm()) > 1e-2


def test_products_in_8_bits_are_those_of_rounded_rows() -> None:
    torch.manual_seed(4)
    layer = nn.Linear(96, 64).bfloat16().requires_grad_(False)
    x = torch.randn(2, 5, 96).bfloat16()
    codes, scale = rounded(x.reshape(10, 96))
    weight, amount = rounded(layer.weight)
    wanted = (codes.float() * scale) @ (weight.float() * amount).T + layer.bias.float()
    got = Float8Linear(layer, fast=True)._multiplied(x)
    assert got.shape == (2, 5, 64)
    assert torch.allclose(got.reshape(10, 64).float(), wanted, rtol=2**-7, atol=1e-2)
    error = float((got - layer(x)).norm() / layer(x).norm())
    assert 0.01 < error < 0.06


@pytest.mark.gpu
def test_products_in_8_bits_on_a_gpu_are_near() -> None:
    device = torch.device("cuda")
    if not can_multiply(device):
        pytest.skip("this GPU does not multiply 8-bit floats")
    torch.manual_seed(3)
    layer = nn.Linear(1536, 1024).to(device, torch.bfloat16)
    x = torch.randn(2, 300, 1536, device=device).bfloat16()
    wanted = layer(x).float()
    error = (Float8Linear(layer, fast=True)(x).float() - wanted).norm() / wanted.norm()
    assert float(error) < 0.06
