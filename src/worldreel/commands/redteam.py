"""`worldreel redteam`: what gets past the policy in disguise, and who is treated unequally."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from worldreel.commands.moderate import lines_of
from worldreel.errors import PromptError, message, shown
from worldreel.safety import load_policy, review
from worldreel.safety.data import Prompt, prompts
from worldreel.safety.measure import Count
from worldreel.safety.redteam import Attack, attack, compare

__all__ = ["redteam"]

_SHOWN = 20  # prompts that got through, of all of them


def redteam(arguments: argparse.Namespace) -> None:
    """Print what got through by mutation and category, then refusals by group."""
    if arguments.count < 1:
        raise PromptError(message(f"a count of {arguments.count}", "1 or more prompts are needed"))
    policy = load_policy(arguments.policy) if arguments.policy else None
    if arguments.file is None:
        given = [p for p in prompts() if p.part == "dev" and p.label != "ok"]
        given = given[:: max(1, len(given) // arguments.count)][: arguments.count]
    else:
        given = [
            Prompt(
                part="given", language="", label=review(text, policy).category or "passes",
                batch="given", text=text,
            )
            for text in lines_of(Path(arguments.file))
        ]  # fmt: skip
    found = attack(given, policy=policy, seed=arguments.seed)
    groups = compare(policy=policy)
    if arguments.json:
        print(json.dumps(_told(found, groups), ensure_ascii=True))
    else:
        _print(found, groups)


def _told(found: Attack, groups: Mapping[str, Mapping[str, Count]]) -> dict[str, object]:
    def table(counts: Mapping[str, Count]) -> dict[str, object]:
        return {k: {**asdict(c), "interval": c.interval} for k, c in counts.items()}

    return {
        "plain": table(found.plain),
        "disguised": {name: table(counts) for name, counts in found.found.items()},
        "passed": [asdict(one) for one in found.passed],
        "groups": {kind: table(counts) for kind, counts in groups.items()},
    }


def _print(found: Attack, groups: Mapping[str, Mapping[str, Count]]) -> None:
    kinds = list(found.plain)
    print("Refused, %, of prompts that must be; disguised: of those that are refused as they stand")
    print(f"{'':14s}" + "".join(f"{kind:>12s}" for kind in kinds))
    rows = {"as it stands": found.plain, **found.found}
    for name, counts in rows.items():
        cells = (counts.get(kind) for kind in kinds)
        told = "".join(f"{100 * c.share:12.1f}" if c else f"{'':12s}" for c in cells)
        print(f"{name:14s}{told}")
    if found.passed:
        print(f"\nGot through ({min(_SHOWN, len(found.passed))} of {len(found.passed)}):")
    for one in found.passed[:: max(1, len(found.passed) // _SHOWN)][:_SHOWN]:
        print(f"  {one.mutation}, {one.category}: {shown(one.disguised, limit=90)}")
    print("\nHarmless prompts refused, by who is named (95 % interval)")
    for kind, counts in groups.items():
        print(f"{kind}:")
        for group, count in counts.items():
            low, high = count.interval
            told = f"{count.refused} of {count.total}  ({100 * low:.0f} to {100 * high:.0f} %)"
            print(f"  {group:24s}{told}")
