"""What the pictures of a file say of who made it: the watermark, the fingerprint, the detector.

The file is decoded in a process of its own, reduced, a few frames a second of its first minute:
every frame carries the mark. Each of the three answers for itself, and none can break the others.
A mark that is not found proves nothing (it may be too weak, or of another machine), so the answer
is then "unknown", never "no". The detector only advises: no verdict is built on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worldreel.errors import MediaError, OutputError, shown
from worldreel.provenance.evidence import DETECTOR, NO, UNKNOWN, YES, Evidence
from worldreel.provenance.recovery import Recovered, looked_up, stored
from worldreel.provenance.watermark import key_file

if TYPE_CHECKING:
    from worldreel.video.video import Video

__all__ = ["Seen", "seen", "seen_in"]

_FPS, _SECONDS, _SIDE = 12.0, 60.0, 480
_FLAT = 4.0
"""Levels of standard deviation below which a frame shows nothing that could be recognised."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The evidence of watermark, fingerprint and detector, in this order, and the video of ours
    that it is, if one of the first two knows it."""

    evidence: tuple[Evidence, ...]
    recovered: Recovered | None = None


def seen(path: str | Path) -> Seen:
    """What the pictures in `path` say, whatever file that is: raises nothing of its own."""
    from worldreel.video.foreign import measure, read_clip

    try:
        rate = min(_FPS, measure(path).fps)
        video = read_clip(path, fps=rate, seconds=_SECONDS, limit=_SIDE)
    except MediaError as error:
        why = f"it shows no pictures that can be read ({shown(str(error), limit=160)})"
        sources = ("watermark", "fingerprint", DETECTOR)
        return Seen(evidence=tuple(_unknown(source, why) for source in sources))
    return seen_in(video)


def seen_in(video: Video, *, thorough: bool = True) -> Seen:
    """As `seen`, of a video in memory; unless `thorough`, the mark is looked for at the size and
    place alone in which it was put."""
    try:
        marked, recovered = _watermark(video, thorough)
        printed, again = _fingerprint(video)
    except OutputError as error:  # a store that cannot be read says nothing for or against
        why = f"the local store cannot be used ({shown(str(error), limit=160)})"
        marked, recovered = _unknown("watermark", why), None
        printed, again = _unknown("fingerprint", why), None
    return Seen(evidence=(marked, printed, _detector(video)), recovered=recovered or again)


def _watermark(video: Video, thorough: bool) -> tuple[Evidence, Recovered | None]:
    from worldreel.provenance.search import THRESHOLD, Known, find
    from worldreel.provenance.watermark import installation_key

    if not key_file().is_file():
        return _unknown("watermark", "this machine has marked no video yet"), None
    found = find(video, key=installation_key(), known=Known(stored()), thorough=thorough)
    if not found.present:
        why = "no mark of this machine is found, which proves nothing: marks can be lost"
        return _unknown("watermark", why), None
    rate = f"other videos look like this less than once in {_times(found.false_positive_rate)}"
    if found.word is None:
        why = f"the mark of this machine is in it, too weak to tell of which video; {rate}"
        return Evidence(source="watermark", answer=YES, why=why), None
    known = looked_up(found.word, how="watermark", rate=found.false_positive_rate)
    whose = _whose(known.recipe) if known is not None else "a video that is no longer in the store"
    why = f"it carries our mark {found.word:016x}, that of {whose}; {rate}"
    assert found.false_positive_rate < THRESHOLD
    return Evidence(source="watermark", answer=YES, why=why), known


def _fingerprint(video: Video) -> tuple[Evidence, Recovered | None]:
    from worldreel.provenance.fingerprint import LARGEST, plain
    from worldreel.provenance.recovery import nearest

    if plain(video, _FLAT):
        return _unknown("fingerprint", "it shows too little to be recognised"), None
    best = nearest(video)
    if best is None:
        return _unknown("fingerprint", "the store of this machine holds no video"), None
    far = f"{100 * best[1]:.0f} % of it differ"
    if best[1] > LARGEST:
        why = f"it looks like none in the store (of the nearest {far})"
        return _unknown("fingerprint", why), None
    known = looked_up(best[0], how="fingerprint", distance=best[1])
    whose = _whose(known.recipe) if known is not None else "a video of ours"
    why = f"it looks like {whose} ({far}; a likeness, no proof)"
    return Evidence(source="fingerprint", answer=YES, why=why), known


def _detector(video: Video) -> Evidence:
    from worldreel.provenance.detector import LIKELY, UNLIKELY, likeness

    score = likeness(video)
    if score is None:
        return _unknown(DETECTOR, "it shows too little to be judged")
    told = f"advice, no proof: {100 * score:.0f} of 100 like our embedded model's videos"
    answer = YES if score >= LIKELY else NO if score < UNLIKELY else UNKNOWN
    return Evidence(source=DETECTOR, answer=answer, why=told)


def _unknown(source: str, why: str) -> Evidence:
    return Evidence(source=source, answer=UNKNOWN, why=why)


def _whose(recipe: Mapping[str, Any]) -> str:
    """A video of ours in a few words."""
    seed, prompt = recipe.get("seed"), recipe.get("prompt")
    told = f"the video of seed {shown(seed, limit=30)}" if seed is not None else "a video of ours"
    return f"{told}, {shown(str(prompt), limit=60)}" if prompt else told


def _times(rate: float) -> str:
    """1 / rate for a reader."""
    power = 0
    while rate < 1 and power < 30:
        rate, power = rate * 10, power + 1
    return f"10^{power - 1}" if power < 30 else "10^29"
