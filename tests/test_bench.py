"""`worldreel bench`: operations counted right, figures that agree, mistakes told in a sentence."""

import json
from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from worldreel import cli
from worldreel.evaluate.machine import measure, operations, peak
from worldreel.generator import Generator
from worldreel.models.load import load_model
from worldreel.transformer.config import TransformerConfig
from worldreel.transformer.model import Transformer


def test_operations_are_those_that_torch_counts() -> None:
    config = TransformerConfig(
        width=48, heads=4, layers=3, hidden=80, channels=4, text_width=16, frequencies=32,
        pooled=False,
    )  # fmt: skip
    transformer, noisy = Transformer(config).eval(), torch.randn(1, 4, 5, 8, 6)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        transformer(noisy, torch.full((1, 1), 0.5), torch.randn(1, 7, 16), None)
    # All but the layers over the one noise level, which no patch or word takes part in.
    level = 2 * (32 * 48 + 48 * 48 + 48 * 6 * 48)
    assert counter.get_total_flops() - level == operations(config, 5 * 4 * 3, 7)


@pytest.mark.parametrize(
    ("width", "heads", "hidden", "layers", "patches", "tflop"),
    [(1536, 12, 8960, 30, 32_760, 283.0)],  # Wan2.1-1.3B, 81 frames of 480x832
)
def test_operations_of_published_sizes(
    width: int, heads: int, hidden: int, layers: int, patches: int, tflop: float
) -> None:
    config = TransformerConfig(
        width=width, heads=heads, hidden=hidden, layers=layers, text_width=4096
    )
    assert operations(config, patches, 512) == pytest.approx(tflop * 1e12, rel=0.005)


def test_the_limit_is_a_rate() -> None:
    rate = peak(torch.float32, torch.device("cpu"), seconds=0.05)
    assert 1e8 < rate < 1e15


def test_figures_agree_with_each_other() -> None:
    model = load_model()
    small = replace(model.settings, natives=((64, 64),), seconds=0.5)
    told: list[float] = []
    found = measure(
        Generator(replace(model, settings=small)), steps=3, tell=lambda s, _: told.append(s)
    )
    assert json.loads(json.dumps(found)) == found
    assert found["patches"] == 2 * 2 * 2  # of 0.5 s at 12 a second: 5 frames, 2 latent ones
    assert found["calls_a_step"] == 2
    rate = found["tflop_a_step"] / found["seconds_a_step"]
    assert found["tflop_a_second"] == pytest.approx(rate, rel=0.2)
    share = found["tflop_a_second"] / found["limit_tflop_a_second"]
    assert found["share_of_limit"] == pytest.approx(share, rel=0.02)
    assert 0 < found["share_of_limit"] < 1.2
    assert told == sorted(told) and len(told) == 5


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (["--steps", "1"], "the number of steps is 1; 2 to 100 can be measured; the nearest is 2."),
        (["--steps", "999"], "the nearest is 100."),
        (["--device", "abacus"], 'the device is "abacus"; it may be cpu or cuda'),
        (["--model", "nothing"], '"nothing"'),
    ],
)
def test_mistakes_are_one_sentence(
    asked: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["bench", *asked]) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1
