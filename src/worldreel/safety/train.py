"""Training of the heads: `python -m worldreel.safety.train`, a minute or two on one core.

The loss is the sum over categories of the binary cross-entropy, of the two kinds of features
together and of each alone, so that neither leans on the other. Names that the lists know teach
nothing: a prompt whose category its list finds already is left out of that category's loss.
Thresholds are chosen on the dev part: the lowest score that few allowed prompts reach. The test
part is never read here.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from worldreel.safety import judge
from worldreel.safety.classify import BUCKETS, Heads, features, load_heads, pieces, rows, told
from worldreel.safety.data import Prompt, lines, prompts
from worldreel.safety.ideas import found
from worldreel.safety.normalise import readings
from worldreel.safety.policy import CATEGORIES

__all__ = ["Network", "main", "train"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How the heads are trained."""

    epochs: int = 10
    batch: int = 64
    inner: int = 64
    hidden: int = 48
    rate: float = 2e-3
    hashed_rate: float = 2e-2
    drop_words: float = 0.12
    drop_hashed: float = 0.3
    ok_weight: float = 2.0
    seed: int = 5
    count: int = 2
    word_step: int = 7
    lowest: float = 0.3
    wrongly: float = 0.004


class Network(nn.Module):
    """Both kinds of features; the parameter names are those in the file."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.hashed = nn.EmbeddingBag(BUCKETS, len(CATEGORIES), mode="sum")
        nn.init.zeros_(self.hashed.weight)
        self.a = nn.Linear(3 * 128, plan.inner)
        self.b = nn.Linear(2 * plan.inner, plan.hidden)
        self.c = nn.Linear(plan.hidden, len(CATEGORIES))

    def meaning(self, states: Tensor, mask: Tensor) -> Tensor:
        """Logits `[B, C]` of rows `[B, L, 128]` at `mask` `[B, L]`."""
        states = F.dropout(states * mask[..., None], 0.1, self.training)
        padded = F.pad(states, (0, 0, 1, 1))
        near = torch.cat([padded[:, :-2], padded[:, 1:-1], padded[:, 2:]], -1)
        inner = F.relu(self.a(near)) * mask[..., None]
        mean = inner.sum(1) / mask.sum(1, keepdim=True).clamp_min(1)
        pooled = F.dropout(torch.cat([inner.amax(1), mean], -1), 0.3, self.training)
        logits: Tensor = self.c(F.dropout(F.relu(self.b(pooled)), 0.2, self.training))
        return logits

    def letters(self, found: Sequence[NDArray[np.int64]]) -> Tensor:
        """Logits `[B, C]` of buckets of features."""
        offsets = np.cumsum([0, *(len(f) for f in found)])[:-1]
        weight = np.concatenate([np.full(len(f), max(len(f), 1) ** -0.5) for f in found])
        logits: Tensor = self.hashed(
            torch.from_numpy(np.concatenate(found)),
            torch.from_numpy(offsets),
            per_sample_weights=torch.from_numpy(weight.astype(np.float32)),
        )
        return logits


@dataclass(frozen=True, kw_only=True)
class Example:
    """Words of a prompt without exceptions, its labels `[C]` and which of them count `[C]`."""

    words: tuple[str, ...]
    buckets: NDArray[np.int64]
    labels: NDArray[np.float32]
    counts: NDArray[np.float32]


def example(prompt: Prompt, *, weight: float) -> Example:
    """What a labelled prompt teaches."""
    reading = readings(prompt.text)[0]
    covered = judge.covered(reading)
    words = tuple(w.text for i, w in enumerate(reading.words) if i not in covered)
    labels = np.array([prompt.label == c for c in CATEGORIES], np.float32)
    counts = np.full(len(CATEGORIES), weight if prompt.label == "ok" else 1.0, np.float32)
    for i, category in enumerate(CATEGORIES):
        if category in ("figures", "characters") and judge.listed(category, prompt.text):
            counts[i] = 0.0
        elif prompt.label not in ("ok", category):
            counts[i] = 0.3  # one prompt may well be of two kinds
    return Example(words=words, buckets=features(words), labels=labels, counts=counts)


def ordinary(plan: Plan) -> list[Example]:
    """Every few of the ordinary words alone, as allowed: a word is rarely much of anything."""
    words = [w for w in lines("ordinary")[:: plan.word_step] if not found((w,))]
    given = (Prompt(part="train", language="en", label="ok", batch="word", text=w) for w in words)
    return [
        example(one, weight=plan.ok_weight)
        for one in given
        if not any(judge.listed(category, one.text) for category in CATEGORIES)
    ]


def train(examples: Sequence[Example], plan: Plan) -> Network:
    """Heads trained on `examples`."""
    torch.manual_seed(plan.seed)
    draw = np.random.default_rng(plan.seed)
    network = Network(plan)
    dense = [p for name, p in network.named_parameters() if not name.startswith("hashed")]
    optimizer = torch.optim.AdamW(
        [
            {"params": dense, "lr": plan.rate, "weight_decay": 0.05},
            {"params": network.hashed.parameters(), "lr": plan.hashed_rate, "weight_decay": 1e-3},
        ]
    )
    ids, mask = pieces([told(e.words) for e in examples])
    steps = plan.epochs * -(-len(examples) // plan.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [plan.rate, plan.hashed_rate], total_steps=steps
    )
    for _ in range(plan.epochs):
        order = draw.permutation(len(examples))
        for first in range(0, len(order), plan.batch):
            chosen = order[first : first + plan.batch]
            batch = [examples[i] for i in chosen]
            loss = _loss(network, batch, ids[chosen], mask[chosen], plan, draw)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return network.eval()


def _loss(
    network: Network,
    batch: Sequence[Example],
    ids: NDArray[np.int64],
    mask: NDArray[np.bool_],
    plan: Plan,
    draw: np.random.Generator,
) -> Tensor:
    kept = [e.buckets[draw.random(len(e.buckets)) > plan.drop_hashed] for e in batch]
    longest = max(1, int(mask.sum(1).max()))
    ids, mask = ids[:, :longest], mask[:, :longest]
    mask = mask & (draw.random(mask.shape) > plan.drop_words)
    states = rows(ids)
    labels = torch.from_numpy(np.stack([e.labels for e in batch]))
    counts = torch.from_numpy(np.stack([e.counts for e in batch]))
    letters = network.letters(kept)
    meaning = network.meaning(torch.from_numpy(states), torch.from_numpy(mask).float())
    logits = (letters + meaning, letters + network.c.bias, meaning)
    return torch.stack(
        [F.binary_cross_entropy_with_logits(one, labels, counts) for one in logits]
    ).sum()


def merged(networks: Sequence[Network]) -> dict[str, NDArray[np.float32]]:
    """One network whose logits are the mean of those of several."""
    states = [{k: v.numpy() for k, v in n.state_dict().items()} for n in networks]
    inner, hidden, count = len(states[0]["a.bias"]), len(states[0]["b.bias"]), len(states)
    b = np.zeros((hidden * count, 2 * inner * count), np.float32)
    for i, state in enumerate(states):
        rows_ = slice(i * hidden, (i + 1) * hidden)
        b[rows_, i * inner : (i + 1) * inner] = state["b.weight"][:, :inner]
        largest = inner * count  # the means stand after all the maxima
        b[rows_, largest + i * inner : largest + (i + 1) * inner] = state["b.weight"][:, inner:]
    return {
        "hashed.weight": np.mean([s["hashed.weight"] for s in states], axis=0),
        "a.weight": np.concatenate([s["a.weight"] for s in states]),
        "a.bias": np.concatenate([s["a.bias"] for s in states]),
        "b.weight": b,
        "b.bias": np.concatenate([s["b.bias"] for s in states]),
        "c.weight": np.concatenate([s["c.weight"] for s in states], axis=1) / count,
        "c.bias": np.mean([s["c.bias"] for s in states], axis=0),
    }


def write(networks: Sequence[Network], thresholds: dict[str, float]) -> bytes:
    """The heads as a file: hashed weights in 8 bits a category, the others in 16."""
    state = merged(networks)
    hashed = state.pop("hashed.weight")
    scale = np.abs(hashed).max(0) / 127
    arrays = {
        "hashed": np.round(hashed / scale).astype(np.int8),
        "scale": scale.astype(np.float32),
    }
    arrays |= {name: array.astype(np.float16) for name, array in state.items()}
    head = json.dumps({"categories": CATEGORIES, "thresholds": thresholds}).encode()
    file = io.BytesIO()
    np.savez_compressed(file, told=np.frombuffer(head, np.uint8), **arrays)
    return file.getvalue()


def thresholds(heads: Heads, dev: Sequence[Example], plan: Plan) -> dict[str, float]:
    """For each category the score that a share `wrongly` of the allowed prompts reaches."""
    kept = [e for e in dev if not e.labels.any()]
    scores = np.concatenate([heads.scores([e.words for e in [one]]) for one in kept])
    chosen = {}
    for i, category in enumerate(CATEGORIES):
        order = np.sort(scores[:, i])[::-1]
        chosen[category] = float(
            np.clip(order[round(plan.wrongly * len(order))] + 0.01, plan.lowest, 0.5)
        )
    return chosen


def main() -> None:
    """Train, choose thresholds on the dev part, write the file."""
    plan = Plan()
    parts: dict[str, list[Example]] = {"train": [], "dev": []}
    for prompt in prompts():
        if prompt.part in parts:
            parts[prompt.part].append(example(prompt, weight=plan.ok_weight))
    parts["train"] += ordinary(plan)
    networks = [train(parts["train"], replace(plan, seed=plan.seed + i)) for i in range(plan.count)]
    path = Path(__file__).parent / "data" / "heads.npz"
    path.write_bytes(write(networks, dict.fromkeys(CATEGORIES, 0.5)))
    chosen = thresholds(load_heads(), parts["dev"], plan)
    path.write_bytes(write(networks, chosen))


if __name__ == "__main__":
    main()
