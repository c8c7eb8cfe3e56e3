"""Streaming blocks changes where weights are, and nothing that they compute."""

import pytest
import torch

from worldreel.errors import RequestError
from worldreel.models import offload
from worldreel.transformer.config import TransformerConfig
from worldreel.transformer.model import Transformer

CONFIG = TransformerConfig(
    width=48, heads=4, layers=5, hidden=64, channels=4, text_width=16, frequencies=32
)


def network() -> Transformer:
    torch.manual_seed(0)
    made = Transformer(CONFIG).eval().requires_grad_(False)
    for parameter in made.parameters():  # not the zeros that it starts with
        parameter.copy_(torch.randn_like(parameter) / 8)
    return made


def velocity(transformer: Transformer, seed: int = 0) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    noisy = torch.randn(1, 4, 3, 8, 8, generator=draw)
    text = torch.randn(1, 6, 16, generator=draw)
    with torch.no_grad():
        return transformer(noisy, torch.full((1, 1), 0.7), text, None)


@pytest.mark.parametrize("resident", [0, 1, 2, 4, 5, 9])
def test_streamed_blocks_give_equal_numbers(resident: int) -> None:
    expected = [velocity(network(), seed) for seed in (0, 1)]
    streamed = network()
    offload.stream(streamed, "cpu", resident=resident)
    for seed in (0, 1, 0):
        assert torch.equal(velocity(streamed, seed), expected[seed])


def test_what_is_read_of_a_text_is_the_same_and_used() -> None:
    whole, streamed = network(), network()
    offload.stream(streamed, "cpu")
    text = torch.randn(1, 6, 16)
    for ours, theirs in zip(streamed.words(text), whole.words(text), strict=True):
        assert torch.equal(ours.text[0], theirs.text[0])
        assert torch.equal(ours.text[1], theirs.text[1])


def test_weights_are_called_what_they_were_and_are_all_there() -> None:
    whole, streamed = network().state_dict(), network()
    offload.stream(streamed, "cpu")
    velocity(streamed)
    found = streamed.state_dict()
    assert list(found) == list(whole)
    assert all(torch.equal(found[name], whole[name]) for name in whole)


def test_only_two_blocks_are_ever_on_the_device() -> None:
    network_ = network()
    streamed = offload.stream(network_, "cpu")
    assert streamed is not None
    block = offload.bytes_of(network_.blocks[0])
    held = sum(place.memory.nbytes for place in streamed.places)
    assert block <= held / 2 < 1.1 * block + 30 * offload.ALIGNED
    seen: set[int] = set()

    def look(module: torch.nn.Module, _: object) -> None:
        seen.add(module.qkv.weight.data_ptr())

    for part in network_.blocks:
        part.attention.register_forward_pre_hook(look)
    velocity(network_)
    assert len(seen) == 2, "weights at work lie in the two places alone"


def test_a_failing_block_leaves_its_weights_at_home() -> None:
    streamed = network()
    offload.stream(streamed, "cpu")
    before = streamed.blocks[0].table.data_ptr()
    with pytest.raises(RuntimeError):
        streamed.blocks[0](torch.zeros(1, 3, 5), *[torch.zeros(1)] * 3, None)
    assert streamed.blocks[0].table.data_ptr() == before


def test_tensors_of_several_types_keep_them() -> None:
    streamed, whole = network(), network()
    for one in (streamed, whole):
        one.blocks.bfloat16()
        for block in one.blocks:
            block.table.data = block.table.data.float()
    types = [p.dtype for p in streamed.parameters()]
    offload.stream(streamed, "cpu", resident=1)
    assert [p.dtype for p in streamed.parameters()] == types
    assert all(
        torch.equal(a, b) for a, b in zip(streamed.parameters(), whole.parameters(), strict=True)
    )


def test_as_many_blocks_stay_as_fit() -> None:
    made = network()
    block = offload.bytes_of(made.blocks[0])
    rest = offload.bytes_of(made) - 5 * block
    work = 1000
    assert offload.fitting(made, rest + work + 5 * block, at_work=work) == 5
    assert offload.fitting(made, rest + work + 5 * block - 1, at_work=work) == 2
    assert offload.fitting(made, rest + work + 2 * block, at_work=work) == 0
    with pytest.raises(RequestError, match="it takes"):
        offload.fitting(made, rest + work + 2 * block - 1, at_work=work)


@pytest.mark.parametrize(
    ("config", "patches", "levels", "gigabytes"),
    [
        (TransformerConfig(width=3072, layers=30, heads=24, hidden=14336), 27_280, 27_280, 12),
        (TransformerConfig(width=5120, layers=40, heads=40, hidden=13824), 32_760, 1, 24),
    ],
)
def test_large_networks_fit_by_this_reckoning(
    config: TransformerConfig, patches: int, levels: int, gigabytes: int
) -> None:
    with torch.device("meta"):
        made = Transformer(config).bfloat16()
    work = offload.bytes_at_work(config, patches, levels=levels)
    assert offload.fitting(made, gigabytes * 2**30, at_work=work) >= 0


@pytest.mark.gpu
def test_streaming_on_a_gpu_gives_what_the_gpu_gives() -> None:
    whole, streamed = network().cuda(), network()
    offload.stream(streamed, "cuda", resident=2)

    def run(one: Transformer) -> torch.Tensor:
        noisy, text = torch.ones(1, 4, 3, 8, 8).cuda(), torch.ones(1, 6, 16).cuda()
        with torch.no_grad():
            return one(noisy, torch.full((1, 1), 0.7).cuda(), text, None)

    expected = run(whole)
    for _ in range(5):
        assert torch.equal(run(streamed), expected)
