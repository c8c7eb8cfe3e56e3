"""What a video passes before anyone sees it, and what it carries from then on.

    prompts → what is given → … → frame review → watermark → file → signature (C2PA) → its name

All of it is on, and no request can turn it off. The person who runs the machine can, in the open:
in `trust.yaml` of the local store, every entry optional,

    policy: policy.yaml            # changes of the prompt policy (safety/policy.py)
    frames: {rate: 8}              # changes of the frame review (safety/reviewing.py)
    reviewers: [nudity, symbols, mine.module:Reviewer]   # who looks (safety/reviewers)
    without: [frame review]        # prompt policy, frame review, watermark, signature

What is given is looked at before anything is made of it: uploads by all frame reviewers and for
faces, and, where the extra `ocr` is installed, everything for writing, which the prompt policy
judges. What carries a good signature of this machine has been looked at already.

What is off is said with every video and written into its manifest. What `provenance.yaml` says of
signatures is in provenance/store.py. One rule is in nobody's power (safety/policy.py: minors).
Prompts are judged without torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worldreel import provenance
from worldreel.errors import OutputError, RefusedError, RequestError, WorldreelError, message, shown
from worldreel.provenance.ingredients import COMPONENT, PARENT, related
from worldreel.provenance.store import home
from worldreel.request import KnownClip, Request
from worldreel.safety import CATEGORIES, Policy, load_policy
from worldreel.safety import review as review_prompt

if TYPE_CHECKING:
    from torch import Tensor

    from worldreel.safety.reviewing import FrameReview, Outcome
    from worldreel.video import Video
    from worldreel.video.source import Frames
    from worldreel.video.video import Seal

__all__ = ["PARTS", "Passage", "Trust"]

FILE = "trust.yaml"
PROMPTS, FRAMES, WATERMARK, SIGNATURE = PARTS = (
    "prompt policy",
    "frame review",
    "watermark",
    "signature",
)
REVIEWERS = ("nudity",)
"""Who looks if `trust.yaml` does not say: "symbols" does not find what it should yet, and stops
one real clip in six (docs/safety.md)."""
_APART = re.compile(r"(?<=[a-zß-ÿ0-9])(?=[A-ZÀ-Þ])")
_ASKED = {
    "minors": "something sexual together with a young person",
    "violence": "extreme violence",
    "sexual": "sexual content",
    "hate": "hateful imagery",
    "figures": "the likeness of a real person",
    "characters": "somebody else's character or brand",
    "news": "news that would deceive",
}
_INSTEAD = {
    "figures": "describe a person of your own",
    "characters": "describe a character of your own",
}


@dataclass(frozen=True, kw_only=True)
class Trust:
    """What the person who runs this machine has settled."""

    off: frozenset[str] = frozenset()
    policy: Policy = field(default_factory=Policy)
    frames: Mapping[str, Any] = field(default_factory=dict)
    reviewers: tuple[str, ...] = REVIEWERS
    uploaded: bool = False
    """Whether what is given comes from users: faces are then looked for, unless `frames` allows
    them."""
    signing: provenance.Settings = field(default_factory=provenance.Settings)

    @classmethod
    def load(cls) -> Trust:
        """What `trust.yaml` and `provenance.yaml` of the local store say, or else the defaults.

        Raises `WorldreelError` if one of them cannot be understood.
        """
        file = home() / FILE
        told = _entries(file) if file.is_file() else {}
        off = frozenset(_part(name) for name in told.get("without") or [])
        policy = Policy()
        if told.get("policy"):
            policy = load_policy(file.parent / str(told["policy"]))
        return cls(
            off=off,
            policy=policy,
            frames=told.get("frames") or {},
            reviewers=_reviewers(told.get("reviewers")),
            signing=replace(provenance.Settings.load(), off=tuple(p for p in PARTS if p in off)),
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said with every video."""
        return tuple(f"the {part} is off ({FILE})" for part in PARTS if part in self.off)

    def ask(self, *texts: str, where: str = "the prompt") -> None:
        """Reviews prompts, or words `where` else; raises `RefusedError` for one that is against the
        policy."""
        policy = self.policy
        if PROMPTS in self.off:
            policy = replace(policy, off=frozenset(CATEGORIES))
        for text in texts:
            verdict = review_prompt(text, policy) if text.strip() else None
            if verdict is None or verdict.allowed:
                continue
            category = verdict.category or ""
            told = ", ".join(shown(word) for word in verdict.words[:3])
            came = f"{where} asks for {_ASKED.get(category, category)}"
            came += f" ({told})" if told else ""
            needed = _INSTEAD.get(category, "ask for something else")
            text = message(f"refused: {came}", needed)
            raise RefusedError(text, category=category, words=verdict.words)

    def derived(self, recipe: Mapping[str, Any], videos: Sequence[Path]) -> Seal | None:
        """What signs a picture of finished videos (a thumbnail, a contact sheet) before it gets its
        name: of one video it says that this was opened and changed, of several that they are in it.
        None if signatures are off."""
        if SIGNATURE in self.off or not videos:
            return None
        role = PARENT if len(videos) == 1 else COMPONENT
        given = [provenance.Ingredient(relationship=role, path=v, title=v.name) for v in videos]
        told = dict(recipe) | {"task": "sheet"}

        def seal(path: Path, name: str) -> None:
            provenance.sign(
                path,
                told,
                created=role != PARENT,
                ingredients=given,
                settings=self.signing,
                title=name,
                own=True,
            )

        return seal

    def passage(self, request: Request) -> Passage:
        """The way of one request's video; raises `RefusedError` if its prompts, or what is given
        with it, are refused."""
        self.ask(*request.texts)
        passage = Passage(self, request)
        try:
            passage.look_at_given()
        except BaseException:
            passage.close()
            raise
        return passage


class Passage:
    """One video on its way: the frame reviewers load while it is being made."""

    def __init__(self, trust: Trust, request: Request) -> None:
        self.trust, self.request = trust, request
        self._review: FrameReview | None = None
        self._given: tuple[KnownClip, ...] = ()
        if FRAMES not in trust.off:
            from worldreel.safety.reviewers.text import installed
            from worldreel.safety.reviewing import FrameReview, frame_policy

            policy = frame_policy(trust.frames)
            given = (*request.known, *(member.known for member in request.cast))
            reading = bool(given) and installed()
            if trust.uploaded or reading:
                self._given = tuple(one for one in given if not _ours(one))
            self._review = FrameReview(
                trust.reviewers,
                policy,
                uploaded=trust.uploaded and bool(self._given),
                reading=reading and bool(self._given),
            )

    def close(self) -> None:
        """Ends the reviewers."""
        if self._review is not None:
            self._review.close()

    def look_at_given(self) -> None:
        """Reviews what the user gave; raises `RefusedError` for what is against the policy."""
        prompts = " ".join(self.request.texts)
        for one in self._given:
            assert self._review is not None
            clip: Any = one.clip
            name = shown(one.name) if one.name else "what was given"
            if self.trust.uploaded:
                outcome = self._review.review(clip.chunks(), clip.fps)
            else:  # it is the user's own; what of it the video shows is reviewed with that
                outcome = self._review.review(clip.chunks(), clip.fps, only=("text",))
            if not outcome.allowed:
                raise RefusedError(_refused(outcome, name), category=outcome.category or "")
            for text in outcome.texts:
                apart = _APART.sub(" ", text)  # what reads it often loses blanks
                words = (text, apart, f"{prompts}. {text}", f"{prompts}. {apart}")
                self.trust.ask(*dict.fromkeys(words), where=f"what is written in {name}")

    def preview(self, frames: Tensor) -> Tensor:
        """What a person may see of frames uint8 [n, H, W, 3] of the video while it is being made:
        they if the frame review lets them pass, and else sixteen by sixteen colours. In the thread
        that makes the video, before `passed`."""
        return frames if self._review is None else self._review.preview(frames)

    def passed(self, video: Video) -> Video:
        """The video as people may see it: looked at, marked, and to be signed when it is written.

        Raises `RefusedError` if the frames are against the policy or cannot be reviewed.
        """
        source = video.source if self._review is None else self._looked_at(video, self._review)
        from worldreel.provenance.watermark import identity, installation_key
        from worldreel.video import Video

        recipe, word = video.recipe or {}, None
        if WATERMARK not in self.trust.off:
            key = installation_key()
            word = identity(_plain(recipe), key)
            source = Marked(source, key=key, word=word)
        made = Video(source, fps=video.fps, recipe=video.recipe, latents=video.latents)
        seal = None
        if word is not None or SIGNATURE not in self.trust.off:
            seal = self._seal(made, word)
        return Video(source, fps=made.fps, recipe=made.recipe, latents=made.latents, seal=seal)

    def _looked_at(self, video: Video, review: FrameReview) -> Frames:
        """The same frames, reviewed: in memory if they are few, or else made once more later."""
        import torch

        from worldreel.video.source import SMALL_BYTES, Held, size_in_bytes

        kept: list[Tensor] | None = [] if size_in_bytes(video.source) <= SMALL_BYTES else None
        looking = review.begin(video.fps, given=False)
        for chunk in video.chunks():
            if not looking.look(chunk):
                break
            if kept is not None:
                kept.append(chunk)
        outcome = looking.end()
        if not outcome.allowed:
            raise RefusedError(_refused(outcome), category=outcome.category or "")
        return video.source if kept is None else Held(torch.cat(kept))

    def _seal(self, video: Video, word: int | None) -> Any:
        """Signs a file of the video, and keeps what is needed to know it again without that."""
        recipe = video.recipe or {}
        given = related(self.request.task, [known.path or None for known in self.request.known])
        given += related("generate", [member.known.path or None for member in self.request.cast])
        created = all(one.relationship != PARENT for one in given)
        settings = self.trust.signing
        stamp = None
        if word is not None:
            stamp = provenance.Watermark(algorithm=ALGORITHM, value=f"{word:016x}")

        def seal(path: Path, name: str) -> None:
            signed: provenance.Signed | None = None
            if SIGNATURE not in self.trust.off:
                signed = provenance.sign(
                    path,
                    recipe,
                    created=created,
                    ingredients=given,
                    settings=settings,
                    watermark=stamp,
                    title=name,
                )
            if word is not None:
                _remember(video, word, signed)

        return seal


def _remember(video: Video, word: int, signed: provenance.Signed | None) -> None:
    from worldreel.provenance.recovery import remember

    manifest = None if signed is None else signed.manifest
    with suppress(OutputError):  # a full store does not keep a video from its maker
        remember(video, word=word, recipe=video.recipe or {}, manifest=manifest)


ALGORITHM = "org.worldreel.watermark.1"


class Marked:
    """Frames with the watermark of a video in them, a chunk at a time."""

    def __init__(self, source: Frames, *, key: bytes, word: int) -> None:
        self.source, self._key, self._word = source, key, word

    def __len__(self) -> int:
        return len(self.source)

    @property
    def width(self) -> int:
        return self.source.width

    @property
    def height(self) -> int:
        return self.source.height

    def chunks(self, first: int = 0, last: int | None = None) -> Iterator[Tensor]:
        """Frames [first, last), marked; every frame by itself, so that chunks do not matter."""
        from worldreel.provenance.watermark import mark

        for chunk in self.source.chunks(first, last):
            yield mark(chunk, key=self._key, word=self._word)


def _plain(told: Any) -> Any:
    """The same recipe whether a number was written 12 or 12.0: files forget which."""
    if isinstance(told, Mapping):
        return {name: _plain(value) for name, value in told.items()}
    if isinstance(told, list | tuple):
        return [_plain(value) for value in told]
    return int(told) if isinstance(told, float) and told.is_integer() else told


def _ours(known: KnownClip) -> bool:
    """Whether it is a file that this machine signed, unchanged, after its frames were reviewed."""
    if not known.path or known.foreign:
        return False
    try:
        report = provenance.inspect(known.path, pictures=False)
    except WorldreelError:
        return False
    manifest = report.manifest
    return (
        report.answer == "yes"
        and report.state == "trusted"
        and manifest is not None
        and FRAMES not in manifest.off
    )


def _refused(outcome: Outcome, given: str = "") -> str:
    """Why the video, or the file `given`, is not shown or used."""
    if outcome.failed is not None:
        came = f"{given or 'the video'} could not be reviewed ({shown(outcome.failed, limit=120)})"
        return message(came, "nothing is shown that was not reviewed, try again")
    what = shown(str(outcome.category))
    count = len(outcome.frames)
    came = f"refused: the frame review found {what} in {count} frame{'s' * (count > 1)}"
    if not given:
        return message(came, "ask for something else, or with another seed")
    needed = "give something else"
    if outcome.category == "faces":
        needed = "give a file without people's faces; who runs this machine can allow them"
    return message(f"{came} of {given}", needed)


def _entries(file: Path) -> Mapping[str, Any]:
    import yaml

    try:
        told = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise RequestError(message(f"{FILE} cannot be read", "it must be a YAML file")) from error
    told = {} if told is None else told
    known = ("policy", "frames", "reviewers", "without")
    odd = [key for key in told if key not in known] if isinstance(told, dict) else [told]
    if odd:
        near = get_close_matches(str(odd[0]), known, n=1)
        came = f"{FILE} says {shown(str(odd[0]))}"
        needed = f"its entries are {', '.join(known)}"
        raise RequestError(message(came, needed, nearest=near[0] if near else None))
    if not isinstance(told.get("without") or [], list):
        raise RequestError(
            message(f"without in {FILE} is no list", f"parts are {', '.join(PARTS)}")
        )
    return told


def _reviewers(told: object) -> tuple[str, ...]:
    if told is None:
        return REVIEWERS
    if not isinstance(told, list) or not told or not all(isinstance(one, str) for one in told):
        came = f"reviewers in {FILE} is no list of names"
        raise RequestError(message(came, "write such as [nudity, symbols]"))
    return tuple(told)


def _part(name: object) -> str:
    if name not in PARTS:
        near = get_close_matches(str(name), PARTS, n=1, cutoff=0.3)
        came = f"without in {FILE} names {shown(str(name))}"
        needed = f"parts are {', '.join(PARTS)}"
        raise RequestError(message(came, needed, nearest=near[0] if near else None))
    return str(name)
