"""Skipped steps: the decisions of both papers recomputed by hand, exact where answers are linear
in the question, bounded where they are not; known latents stay bit for bit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from worldreel.diffusion.caching import Cached, EasyCache, MagCache, Magnitudes, mean_ratios
from worldreel.diffusion.known import Known
from worldreel.diffusion.sampler import sample, schedule

SHAPE = (1, 3, 2, 4, 4)
Answer = Callable[[Tensor, Tensor], Tensor]


def draw(seed: int) -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def towards(clean: Tensor) -> Answer:
    """The exact flow to one clip: v = (x − clean) / s."""
    return lambda x, s: (x - clean) / s.reshape(-1, 1, 1, 1, 1)


def curved(clean: Tensor) -> Answer:
    """A flow whose velocity bends with the level."""
    return lambda x, s: (
        (x - clean * (1 + 0.3 * torch.sin(7 * s.reshape(-1, 1, 1, 1, 1))))
        / (0.3 + s.reshape(-1, 1, 1, 1, 1))
    )


def run(velocity: Answer, steps: int, known: Known | None = None) -> Tensor:
    known = Known.nothing(SHAPE) if known is None else known
    *_, last = sample(velocity, draw(0), known, schedule(steps, shift=3.0))
    return last.latents


def easy_by_hand(
    questions: list[Tensor], answers: list[Tensor], threshold: float, first: int
) -> list[bool]:
    """Which steps EasyCache skips (paper's equations), of questions and their true answers."""
    skips: list[bool] = []
    rate, error, asked = None, 0.0, 0
    for i, x in enumerate(questions):
        skip = False
        if i < first or i == len(questions) - 1:
            error = 0.0
        elif rate is not None:
            moved = (x - questions[i - 1]).abs().mean()
            error += float(rate * moved / answers[asked].abs().mean())
            skip = error < threshold
        if not skip:
            if i:
                answered = (answers[i] - answers[asked]).abs().mean()
                rate = answered / (x - questions[asked]).abs().mean()
            error, asked = 0.0, i
        skips.append(skip)
    return skips


@pytest.mark.parametrize("threshold", [0.0, 0.06, 0.1, 0.4])
def test_easycache_skips_what_its_paper_says(threshold: float) -> None:
    # Questions are fixed beforehand, so that skipping one does not change the next.
    g = torch.Generator().manual_seed(1)
    questions = [draw(0)]
    for _ in range(29):
        questions.append(questions[-1] + 0.05 * torch.randn(SHAPE, generator=g))
    answers = [torch.tanh(x) + 0.5 * x.roll(1, -1) for x in questions]
    asked: list[int] = []

    def velocity(x: Tensor, s: Tensor) -> Tensor:
        asked.append(next(i for i, q in enumerate(questions) if torch.equal(q, x)))
        return answers[asked[-1]]

    cached = Cached(velocity, EasyCache(threshold=threshold, begin=0.2), steps=30)
    got = [cached(x, torch.ones(1, 1)) for x in questions]
    skips = easy_by_hand(questions, answers, threshold, 6)
    assert [i not in asked for i in range(30)] == skips
    assert (cached.asked, cached.skipped) == (30 - sum(skips), sum(skips))
    assert (sum(skips) == 0) is (threshold == 0.0)
    last = 0
    for i, answer in enumerate(got):
        last = last if skips[i] else i
        wanted = answers[i] if not skips[i] else questions[i] + (answers[last] - questions[last])
        assert torch.equal(answer, wanted) or torch.allclose(answer, wanted, atol=1e-6)


def test_magcache_skips_what_its_paper_says() -> None:
    ratios = (1.0, 1.3, 0.99, 0.98, 0.97, 0.99, 0.9, 0.99, 0.995, 0.99)
    cached = Cached(
        lambda x, s: x * 2, MagCache(ratios=ratios, threshold=0.06, longest=2, begin=0.2), steps=10
    )
    before = 0
    pattern = ""
    for i in range(10):
        cached(draw(i), torch.ones(1, 1))
        pattern += "." if cached.asked > before else "-"
        before = cached.asked
    # Steps 0 and 1 begin. 2: 0.01. 3: 0.01 + |1 − 0.99·0.98| = 0.0398. 4 would be a third: asked.
    # 5: 0.01. 6: 0.01 + |1 − 0.891| > 0.06: asked. 7: 0.01. 8: 0.01 + 0.015. 9 is the last.
    assert pattern == "..--.-.--."


def test_no_threshold_is_no_caching() -> None:
    clean = draw(9)
    plain = run(curved(clean), 12)
    for caching in (EasyCache(threshold=0.0), MagCache(ratios=(1.0,), threshold=0.0)):
        cached = Cached(curved(clean), caching, steps=12)
        assert torch.equal(run(cached, 12), plain)
        assert cached.skipped == 0


def test_more_skipped_is_farther_and_all_arrive_near() -> None:
    clean = draw(9)
    plain = run(curved(clean), 40)
    errors, skipped = [], []
    for threshold in (0.01, 0.05, 0.3):
        cached = Cached(curved(clean), EasyCache(threshold=threshold), steps=40)
        errors.append(float((run(cached, 40) - plain).norm() / plain.norm()))
        skipped.append(cached.skipped)
    assert skipped == sorted(skipped)
    assert 0 < skipped[0] < skipped[-1] < 32
    assert errors[0] < errors[-1] < 0.3


def test_a_straight_flow_loses_nothing_to_reuse() -> None:
    # Along v = x − a + b the difference v − x is the same everywhere: reuse is exact.
    a = draw(3)
    plain = run(lambda x, s: x - a, 20)
    cached = Cached(lambda x, s: x - a, MagCache(ratios=(1.0,), longest=50), steps=20)
    assert float((run(cached, 20) - plain).abs().max()) < 1e-5
    assert (cached.asked, cached.skipped) == (5, 15)


def test_known_latents_stay_bit_for_bit() -> None:
    start = torch.ones(1, 1, *SHAPE[2:])
    start[:, :, 0] = 0
    known = Known(latents=draw(4), start=start)
    # Known patches have level 0, where the exact flow has no velocity: any finite one will do.
    cached = Cached(lambda x, s: x - draw(5), EasyCache(threshold=0.5), steps=15)
    done = run(cached, 15, known)
    assert cached.skipped > 0
    assert torch.equal(done[:, :, 0], known.latents[:, :, 0])


def test_magnitudes_are_those_of_the_differences() -> None:
    a, clips = draw(6), []
    for seed in (0, 1):
        measured = Magnitudes(lambda x, s: x + a * s.reshape(-1, 1, 1, 1, 1))
        for level in (1.0, 0.5, 0.4):
            measured(draw(seed), torch.tensor([[level]]))
        assert measured.ratios == pytest.approx((1.0, 0.5, 0.8), rel=1e-5)
        clips.append(measured)
    assert mean_ratios(clips) == pytest.approx((1.0, 0.5, 0.8), rel=1e-5)


def test_ratios_of_another_number_of_steps_are_the_nearest() -> None:
    caching = MagCache(ratios=(1.0, 2.0, 3.0, 4.0, 5.0))
    assert [caching.ratio(i, 5) for i in range(5)] == [1, 2, 3, 4, 5]
    assert [caching.ratio(i, 3) for i in range(3)] == [1, 3, 5]
    assert [caching.ratio(i, 9) for i in range(9)][::2] == [1, 2, 3, 4, 5]
    assert caching.ratio(0, 1) == 5


def test_one_object_is_for_one_clip() -> None:
    cached = Cached(towards(draw(9)), EasyCache(), steps=3)
    run(cached, 3)
    with pytest.raises(AssertionError, match="every clip"):
        cached(draw(0), torch.ones(1, 1))
