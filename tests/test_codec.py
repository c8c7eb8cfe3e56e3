"""Codec: causal, the same in chunks as whole, a still is the first frame of a clip.

The weights are random, all of them: a fresh codec has residual branches that are zero, and would
pass for causal whatever they did.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from worldreel import shapes
from worldreel.codec.layers import (
    CausalTemporalConv,
    SpatialConv,
    channels_to_space,
    space_to_channels,
)
from worldreel.codec.model import GROUP, Codec, CodecConfig

FRAMES = 13  # 1 + 4 + 4 + 4
LATENTS = 4


def codec(scale: int) -> Codec:
    torch.manual_seed(scale)
    config = CodecConfig(
        channels=4, fine=12, deep=16, finer=8, encoder_depth=2, decoder_depth=2, scale=scale
    )
    made = Codec(config).eval()
    for name, parameter in made.named_parameters():
        with torch.no_grad():
            if parameter.ndim > 1:
                parameter.normal_(std=parameter[0].numel() ** -0.5)
            else:
                parameter.normal_(1.0 if name.endswith("scale") else 0.0, 0.2)
    made.mean.normal_()
    made.deviation.uniform_(0.5, 2)
    return made


@pytest.fixture(params=[1, 2], ids=["8x8", "16x16"])
def made(request: pytest.FixtureRequest) -> Codec:
    return codec(request.param)


def frames(count: int = FRAMES, *, batch: int = 1, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, 3, count, 32, 48, generator=generator) * 2 - 1


def latents_for(made: Codec, count: int = LATENTS, *, batch: int = 1, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    spatial = made.config.spatial
    return torch.randn(
        batch, made.config.channels, count, 32 // spatial, 48 // spatial, generator=generator
    )


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, atol=2e-5, rtol=1e-5)


@pytest.fixture(autouse=True)
def no_grad() -> Iterator[None]:
    torch.manual_seed(0)
    with torch.no_grad():
        yield


@pytest.mark.parametrize("count", [1, 5, 13])
def test_shapes_are_those_of_the_arithmetic(made: Codec, count: int) -> None:
    latents, _ = made.encode(frames(count))
    config = made.config
    expected = shapes.latent_shape(count, 32, 48, temporal=config.temporal, spatial=config.spatial)
    assert latents.shape == (1, config.channels, *expected)
    decoded, _ = made.decode(latents)
    assert decoded.shape == (1, 3, count, 32, 48)


@pytest.mark.parametrize("changed", range(FRAMES))
def test_a_frame_is_heard_in_its_own_group_and_never_earlier(made: Codec, changed: int) -> None:
    clip, other = frames(), frames()
    other[:, :, changed] = frames(1, seed=9)[:, :, 0]
    (before, _), (after, _) = made.encode(clip), made.encode(other)
    group = (changed + GROUP - 1) // GROUP
    close(before[:, :, :group], after[:, :, :group])
    assert float((before[:, :, group] - after[:, :, group]).abs().max()) > 1e-3


@pytest.mark.parametrize("changed", range(LATENTS))
def test_a_latent_is_seen_in_its_own_group_and_never_earlier(made: Codec, changed: int) -> None:
    latents, other = latents_for(made), latents_for(made)
    other[:, :, changed] += 1
    (before, _), (after, _) = made.decode(latents), made.decode(other)
    first = 0 if changed == 0 else 1 + GROUP * (changed - 1)
    last = first + (1 if changed == 0 else GROUP)
    close(before[:, :, :first], after[:, :, :first])
    moved = (before - after)[:, :, first:last].abs().amax((0, 1, 3, 4))
    assert bool((moved > 1e-3).all())


@pytest.mark.parametrize("sizes", [(1, 4, 4, 4), (5, 8), (9, 4), (1, 12)])
def test_encoding_in_chunks_equals_encoding_whole(made: Codec, sizes: tuple[int, ...]) -> None:
    clip, state, parts = frames(batch=2), None, []
    for chunk in clip.split(sizes, 2):
        part, state = made.encode(chunk, state)
        parts.append(part)
    close(torch.cat(parts, 2), made.encode(clip)[0])


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (2, 2), (3, 1), (1, 3)])
def test_decoding_in_chunks_equals_decoding_whole(made: Codec, sizes: tuple[int, ...]) -> None:
    latents, state, parts = latents_for(made, batch=2), None, []
    for chunk in latents.split(sizes, 2):
        part, state = made.decode(chunk, state)
        parts.append(part)
    close(torch.cat(parts, 2), made.decode(latents)[0])


def test_state_is_a_value(made: Codec) -> None:
    """Going on twice from one state gives the same twice, and leaves the state as it was."""
    _, state = made.encode(frames(5))
    kept = [part.clone() for part in state]
    (first, _), (second, _) = (made.encode(frames(4, seed=2), state) for _ in range(2))
    assert torch.equal(first, second)
    assert all(torch.equal(a, b) for a, b in zip(state, kept, strict=True))


def test_state_does_not_grow(made: Codec) -> None:
    """Constant memory, however long the video."""
    _, encoding = made.encode(frames(5))
    _, decoding = made.decode(latents_for(made, 2))
    for seed in range(3):
        _, more = made.encode(frames(4, seed=seed), encoding)
        assert [p.shape for p in more] == [p.shape for p in encoding]
        _, after = made.decode(latents_for(made, 1, seed=seed), decoding)
        assert [p.shape for p in after] == [p.shape for p in decoding]
        encoding, decoding = more, after


def test_a_still_is_the_first_latent_frame_of_a_clip(made: Codec) -> None:
    clip = frames()
    close(made.encode(clip[:, :, :1])[0], made.encode(clip)[0][:, :, :1])
    latents = latents_for(made)
    close(made.decode(latents[:, :, :1])[0], made.decode(latents)[0][:, :, :1])


def test_a_clip_that_stands_still_is_its_still_again_and_again(made: Codec) -> None:
    """Before its first frame a clip is taken to have stood still, so nothing tells them apart."""
    clip = frames(1).expand(-1, -1, FRAMES, -1, -1)
    close(made.encode(clip)[0], made.encode(clip[:, :, :1])[0].expand(-1, -1, LATENTS, -1, -1))


def test_clips_of_a_batch_do_not_mix(made: Codec) -> None:
    clips = frames(5, batch=3)
    together, _ = made.encode(clips)
    close(together, torch.cat([made.encode(clip[None])[0] for clip in clips]))
    close(made.decode(together)[0], torch.cat([made.decode(z[None])[0] for z in together]))


def test_latents_are_normalised_by_the_statistics_and_back(made: Codec) -> None:
    clip = frames(5)
    raw, _ = made.encoder(clip)
    mean, deviation = (s.view(1, -1, 1, 1, 1) for s in (made.mean, made.deviation))
    latents, _ = made.encode(clip)
    close(latents, (raw - mean) / deviation)
    close(made.decode(latents)[0], made.decoder(raw)[0])
    assert {"mean", "deviation"} <= set(made.state_dict())  # frozen beside the weights


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_space_becomes_channels_and_back(factor: int) -> None:
    x = torch.randn(2, 3, 16, 24, 5)
    y = space_to_channels(x, factor)
    pattern = "b t (h fh) (w fw) c -> b t h w (fh fw c)"
    assert torch.equal(y, rearrange(x, pattern, fh=factor, fw=factor))
    assert torch.equal(channels_to_space(y, factor), x)


def test_the_spatial_convolution_is_a_convolution_of_each_frame() -> None:
    torch.manual_seed(0)
    layer, x = SpatialConv(3, 5), torch.randn(2, 4, 6, 7, 3)
    kernel = layer.weight.reshape(5, 3, 3, 3)
    for t in range(4):
        plain = F.conv2d(x[:, t].permute(0, 3, 1, 2), kernel, layer.bias, padding=1)
        close(layer(x)[:, t], plain.permute(0, 2, 3, 1))


def test_the_temporal_convolution_is_one_over_a_repeated_first_frame() -> None:
    torch.manual_seed(0)
    layer, x = CausalTemporalConv(3), torch.randn(2, 5, 2, 2, 3)
    found, past = layer(x, None)
    kernel = layer.mix.weight.unflatten(1, (3, 3)).transpose(1, 2)  # [out, in, time]
    series = rearrange(x, "b t h w c -> (b h w) c t")
    plain = F.conv1d(F.pad(series, (2, 0), mode="replicate"), kernel, layer.mix.bias)
    close(found, rearrange(plain, "(b h w) c t -> b t h w c", b=2, h=2))
    assert torch.equal(past, x[:, -2:])


def test_a_fresh_codec_learns_one_clip() -> None:
    """Training works end to end: in forty steps half the error of a grey picture is gone."""
    torch.manual_seed(0)
    config = CodecConfig(fine=16, deep=24, finer=12, encoder_depth=1, decoder_depth=1)
    fresh = Codec(config)
    rows = torch.linspace(-1, 1, 16)
    clip = torch.stack([rows[:, None] * c + rows.roll(c)[None] for c in (1, 3, 5)])
    clip = torch.stack([clip.roll(t, -1) for t in range(5)], 1)[None] / 2
    optimizer = torch.optim.Adam(fresh.parameters(), lr=5e-3)
    with torch.enable_grad():
        for _ in range(40):
            decoded, _ = fresh.decode(fresh.encode(clip)[0])
            loss = F.mse_loss(decoded, clip)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    assert float(loss.detach()) < 0.5 * float(clip.var())
