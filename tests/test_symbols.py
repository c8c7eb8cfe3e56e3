"""The detector of hate symbols: its drawings are what they claim, and it finds them unseen.

Symbols are drawn here only to see them found. Drawings, places and spoiling come from seeds that
the training does not use.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from worldreel.safety.reviewers import Confidence
from worldreel.safety.symbol_net import SEEN, STRIDE, SymbolNet, load, sights
from worldreel.safety.symbol_scenes import Drawings, batch, invented, place, spoil
from worldreel.safety.symbols import LOOKALIKES, SYMBOLS, draw

WEIGHTS = Path(__file__).parents[1] / "src/worldreel/safety/data/symbols.safetensors"


def mask(name: str, seed: int = 0) -> np.ndarray:
    """A steady drawing without a shaking hand, 0..1."""
    return draw(name, np.random.default_rng(seed), worn=False) / 255


@pytest.mark.parametrize("seed", range(4))
def test_hooked_crosses_turn_into_themselves_and_mirror_into_each_other(seed: int) -> None:
    right, left = mask("right", seed), mask("left", seed)
    for quarters in (1, 2, 3):
        assert np.abs(np.rot90(right, quarters) - right).mean() < 0.02
    assert np.abs(right[:, ::-1] - left).mean() < 0.02
    assert np.abs(right - left).mean() > 0.1
    # Hooks that run clockwise: the upper arm bends to the right.
    high = right[:24]
    assert high[:, 54:].sum() > 1.3 * high[:, :42].sum()


def test_runes_and_sun_have_their_symmetries() -> None:
    bolts = mask("bolts", 3)
    assert np.abs(np.rot90(bolts, 2) - bolts).mean() < 0.03
    assert np.abs(bolts[:, ::-1] - bolts).mean() > 0.05
    sun = mask("sun", 3)
    assert np.abs(np.rot90(sun) - sun).mean() < 0.05


@pytest.mark.parametrize("name", [*SYMBOLS, *LOOKALIKES])
def test_drawings_fill_their_square_and_differ(name: str) -> None:
    chance = np.random.default_rng(1)
    some = [draw(name, chance) for _ in range(8)]
    assert all(0.02 < one.mean() / 255 < 0.95 for one in some)
    assert len({one.tobytes() for one in some}) > 1
    assert draw(name, np.random.default_rng(2)).tobytes() == (
        draw(name, np.random.default_rng(2)).tobytes()
    )


def test_a_drawing_is_placed_with_the_size_asked_for() -> None:
    chance = np.random.default_rng(0)
    disc = torch.full((40, 48, 48), 255, dtype=torch.uint8)
    behind = torch.full((40, 3, SEEN, SEEN), 0.5)
    placed = place(disc, behind, chance, sizes=np.full(40, 20.0), jitter=0.0)
    touched = ((placed - behind).abs().amax(1) > 1e-3).flatten(1).sum(1).float().sqrt()
    # With its panel a drawing is 20 / 0.62 = 32 pixels wide; perspective makes it narrower.
    assert touched.min() >= 18 and touched.max() <= 38


def test_a_network_sees_the_same_in_a_window_and_in_a_frame() -> None:
    torch.manual_seed(0)
    network = SymbolNet().eval()
    frame = torch.rand(1, 3, 83, 99)
    with torch.inference_mode():
        whole = network(frame)
        assert whole.shape == (1, 1 + len(SYMBOLS), 4, 6)
        window = frame[..., 2 * STRIDE : 2 * STRIDE + SEEN, 3 * STRIDE : 3 * STRIDE + SEEN]
        torch.testing.assert_close(network(window)[0, :, 0, 0], whole[0, :, 2, 3])


def test_training_writes_weights_that_load(tmp_path: Path) -> None:
    from worldreel.safety.train_symbols import train

    path = tmp_path / "symbols.safetensors"
    train([], seconds=0.5, output=path, each=4)
    network = load(path)
    assert path.stat().st_size < 1_000_000
    assert len(sights(network, torch.zeros(64, 80, 3, dtype=torch.uint8))) <= len(SYMBOLS)
    save_file({"layers.0.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(RuntimeError):
        load(tmp_path / "other.safetensors")


def reviewer():  # type: ignore[no-untyped-def]
    from worldreel.safety.reviewers.symbols import SymbolReviewer

    return SymbolReviewer()


def pictures(name: str, count: int, seed: int) -> torch.Tensor:
    """Frames uint8 [count, 96, 96, 3] with `name` in perspective, tinted and blurred."""
    chance = np.random.default_rng(seed)
    masks = torch.from_numpy(np.stack([draw(name, chance, side=48) for _ in range(count)]))
    behind = invented(count, chance, side=96).float() / 255
    sizes = np.exp(chance.uniform(np.log(26), np.log(70), count))
    seen = spoil(place(masks, behind, chance, sizes=sizes, jitter=12.0), chance)
    return (seen * 255).round().to(torch.uint8).permute(0, 2, 3, 1)


BELOW = pytest.mark.xfail(
    reason="the weights are below their bar (docs/safety.md), and off", strict=False
)


@pytest.mark.parametrize(
    "name",
    [
        name if name in ("right", "left", "bolts", "sun") else pytest.param(name, marks=BELOW)
        for name in SYMBOLS
    ],
)
def test_symbols_never_seen_before_are_found(name: str) -> None:
    findings = reviewer().review(pictures(name, 40, seed=12345))
    found = {f.frame for f in findings if f.confidence is not Confidence.LOW}
    assert len(found) >= 36


def test_look_alikes_are_not_taken_for_symbols() -> None:
    judge = reviewer()
    wrong = [
        finding
        for name in LOOKALIKES
        for finding in judge.review(pictures(name, 4, seed=54321))
        if finding.confidence is Confidence.HIGH
    ]
    assert len(wrong) <= 2


@BELOW
def test_a_manji_is_never_more_than_a_question_of_context() -> None:
    findings = reviewer().review(pictures("left", 20, seed=777))
    assert all(
        finding.confidence is not Confidence.HIGH
        for finding in findings
        if finding.category == "symbols in context"
    )
    assert sum(finding.category == "hate symbols" for finding in findings) <= 2


def test_a_batch_is_half_symbols() -> None:
    chance = np.random.default_rng(0)
    drawings = Drawings.made(chance, each=5)
    seen, answers = batch(drawings, invented(3, chance), 256, chance)
    assert seen.shape == (256, 3, SEEN, SEEN) and seen.min() >= 0 and seen.max() <= 1
    assert (answers > 0).sum() == 128 and set(answers.tolist()) == set(range(1 + len(SYMBOLS)))


def test_training_goes_on_from_weights_of_fewer_symbols(tmp_path: Path) -> None:
    from worldreel.safety.train_symbols import train

    torch.manual_seed(1)
    known = {k: v.half() for k, v in SymbolNet().state_dict().items() if v.is_floating_point()}
    fewer = {k: v[:3] if k.startswith("head") else v for k, v in known.items()}
    save_file({k: v.contiguous() for k, v in fewer.items()}, tmp_path / "old.safetensors")
    train(
        [],
        seconds=1e-9,
        output=tmp_path / "new.safetensors",
        each=2,
        start=tmp_path / "old.safetensors",
    )
    now = load(tmp_path / "new.safetensors").state_dict()
    for name, value in fewer.items():
        assert torch.equal(now[name][: len(value)], value.float())


def test_every_symbol_turns_as_its_geometry_says() -> None:
    celtic, wolfsangel, othala = (mask(name, 5) for name in ("celtic", "wolfsangel", "othala"))
    assert np.abs(np.rot90(celtic) - celtic).mean() < 0.02
    assert np.abs(np.rot90(wolfsangel, 2) - wolfsangel).mean() < 0.02
    assert np.abs(wolfsangel[:, ::-1] - wolfsangel).mean() > 0.05
    assert np.abs(othala[:, ::-1] - othala).mean() < 0.05
    assert np.abs(othala[::-1] - othala).mean() > 0.05


def test_false_alarms_are_counted_with_their_interval(tmp_path: Path) -> None:
    from worldreel.safety.measure import Count
    from worldreel.safety.measure_frames import stops
    from worldreel.safety.reviewers import Finding

    low, high = Count(refused=0, total=300).interval
    assert low == pytest.approx(0, abs=1e-9) and high == pytest.approx(1.96**2 / (300 + 1.96**2))
    assert sum(Count(refused=150, total=300).interval) == pytest.approx(1.0)

    def finding(frame: int, confidence: Confidence) -> Finding:
        return Finding(frame=frame, category="x", confidence=confidence, score=0.9)

    middle = Confidence.MIDDLE
    assert stops([finding(3, Confidence.HIGH)])
    assert stops([finding(3, middle), finding(4, middle)])
    assert not stops([finding(3, middle), finding(3, middle), finding(4, Confidence.LOW)])
