"""Every video is looked at before a person sees it; whatever goes wrong, nobody sees it.

    with FrameReview() as review:
        outcome = review.review(chunks, fps)

Frames stream past in chunks. Those that `frames.Chooser` chooses are reduced and sent to the
reviewers, which run in a process of their own (worker.py). One finding of high confidence, or
findings of middle confidence in two frames, in a category that the policy does not tolerate,
refuse the video. So does a reviewer that fails, crashes or takes too long: `failed` then says so.

What is shown while a video is still being made passes the same reviewers (`may_be_shown`,
`preview`); until it has, sixteen by sixteen soft colours are all that a person sees.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from types import TracebackType
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from worldreel.errors import message, shown
from worldreel.safety.frames import Chooser, blurred
from worldreel.safety.policy import PolicyError
from worldreel.safety.reviewers import WRITING, Confidence, Finding
from worldreel.safety.worker import ReviewFailedError, Use, Worker

__all__ = [
    "Evidence",
    "FrameReview",
    "Outcome",
    "Review",
    "ReviewPolicy",
    "Use",
    "frame_policy",
    "reduced",
]

FAILED = "review failed"
"""The category of a video that could not be reviewed."""
GIVEN_ONLY = ("faces", "text")
"""Reviewers of what is given: no one looks for faces or writing in what is made."""
_GIVEN_SIDE = 736  # pixels of the shorter side that given frames are reduced to: writing is small
_WRITTEN = 20_000  # letters of writing that are kept of one video; more is no picture
_AT_ONCE = 8  # frames sent at a time: few enough to stop early, and to need little memory
_KEPT = 50  # findings of low confidence that are told; of others four times as many
_BOUNDS = {
    "rate": (4.0, 240.0),  # fewer than four a second would not be a review
    "change": (0.0, 0.25),
    "side": (224, 1080),
    "seconds": (1.0, 3600.0),
    "loading": (1.0, 3600.0),
}


@dataclass(frozen=True, kw_only=True)
class ReviewPolicy:
    """What an operator may change.

    Args:
        rate: frames a second to be looked at, at least.
        change: difference (0..1) from which a frame is looked at beyond that.
        side: pixels that a frame's shorter side is reduced to before it is looked at.
        tolerated: categories that do not stop a video; they are still told.
        faces_allowed: the operator's consent that people's faces are in what users upload.
        seconds: wall-clock time that the reviewers have for eight frames.
        loading: wall-clock time that they have to start.
    """

    rate: float = 4.0
    change: float = 0.05
    side: int = 288
    tolerated: frozenset[str] = frozenset()
    faces_allowed: bool = False
    seconds: float = 60.0
    loading: float = 120.0


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """A finding in frame `finding.frame` of the video, at `moment` seconds, `by` a reviewer."""

    finding: Finding
    moment: float
    by: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a review came to.

    `category` and `frames` (numbers in the video) are what refused it; `evidence` is all that was
    found, the surest first; `reviewed` frames of `seen` were looked at by `reviewers` (name →
    version); `texts` is the writing that they read, each once. `failed` says why a review came to
    no end; the video is then refused as well.
    """

    allowed: bool
    category: str | None
    frames: tuple[int, ...]
    evidence: tuple[Evidence, ...]
    reviewed: int
    seen: int
    reviewers: Mapping[str, str]
    failed: str | None = None
    texts: tuple[str, ...] = ()


class FrameReview:
    """Reviewers in a process of their own, for one video after another.

    Args:
        reviewers: what looks; nudity and hate symbols if None. Names of ours, or `Use`s.
        policy: what an operator has changed.
        uploaded: whether something that users uploaded is to be reviewed: faces are then looked
            for as well, unless the policy allows them.
        reading: whether writing is to be read in what is given (the extra `ocr`).

    The process starts at once and loads while something else goes on. `close()` ends it.
    """

    def __init__(
        self,
        reviewers: Sequence[str | Use] | None = None,
        policy: ReviewPolicy | None = None,
        *,
        uploaded: bool = False,
        reading: bool = False,
    ) -> None:
        self.policy = policy or ReviewPolicy()
        chosen = list(("nudity", "symbols") if reviewers is None else reviewers)
        if uploaded and not self.policy.faces_allowed:
            chosen.append("faces")
        if reading:
            chosen.append("text")
        self.uses = tuple(Use(factory=u) if isinstance(u, str) else u for u in chosen)
        self._worker: Worker | None = Worker(self.uses) if self.uses else None
        self._hidden = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the reviewers' process."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def review(
        self,
        chunks: Iterable[Tensor],
        fps: float,
        *,
        given: bool = True,
        only: Collection[str] = (),
    ) -> Outcome:
        """Look at a video that comes in chunks uint8 [n, H, W, 3]; stops at the first refusal.

        `given` says whether a user gave it; if not, `GIVEN_ONLY` do not look. Of the reviewers
        `only` those named do, if any is named.
        """
        looking = self.begin(fps, given=given, only=only)
        for chunk in chunks:
            if not looking.look(chunk):
                break
        return looking.end()

    def begin(self, fps: float, *, given: bool = True, only: Collection[str] = ()) -> Review:
        """A review of one video, to be given its chunks one by one."""
        if self.uses and self._worker is None:
            self._worker = Worker(self.uses)  # the one before failed or was closed
        return Review(self, fps, given=given, only=only)

    def may_be_shown(self, frames: Tensor) -> bool:
        """Whether frames uint8 [n, H, W, 3] (or one, [H, W, 3]) of a video that is being made may
        leave the process: only if nobody finds anything in them that is more than of low
        confidence. A review that fails says no.

        Not while another thread reviews: one process looks at one thing at a time.
        """
        frames = frames[None] if frames.ndim == 3 else frames
        if self._hidden:
            return False
        try:
            for some in frames.split(_AT_ONCE):
                for _, finding in self.found(some, without=GIVEN_ONLY):
                    forbidden = finding.category not in self.policy.tolerated
                    if forbidden and finding.confidence is not Confidence.LOW:
                        return False
        except Exception:  # our own mistakes show nothing either; nor does what comes after
            self._hidden = True
            return False
        return bool(len(frames))

    def preview(self, frames: Tensor) -> Tensor:
        """What may be shown of frames uint8 [n, H, W, 3]: they, or sixteen by sixteen colours."""
        return frames if self.may_be_shown(frames) else blurred(frames)

    def found(
        self,
        frames: Tensor,
        *,
        without: Collection[str] = (),
        only: Collection[str] = (),
        side: int | None = None,
    ) -> list[tuple[str, Finding]]:
        """What the reviewers (but those `without`; `only` those, if any is named) find in at most
        eight frames, reduced to a shorter `side`; raises `ReviewFailedError`."""
        if not self.uses:
            return []
        if self._worker is None:
            self._worker = Worker(self.uses)  # the one before failed or was closed
        try:
            self._worker.ready(seconds=self.policy.loading)
            if only:
                without = {*without, *(name for name in self._worker.versions if name not in only)}
            return self._worker.review(
                reduced(frames, side or self.policy.side),
                seconds=self.policy.seconds,
                without=without,
            )
        except ReviewFailedError:
            self.close()
            raise

    @property
    def versions(self) -> Mapping[str, str]:
        """The reviewers at work, name → version, once they have been made."""
        return dict(self._worker.versions) if self._worker else {}


class Review:
    """The review of one video under way."""

    def __init__(
        self, review: FrameReview, fps: float, *, given: bool = True, only: Collection[str] = ()
    ) -> None:
        self._review, self._fps, self._given, self._only = review, fps, given, only
        policy = review.policy
        self._chooser = Chooser(fps=fps, rate=policy.rate, change=policy.change)
        self._evidence: list[Evidence] = []
        self._refused: tuple[str, tuple[int, ...]] | None = None
        self._middle: dict[str, set[int]] = {}
        self._texts: dict[str, None] = {}
        self._failed: str | None = None
        self._versions: Mapping[str, str] = {}
        self._ended = False

    def look(self, chunk: Tensor) -> bool:
        """Look at the next frames uint8 [n, H, W, 3]; False once the video is refused."""
        if self._failed is None and self._refused is None:
            try:
                if chunk.ndim != 4 or chunk.shape[3] != 3 or chunk.dtype != torch.uint8:
                    raise ReviewFailedError("what came is no frames")
                self._send(*self._chooser.choose(chunk))
            except ReviewFailedError as failure:
                self._failed = str(failure)
            except Exception as error:  # our own mistakes refuse as well
                self._failed = f"the review broke down ({type(error).__name__})"
        return self._failed is None and self._refused is None

    def end(self) -> Outcome:
        """What it came to; the last frame is looked at first."""
        if self._failed is None and self._refused is None and not self._ended:
            numbers, last = self._chooser.end()
            if last is not None:
                try:
                    self._send(numbers, last)
                except ReviewFailedError as failure:
                    self._failed = str(failure)
            if not self._chooser.seen:
                self._failed = "there were no frames"
        self._ended = True
        refused = (FAILED, ()) if self._failed is not None else self._refused
        order = list(Confidence)
        surest = sorted(
            self._evidence, key=lambda e: (order.index(e.finding.confidence), -e.finding.score)
        )
        return Outcome(
            allowed=refused is None,
            category=refused[0] if refused else None,
            frames=refused[1] if refused else (),
            evidence=tuple(surest),
            reviewed=self._chooser.chosen,
            seen=self._chooser.seen,
            reviewers=self._versions,
            failed=self._failed,
            texts=tuple(self._texts),
        )

    def _send(self, numbers: list[int], frames: Tensor) -> None:
        for first in range(0, len(numbers), _AT_ONCE):
            some = numbers[first : first + _AT_ONCE]
            found = self._review.found(
                frames[first : first + _AT_ONCE],
                without=() if self._given else GIVEN_ONLY,
                only=self._only,
                side=max(_GIVEN_SIDE, self._review.policy.side) if self._given else None,
            )
            self._versions = self._review.versions
            for by, finding in found:
                self._weigh(by, replace(finding, frame=some[finding.frame]))
            if self._refused is not None:
                return

    def _weigh(self, by: str, finding: Finding) -> None:
        """One more finding: is the video refused now?"""
        if finding.category == WRITING:
            if finding.what not in self._texts:
                self._texts[finding.what] = None
                if sum(map(len, self._texts)) > _WRITTEN:
                    raise ReviewFailedError("there is too much writing in it")
            return
        if len(self._evidence) < _KEPT or finding.confidence is not Confidence.LOW:
            moment = finding.frame / self._fps
            self._evidence.append(Evidence(finding=finding, moment=moment, by=by))
            del self._evidence[4 * _KEPT :]
        if self._refused or finding.category in self._review.policy.tolerated:
            return
        if finding.confidence is Confidence.HIGH:
            self._refused = finding.category, (finding.frame,)
        elif finding.confidence is Confidence.MIDDLE:
            frames = self._middle.setdefault(finding.category, set())
            frames.add(finding.frame)
            every = set().union(*self._middle.values())
            if len(every) >= 2:
                self._refused = finding.category, tuple(sorted(every))


def reduced(frames: Tensor, side: int) -> Tensor:
    """Frames with a shorter side of at most `side` pixels, averaged; on the CPU."""
    high, wide = frames.shape[1:3]
    shrink = side / min(high, wide)
    frames = frames.cpu()
    if shrink >= 1:
        return frames
    size = (max(1, round(high * shrink)), max(1, round(wide * shrink)))
    smaller = F.interpolate(
        frames.permute(0, 3, 1, 2).float(), size, mode="bilinear", antialias=True
    )
    return smaller.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def frame_policy(told: object) -> ReviewPolicy:
    """The policy that the key `frames` of a policy file says: any of `ReviewPolicy`'s fields.

    Raises `PolicyError`.
    """
    if not isinstance(told, Mapping):
        came = f"frames came as {type(told).__name__}"
        raise PolicyError(message(came, "a mapping is needed"))
    values: dict[str, Any] = {}
    for key, value in told.items():
        if key == "tolerated":
            if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
                raise PolicyError(message("tolerated is no list", "a list of categories is needed"))
            values[key] = frozenset(value)
        elif key == "faces_allowed":
            if not isinstance(value, bool):
                raise PolicyError(message(f"faces_allowed is {shown(value)}", "true or false"))
            values[key] = value
        elif key in _BOUNDS:
            low, high = _BOUNDS[key]
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not low <= value <= high:
                came = f"{key} is {shown(value)}"
                raise PolicyError(message(came, f"it must be {low:g} to {high:g}"))
            values[key] = int(value) if key == "side" else float(value)
        else:
            keys = ("tolerated", "faces_allowed", *_BOUNDS)
            near = get_close_matches(str(key), keys, n=1, cutoff=0.5)
            came = f"frames have no key {shown(str(key))}"
            needed = f"keys are {', '.join(keys)}"
            raise PolicyError(message(came, needed, nearest=near[0] if near else None))
    return ReviewPolicy(**values)
