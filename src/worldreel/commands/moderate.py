"""`worldreel moderate`: may this prompt be made, and if not, why."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from worldreel.errors import PromptError, message, shown
from worldreel.safety import MINORS, Verdict, load_policy, review

__all__ = ["lines_of", "moderate"]

_TOLD = {
    "violence": "extreme violence",
    "sexual": "sexual content",
    MINORS: "something sexual and a young person",
    "hate": "hateful imagery",
    "figures": "likeness of a real person",
    "characters": "others' characters or brands",
    "news": "deceptive news",
}
_LARGEST = 2**26  # bytes of a file of prompts


def moderate(arguments: argparse.Namespace) -> None:
    """Print a verdict for the prompt, or one for each line of the file."""
    if (arguments.prompt is None) == (arguments.file is None):
        came = "no prompt came" if arguments.prompt is None else "a prompt and a file came"
        raise PromptError(message(came, "a prompt or --file is needed"))
    policy = load_policy(arguments.policy) if arguments.policy else None
    if arguments.file is None:
        _print(arguments.prompt, review(arguments.prompt, policy), as_json=arguments.json)
        return
    refused = count = 0
    for prompt in lines_of(Path(arguments.file)):
        verdict = review(prompt, policy)
        count, refused = count + 1, refused + (not verdict.allowed)
        _print(prompt, verdict, as_json=arguments.json)
    if not arguments.json:
        print(f"{refused} of {count} refused.", file=sys.stderr)


def lines_of(path: Path) -> Iterator[str]:
    """The lines of a text file of prompts, without empty ones; raises `PromptError`."""
    try:
        if path.stat().st_size > _LARGEST:
            came = f"{shown(str(path))} is too large"
            raise PromptError(message(came, "up to 64 MB of prompts are read"))
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        reason = (error.strerror or "unreadable").lower()
        came = f"{shown(str(path))} cannot be read ({reason})"
        raise PromptError(message(came, "a text file is needed, one prompt a line")) from error
    yield from (line.strip() for line in text.splitlines() if line.strip())


def _print(prompt: str, verdict: Verdict, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"prompt": prompt, **asdict(verdict)}, ensure_ascii=True))
        return
    off = f"; off: {', '.join(verdict.off)}" if verdict.off else ""
    if verdict.allowed:
        print(f"allow   {shown(prompt, limit=80)}  (policy {verdict.version}{off})")
        return
    told = _TOLD[verdict.category or ""]
    words = ", ".join(shown(word) for word in verdict.words) or "the whole prompt"
    text = f"refuse  {shown(prompt, limit=80)}  {told}: {words}"
    print(f"{text}  (policy {verdict.version}{off})")
