"""Training: known patches, cached latents, and a network that learns to tell places by name."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from worldreel.codec.model import Codec
from worldreel.diffusion.known import Known
from worldreel.diffusion.sampler import guided, sample, schedule
from worldreel.text.encoder import Reader, TextConfig
from worldreel.text.table import TextTable
from worldreel.text.tokens import Tokens
from worldreel.train.known import draw_known
from worldreel.train.latents import Shape, _drafter, _rendered, draws, make_latents, pools
from worldreel.train.optimizer import Optimizers
from worldreel.train.plans import tiny_codec, tiny_latents, tiny_transformer
from worldreel.train.transformer import Learner, train_transformer, training_loss
from worldreel.transformer.config import TransformerConfig
from worldreel.world.render import Renderer


def test_known_frames_have_level_and_weight_zero() -> None:
    torch.manual_seed(0)
    level, weight = draw_known((400, 5, 2, 2), share=1.0, shift=1.5)
    assert level.shape == weight.shape == (400, 1, 5, 2, 2)
    assert torch.equal(level == 0, weight == 0)
    assert bool((weight.flatten(1).sum(1) > 0).all())  # something is left to learn from
    assert 0.3 < float((weight[:, 0, 0, 0, 0] == 0).float().mean()) < 0.8


def test_without_known_frames_all_patches_of_a_clip_are_equally_noisy() -> None:
    level, weight = draw_known((50, 5, 2, 2), share=0.0, shift=1.5)
    assert bool((level.flatten(1).std(1) < 1e-7).all())
    assert bool((weight == 1).all())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("latents")
    torch.manual_seed(0)
    make_latents(Codec(tiny_codec().config), tiny_latents(), folder)
    return folder


def test_latents_are_cached_once_and_resumed(made: Path) -> None:
    found = pools(made)
    assert {name: len(pool) for name, pool in found.items()} == {"1x64x64": 32, "5x64x64": 16}
    assert found["5x64x64"].latents.shape == (16, 16, 2, 4, 4)
    assert found["5x64x64"].coverage.shape == (16, 2, 4, 4)
    path = made / "5x64x64" / "0000000.safetensors"
    before = path.read_bytes()
    path.unlink()
    torch.manual_seed(0)
    make_latents(Codec(tiny_codec().config), tiny_latents(), made)  # only what is missing
    assert path.read_bytes() == before


def test_other_processes_draft_the_same_scenes() -> None:
    parts = [range(5, 7), range(7, 10)]
    with _drafter(tiny_latents(), 0) as here, _drafter(tiny_latents(), 1) as there:
        for shots in (1, 2):
            for ours, theirs in zip(here(shots, parts), there(shots, parts), strict=True):
                assert ours.stories == theirs.stories
                assert ours.ids.shape[1:] == (12, shots, 48)
                assert torch.equal(ours.ids, theirs.ids)


def test_shots_are_cut_where_the_shape_says(tmp_path: Path) -> None:
    """Pixels jump at the first frame of a new shot and nowhere else; each shot has its words."""
    shape = Shape(frames=17, height=64, width=64, count=4, cuts=(2, 4))
    assert shape.name == "17x64x64+2+4" and shape.shots == (5, 8, 4)
    plan = replace(tiny_latents(), shapes=(shape,), batch=4)
    with _drafter(plan, 0) as draft:
        told = next(draft(3, [range(20, 24)]))
    frames = _rendered(plan, shape, told.stories, Renderer(unit=64, side=32, variants=1)).frames
    step = (frames[:, :, 1:] - frames[:, :, :-1]).abs().mean((1, 3, 4))
    moved = [a.place != b.place for s in told.stories for a, b in pairwise(s.scenes)]
    cut = torch.tensor(moved).view(4, 2)
    jumps = step[:, [4, 12]]  # from frame 4 to 5, and 12 to 13
    rest = step[:, [i for i in range(16) if i not in (4, 12)]]
    assert bool(cut.any()) and float(jumps[cut].min()) > 2 * float(rest.max())
    make_latents(Codec(tiny_codec().config), plan, tmp_path)
    pool = pools(tmp_path)[shape.name]
    assert pool.cuts == (2, 4) and pool.ids.shape == (4, 12, 3, 48)
    latents, coverage, ids = next(draws(pool, 2, seed=0))
    assert latents.shape[2] == coverage.shape[1] == 5 and ids.shape == (2, 3, 48)
    rows = pool.ids.flatten(0, 1)
    assert all(bool((rows == one).all((1, 2)).any()) for one in ids)


def test_older_shards_have_one_shot(made: Path, tmp_path: Path) -> None:
    shard = load_file(made / "5x64x64" / "0000000.safetensors")
    ids = shard["ids"]
    (tmp_path / "5x64x64").mkdir()
    older = {**shard, "ids": ids[:, :, 0].contiguous()}
    save_file(older, tmp_path / "5x64x64" / "0000000.safetensors")
    pool = pools(tmp_path)["5x64x64"]
    assert torch.equal(pool.ids, ids) and pool.cuts == ()


def test_an_epoch_draws_every_clip_once(made: Path) -> None:
    pool = pools(made)["1x64x64"]
    stream = draws(pool, 8, seed=3)
    seen = torch.cat([next(stream)[0] for _ in range(4)]).flatten(1).sum(1)
    assert torch.allclose(seen.sort().values, pool.latents.float().flatten(1).sum(1).sort().values)


def test_training_resumes_where_it_stopped(made: Path, tmp_path: Path) -> None:
    plan = replace(tiny_transformer(), minutes=0.02)
    steps: list[int] = []
    train_transformer(plan, made, tmp_path, report=lambda line: steps.append(line.step))
    assert steps == list(range(1, len(steps) + 1))
    again: list[int] = []
    longer = replace(plan, minutes=0.04)
    weights = train_transformer(longer, made, tmp_path, report=lambda line: again.append(line.step))
    assert again[0] == steps[-1] + 1
    assert all(bool(torch.isfinite(w).all()) for w in weights.values())


def test_a_tiny_network_learns_what_words_mean() -> None:
    """Two words, two kinds of latents: after two hundred steps the prompt decides which.

    Chance is one half; the latents overlap as noise does, so nothing but the text can tell.
    """
    torch.manual_seed(0)
    text = TextConfig(width=32, layers=1, heads=2)
    config = TransformerConfig(width=64, layers=2, heads=2, hidden=128, channels=4, text_width=32)
    plan = replace(tiny_transformer(), text=text, config=config, learning_rate=3e-3, row_noise=0.0)
    learner, table = Learner(text, config), TextTable.load()
    optimizers = Optimizers([learner], learning_rate=plan.learning_rate)
    words, patterns = ("beach", "space"), torch.randn(2, 4, 1, 4, 4)
    ids, _ = Tokens().tokenize(words, length=4)
    for _step in range(200):
        which = torch.randint(0, 2, (32,))
        clean = patterns[which] + 0.3 * torch.randn(32, 4, 1, 4, 4)
        chosen = torch.from_numpy(ids)[which][:, None]
        training_loss(learner, plan, table, clean, torch.zeros(32, 1, 4, 4), chosen).backward()
        optimizers.step(1.0)
    right = 0
    reader = Reader(length=4)
    with torch.no_grad():
        nothing = _states(learner, reader, [""] * 16)
        for index, word in enumerate(words):
            told = _states(learner, reader, [word] * 16)
            shape = (16, 4, 1, 4, 4)

            def velocity(
                noisy: torch.Tensor,
                level: torch.Tensor,
                states: tuple[torch.Tensor, torch.Tensor] = told,
            ) -> torch.Tensor:
                return learner.transformer(noisy, level, *states)  # type: ignore[no-any-return]

            def without(noisy: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
                return learner.transformer(noisy, level, *nothing)  # type: ignore[no-any-return]

            steps = list(
                sample(
                    guided(velocity, without, 1.5),
                    torch.randn(shape),
                    Known.nothing(shape),
                    schedule(8),
                )
            )
            distance = (steps[-1].latents[:, None] - patterns).square().flatten(2).sum(-1)
            right += int((distance.argmin(1) == index).sum())
    assert right >= 30, f"{right} of 32"


def _states(
    learner: Learner, reader: Reader, prompts: list[str]
) -> tuple[torch.Tensor, torch.Tensor]:
    rows, mask = reader.read(prompts)
    return learner.text(rows, mask), mask
