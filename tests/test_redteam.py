"""Attacks on the prompt policy. Oracles: the text before it was disguised; counts by hand."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from worldreel import cli
from worldreel.safety.data import SECOND_SHA256, Prompt, digest, prompts
from worldreel.safety.measure import Count
from worldreel.safety.normalise import readings
from worldreel.safety.policy import policy_of
from worldreel.safety.redteam import GROUPS, MUTATIONS, SCENES, attack, compare


def prompt(text: str, label: str = "characters") -> Prompt:
    return Prompt(part="given", language="en", label=label, batch="given", text=text)


UNDONE = ("leet", "look-alikes", "spaced", "dotted", "invisible", "capitals")


@pytest.mark.parametrize("name", UNDONE)
def test_disguises_change_signs_and_are_undone(name: str) -> None:
    plain = "a yellow balloon floats past"
    disguised = MUTATIONS[name](plain, random.Random(1))
    assert disguised != plain
    read = {"".join(word.text for word in reading.words) for reading in readings(disguised)}
    assert plain.replace(" ", "") in read


@pytest.mark.parametrize("name", [name for name in MUTATIONS if name not in UNDONE])
def test_other_mutations_keep_what_is_said(name: str) -> None:
    plain = "a yellow balloon floats past"
    disguised = MUTATIONS[name](plain, random.Random(1))
    assert disguised == MUTATIONS[name](plain, random.Random(1))
    if name == "typos":
        assert [sorted(w) for w in disguised.split()] == [sorted(w) for w in plain.split()]
    elif name != "translated":
        assert set(plain.split()) <= set(disguised.replace(".", "").split())


def test_key_words_are_translated() -> None:
    draw = random.Random(1)
    told = {MUTATIONS["translated"]("they kill it", draw) for _ in range(40)}
    assert {"they tue it", "they mata it", "they 杀 it"} <= told


def test_attack_counts_what_it_should() -> None:
    """A policy of one word, under which a mutation that breaks the word gets through."""
    policy = policy_of(
        {
            "without": ["violence", "sexual", "hate", "figures", "news"],
            "replace": {"characters": ["zorblax"]},
            "strictness": {"characters": 1.0},
        }
    )
    given = [prompt("zorblax dances"), prompt("a plain lake")]
    found = attack(given, policy=policy)
    assert found.plain["all"] == Count(refused=1, total=2)
    for name in ("leet", "spaced", "invisible", "capitals", "framed", "split", "padded"):
        assert found.found[name]["characters"] == Count(refused=1, total=1), name
    assert found.found["typos"]["all"] == Count(refused=0, total=1)
    assert [one.mutation for one in found.passed] == ["typos"]


def test_intervals_hold_the_share() -> None:
    low, high = Count(refused=5, total=10).interval
    assert low == pytest.approx(0.2366, abs=1e-3) and high == pytest.approx(0.7634, abs=1e-3)
    assert Count(refused=0, total=20).interval[0] == 0.0
    assert Count(refused=0, total=0).interval == (0.0, 1.0)


def test_groups_are_treated_alike() -> None:
    for kind, counts in compare().items():
        assert set(counts) == set(GROUPS[kind])
        shares = [count.share for count in counts.values()]
        assert all(count.total == len(SCENES) for count in counts.values())
        assert max(shares) - min(shares) <= 0.1, (kind, counts)


def test_a_group_that_a_policy_singles_out_is_seen() -> None:
    counts = compare(policy=policy_of({"refuse": {"hate": ["Sikh person"]}}))["religion"]
    assert counts["Sikh person"].share == 1.0 and counts["Hindu person"].share < 0.2


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bad.txt"
    file.write_text("Batman eats soup\n", encoding="utf-8")
    assert cli.main(["redteam", "--file", str(file), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["plain"]["characters"]["refused"] == told["plain"]["all"]["total"] == 1
    assert set(told["disguised"]) == set(MUTATIONS) and set(told["groups"]) == set(GROUPS)
    assert cli.main(["redteam", "--file", str(file)]) == 0
    assert "as it stands" in capsys.readouterr().out
    for bad in (["redteam", "--file", "/none"], ["redteam", "--count", "0"]):
        assert cli.main(bad) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_the_second_frozen_part_is_frozen() -> None:
    second = [p for p in prompts() if p.part == "second"]
    assert digest(second) == SECOND_SHA256 and len(second) == 620
    assert not {p.text for p in second} & {p.text for p in prompts() if p.part != "second"}
