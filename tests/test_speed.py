"""What makes things faster changes no numbers: attention in parts, one batch."""

import subprocess
import sys
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldreel.diffusion.sampler import guided
from worldreel.models.compiled import compile_blocks
from worldreel.models.offload import stream
from worldreel.models.pairs import guided_pair
from worldreel.transformer import attention, block
from worldreel.transformer.attention import attend
from worldreel.transformer.config import TransformerConfig
from worldreel.transformer.model import Transformer


def reference(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Softmax attention in fp64, by its definition."""
    q, k, v = q.double(), k.double(), v.double()
    scores = torch.einsum("bhnd,bhmd->bhnm", q, k) / q.shape[-1] ** 0.5
    if mask is not None:
        scores = torch.where(mask, scores, -torch.inf)
    weights = (scores - scores.amax(-1, keepdim=True)).exp()
    return torch.einsum("bhnm,bhmd->bhnd", weights / weights.sum(-1, keepdim=True), v)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


MASKS = {
    "none": None,
    "queries and keys": (7, 9),
    "keys": (2, 1, 1, 9),
    "all": (2, 3, 7, 9),
    "clips": (2, 1, 7, 9),
}


@pytest.mark.parametrize(("name", "some"), list(product(MASKS, [1, 20, 63, 70, 130, 10**6])))
def test_attention_in_parts_of_any_size_is_attention(
    name: str, some: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "SOME", some)
    q, k, v = drawn(2, 3, 7, 8), drawn(2, 3, 9, 8, seed=1), drawn(2, 9, 3, 5, seed=2)
    shape = MASKS[name]
    mask = None if shape is None else drawn(*shape, seed=3) < 0.5
    if mask is not None:
        mask[..., 4] = True  # nobody is left with nothing to see
    found = attend(q, k, v.transpose(1, 2), mask)
    expected = reference(q, k, v.transpose(1, 2), mask)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("many", [1, 20, 70, 10**6])
def test_gradients_of_attention_in_parts(many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "MANY", many)
    given = [drawn(2, 3, n, 8, seed=n).requires_grad_() for n in (7, 9, 9)]
    attend(*given).square().sum().backward()
    found = [x.grad.clone() for x in given]
    for x in given:
        x.grad = None
    reference(*given, None).square().sum().backward()
    for x, gradient in zip(given, found, strict=True):
        torch.testing.assert_close(gradient, x.grad, rtol=1e-4, atol=1e-5)


def test_attention_in_parts_and_bf16_is_as_close_as_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    q, k, v = (drawn(1, 2, 300, 64, seed=s).bfloat16() for s in range(3))
    whole = attend(q, k, v)
    monkeypatch.setattr(attention, "SOME", 5000)
    parts = attend(q, k, v)
    expected = reference(q, k, v, None)
    error = (parts.double() - expected).abs().max()
    assert error <= 1.5 * (whole.double() - expected).abs().max() < 0.02


def test_the_kernels_order_holds_each_kind_once() -> None:
    assert sorted(map(str, attention.CUDNN_FIRST)) == sorted(map(str, attention.FLASH_FIRST))
    assert len(set(attention.CUDNN_FIRST)) == 4


def network(layers: int = 2) -> Transformer:
    torch.manual_seed(0)
    config = TransformerConfig(
        width=48, heads=4, layers=layers, hidden=64, channels=4, text_width=16, frequencies=32,
        pooled=False,
    )  # fmt: skip
    made = Transformer(config).eval().requires_grad_(False)
    for parameter in made.parameters():
        parameter.copy_(torch.randn_like(parameter) / 8)
    return made


@torch.no_grad()
def test_a_joined_feed_forward_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """As near to fp32 as one step after the other is, in parts of any size."""
    layers = (nn.Linear(48, 160), nn.GELU(approximate="tanh"), nn.Linear(160, 48))
    made, x = block.FeedForward(*layers), drawn(2, 37, 48)
    exact = made(x)
    assert torch.equal(exact, nn.Sequential(*layers)(x))
    made, x = made.bfloat16(), x.bfloat16()
    assert block._joined(x, *layers[:2])
    apart = (nn.Sequential(*layers)(x).float() - exact).abs().max()
    for rows in (8, 512):
        monkeypatch.setattr(block, "ROWS", rows)
        assert float((made(x).float() - exact).abs().max()) <= 1.2 * float(apart)


@torch.no_grad()
def test_guidance_in_one_batch_is_guidance() -> None:
    transformer, noisy = network(), drawn(1, 4, 3, 4, 4)
    level = torch.full((1, 1), 0.6)
    states = [drawn(1, 6, 16, seed=s) for s in (1, 2)]
    words = [transformer.words(s) for s in states]
    alone = [
        lambda x, s, t=t, w=w: transformer(x, s, t, None, words=w)
        for t, w in zip(states, words, strict=True)
    ]
    expected = guided(*alone, 4.0)(noisy, level)
    together = torch.cat(states)
    joined = transformer.words(together)
    found = guided_pair(
        lambda x, s: transformer(x, s, together, None, words=joined), 4.0
    )(noisy, level)  # fmt: skip
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@torch.no_grad()
def test_blocks_are_one_program_without_a_break() -> None:
    plain, compiled, programs = network(layers=10), network(layers=10), []

    def backend(program: torch.fx.GraphModule, _: list[Tensor]) -> torch.fx.GraphModule:
        programs.append(program)
        return program

    compile_blocks(compiled, backend=backend, fullgraph=True)
    text = drawn(1, 6, 16, seed=1)
    words = compiled.words(text)
    for seed in (0, 1):
        given = (drawn(1, 4, 3, 4, 4, seed=seed), torch.full((1, 1), 0.6), text, None)
        assert torch.equal(compiled(*given, words=words), plain(*given))
    assert len(programs) == 1
    assert list(compiled.state_dict()) == list(plain.state_dict())


@pytest.mark.slow
@torch.no_grad()
def test_streamed_blocks_can_be_compiled() -> None:
    plain, compiled = network(), network()
    compile_blocks(compiled, backend="eager", fullgraph=True)
    stream(compiled, "cpu")
    given = (drawn(1, 4, 3, 4, 4), torch.full((1, 1), 0.6), drawn(1, 6, 16, seed=1), None)
    assert torch.equal(compiled(*given), plain(*given))


@pytest.mark.slow
@torch.no_grad()
def test_the_fused_call_is_compiled_without_a_break() -> None:
    q, k, v = (drawn(1, 2, 30, 16, seed=s) for s in range(3))
    attention.kernels()
    compiled = torch.compile(attention._fused, backend="eager", fullgraph=True)
    expected = F.scaled_dot_product_attention(q, k, v)
    torch.testing.assert_close(compiled(q, k, v, None), expected)


def test_nothing_of_the_compiler_is_imported_before_it_is_asked_for() -> None:
    program = "import sys, worldreel.models.compiled; sys.exit('torch._dynamo' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
