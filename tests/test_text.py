"""Text: pieces against hand-cut ones, nearness of meaning against pairs that people agree on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from worldreel.errors import WeightsError
from worldreel.text.distil import read_thesaurus, read_words
from worldreel.text.table import TextTable, pooled
from worldreel.text.tokens import ASSETS, NOTHING, UNKNOWN, Tokens, asset

# Pairs outside thesaurus.txt (a test below makes sure): the encoder alone has to know them.
SYNONYMS = {
    "car": "vehicle motorcar",
    "dog": "dogs terrier",
    "cat": "cats",
    "bird": "birds sparrow",
    "boy": "boys lad",
    "fish": "fishes",
    "train": "railway locomotive",
    "castle": "fortress",
    "house": "cottage home",
    "doctor": "physician",
    "king": "monarch",
    "ocean": "sea",
    "city": "cities",
    "teacher": "educator instructor",
    "big": "large enormous huge",
    "small": "little tiny",
    "fast": "quick rapid",
    "slowly": "leisurely",
    "beautiful": "lovely",
    "flower": "blossom",
}


@pytest.fixture(scope="module")
def tokens() -> Tokens:
    return Tokens()


@pytest.fixture(scope="module")
def table() -> TextTable:
    return TextTable.load()


def meaning(texts: list[str], tokens: Tokens, table: TextTable) -> torch.Tensor:
    """Mean-pooled unit vectors `[B, 128]`."""
    ids, mask = tokens.tokenize(texts)
    return normalize(pooled(table.embed(ids), mask), dim=1)


def test_pieces_are_words_where_people_have_words(tokens: Tokens) -> None:
    crimson = ["a", "crimson", "automobile", ",", "fast", "!"]
    assert tokens.pieces("A Crimson AUTOMOBILE, fast!") == crimson
    assert tokens.pieces("two hedgehogs") == ["two", "hedgehog", "##s"]
    assert tokens.pieces("Café déjà-vu") == tokens.pieces("cafe deja-vu")


def test_ids_and_mask(tokens: Tokens) -> None:
    ids, mask = tokens.tokenize(["a red ball", "a red ball on a beach at night", ""], length=5)
    assert ids.shape == mask.shape == (3, 5)
    assert ids.dtype == np.int64 and mask.dtype == np.bool_
    assert mask.sum(1).tolist() == [3, 5, 1], "short, cut off, empty"
    assert (ids[0, :3] == ids[1, :3]).all()
    assert (ids[~mask] == NOTHING).all() and ids[2, 0] == NOTHING


def test_padding_changes_nothing(tokens: Tokens) -> None:
    alone, _ = tokens.tokenize(["a cat"], length=16)
    beside, _ = tokens.tokenize(["a cat", "a dog that runs along the beach at dusk"], length=16)
    assert (alone[0] == beside[0]).all()


@pytest.mark.parametrize(
    "text",
    ["", "   ", "\n", "\x00", "🐧🐧", "\ud800 half", "红色的球", "красный мяч", "كرة حمراء",
     "ลูกบอล", "x" * 4000, "a " * 4000, "[PAD] [UNK] [CLS]", "e\u0301\u200d\u202e"],
)  # fmt: skip
def test_any_text_is_read(text: str, tokens: Tokens, table: TextTable) -> None:
    ids, mask = tokens.tokenize([text])
    assert mask[0, 0] and (np.diff(mask[0].astype(int)) <= 0).all(), "tokens first, then padding"
    assert ids.min() >= 0 and ids.max() < table.size
    assert torch.isfinite(table.embed(ids)).all()


def test_special_words_cannot_be_typed(tokens: Tokens) -> None:
    ids, mask = tokens.tokenize(["[PAD][UNK]"])
    assert NOTHING not in ids[mask] and UNKNOWN not in ids[mask]


def test_table_and_tokens_belong_together(tokens: Tokens, table: TextTable) -> None:
    assert table.size == tokens.size and table.width == 128
    assert table.codes.dtype == torch.int8
    rms = table.embed(torch.arange(table.size)).square().mean(1).sqrt()
    assert (rms[:2] == 0).all()
    torch.testing.assert_close(rms[2:], torch.ones(table.size - 2), atol=0.02, rtol=0)


def test_crimson_automobile_is_a_red_car(tokens: Tokens, table: TextTable) -> None:
    said, right, colour, kind = meaning(
        ["crimson automobile", "red car", "blue car", "red bird"], tokens, table
    )
    assert said @ right > max(said @ colour, said @ kind) + 0.1


@pytest.mark.parametrize(
    ("said", "right", "wrong"),
    [
        ("a puppy at the seaside", "a dog on a beach", "a cat in a forest"),
        ("a bunny sprinting at dusk", "a rabbit running at sunset", "a snail resting at noon"),
        ("an azure bicycle in a downpour", "a blue bike in the rain", "a red bus in the snow"),
        ("a cheerful lady strolls", "a happy woman walks", "a sad man sleeps"),
        ("hedgehogs", "a hedgehog", "a helicopter"),
    ],
)
def test_sentences_in_other_words(
    said: str, right: str, wrong: str, tokens: Tokens, table: TextTable
) -> None:
    a, b, c = meaning([said, right, wrong], tokens, table)
    assert a @ b > a @ c + 0.1


def test_words_outside_the_thesaurus_find_their_synonym(tokens: Tokens, table: TextTable) -> None:
    common = list(SYNONYMS)
    pairs = [(word, right) for right, words in SYNONYMS.items() for word in words.split()]
    assert not {word for word, _ in pairs} & set(read_thesaurus(ASSETS / "thesaurus.txt"))
    near = meaning([w for w, _ in pairs], tokens, table) @ meaning(common, tokens, table).T
    found = [
        common[index] == right for index, (_, right) in zip(near.argmax(1), pairs, strict=True)
    ]
    assert np.mean(found) >= 0.9, [w for (w, _), ok in zip(pairs, found, strict=True) if not ok]


def test_every_thesaurus_word_finds_its_meaning(tokens: Tokens, table: TextTable) -> None:
    thesaurus = read_thesaurus(ASSETS / "thesaurus.txt")
    common = sorted(set(thesaurus.values()))
    near = meaning(list(thesaurus), tokens, table) @ meaning(common, tokens, table).T
    found = [
        common[i] == right for i, right in zip(near.argmax(1), thesaurus.values(), strict=True)
    ]
    assert np.mean(found) >= 0.95, [w for w, ok in zip(thesaurus, found, strict=True) if not ok]


def test_opposites_stay_apart(tokens: Tokens, table: TextTable) -> None:
    for a, b in [("red", "blue"), ("left", "right"), ("day", "night"), ("happy", "sad")]:
        one, other = meaning([a, b], tokens, table)
        assert one @ other < 0.85, (a, b)


def test_added_words_are_whole(tokens: Tokens) -> None:
    for word in [*read_words(ASSETS / "words.txt"), *read_thesaurus(ASSETS / "thesaurus.txt")]:
        assert tokens.pieces(word) == [word]


def test_another_file_is_refused(tmp_path: Path) -> None:
    for name in ("table.safetensors", "SHA256SUMS"):
        (tmp_path / name).write_bytes((ASSETS / name).read_bytes())
    assert asset("table.safetensors", tmp_path)
    with pytest.raises(WeightsError, match=r"tokenizer\.json cannot be read"):
        asset("tokenizer.json", tmp_path)
    content = bytearray((tmp_path / "table.safetensors").read_bytes())
    content[-100] ^= 1
    (tmp_path / "table.safetensors").write_bytes(content)
    with pytest.raises(WeightsError, match="checksum"):
        asset("table.safetensors", tmp_path)


def test_the_package_stays_small() -> None:
    assert (ASSETS / "table.safetensors").stat().st_size <= 4.5e6
    assert (ASSETS / "tokenizer.json").stat().st_size <= 7e5


def test_counting_tokens_needs_no_torch() -> None:
    code = (
        "import sys; from worldreel.text import Tokens; Tokens().tokenize(['a cat']);"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
