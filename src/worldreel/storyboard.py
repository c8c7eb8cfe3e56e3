"""A storyboard as people write it: shots in order, a cast and a style that stay the same.

    style: watercolour
    aspect: 16:9
    cast:
      hero: a red car
    shots:
      - prompt: "{hero} drives along a city street"
        seconds: 3
      - prompt: "@hero drives along a beach at sunset"
        seconds: 3
        stills: [last.jpg@2.5]

The file is YAML, of which only the plain part is taken: text, lists and mappings. Every value is
read as the text that was written, since YAML itself would make an hour of `16:9` and a truth of
`no`. There are no aliases (a few lines of them can mean a billion entries), no repeated and no
unknown keys. Errors name the line or the shot. No torch here.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from worldreel.errors import MediaError, RequestError, WorldreelError, message, shown
from worldreel.request import MAX_COUNT, Request
from worldreel.shapes import parse_size

__all__ = ["MAX_SECONDS", "MIN_SECONDS", "Given", "StoryShot", "Storyboard", "read_storyboard"]

MIN_SECONDS, MAX_SECONDS = 0.5, 60.0
"""Of one shot; all shots together last `MAX_SECONDS` at most."""

SHOT_SECONDS = 4.0
"""A shot that does not say how long it lasts."""

_MAX_BYTES = 200_000
_MAX_CAST = 50
_MAX_GIVEN = 50
_MAX_DEPTH, _MAX_NODES = 20, 5000

_SHOT = ("prompt", "seconds", "stills", "clips")
_REFERENCE = re.compile(r"\{([^{}]*)\}|(?<![\w@])@(\w+)")


@dataclass(frozen=True, kw_only=True)
class Given:
    """A still or clip that a shot shows, `at` seconds after the shot's own beginning."""

    path: Path
    at: float = 0.0


@dataclass(frozen=True, kw_only=True)
class StoryShot:
    """One shot: what it shows, for how many seconds, and what of it is given."""

    prompt: str
    seconds: float = SHOT_SECONDS
    stills: tuple[Given, ...] = ()
    clips: tuple[Given, ...] = ()

    def text(self, cast: Mapping[str, str], style: str = "") -> str:
        """The prompt with `{name}` and `@name` described as in `cast`, `style` at its end.

        Raises `RequestError` for a name that is not in the cast.
        """
        described = {name.casefold(): about for name, about in cast.items()}

        def about(match: re.Match[str]) -> str:
            name = (match[1] if match[1] is not None else match[2]).strip()
            if name.casefold() not in described:
                raise RequestError(_no_such(f"the cast has no {shown(name)}", name, cast))
            return described[name.casefold()]

        text = _REFERENCE.sub(about, self.prompt)
        return f"{text.rstrip(' .,;')}, {style}" if style else text


@dataclass(frozen=True, kw_only=True)
class Storyboard:
    """Shots in order, and what holds for all of them; None leaves a choice to the model.

    `cast` maps names to descriptions. `size` is (width, height) in pixels. Raises `RequestError`
    (or a kind of it) for whatever no model could make, naming the shot.
    """

    shots: tuple[StoryShot, ...]
    cast: Mapping[str, str] = field(default_factory=dict)
    style: str = ""
    size: tuple[int, int] | None = None
    aspect: str | None = None
    fps: float | None = None
    seed: int | None = None
    guidance: float | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        if not self.shots:
            raise RequestError(message("the storyboard has no shots", "it needs at least one"))
        if len(self.shots) > MAX_COUNT:
            came = f"the storyboard has {len(self.shots)} shots"
            raise RequestError(message(came, f"it may have at most {MAX_COUNT}"))
        for number, shot in enumerate(self.shots, 1):
            with _named(f"shot {number}"):
                _check_shot(shot)
                Request(prompt=shot.text(self.cast, self.style))
        if self.seconds > MAX_SECONDS + 1e-6:
            came = f"the shots last {self.seconds:g} seconds together"
            raise RequestError(message(came, f"they may last {MAX_SECONDS:g}, shorten some"))
        width, height = self.size or (None, None)
        Request(prompt="all shots", width=width, height=height, **self._choices())

    @property
    def seconds(self) -> float:
        """How long all shots last."""
        return sum(shot.seconds for shot in self.shots)

    @property
    def starts(self) -> tuple[float, ...]:
        """The second of the whole at which each shot begins."""
        return tuple(sum((s.seconds for s in self.shots[:i]), 0.0) for i in range(len(self.shots)))

    def texts(self) -> tuple[str, ...]:
        """What each shot shows, with cast and style written out."""
        return tuple(shot.text(self.cast, self.style) for shot in self.shots)

    def _choices(self) -> dict[str, Any]:
        names = ("aspect", "fps", "seed", "guidance", "steps")
        return {name: getattr(self, name) for name in names}


@contextmanager
def _named(where: str) -> Iterator[None]:
    """Errors that leave this block begin with where they are."""
    try:
        yield
    except WorldreelError as error:
        raise type(error)(f"{where}: {error}") from error


def _check_shot(shot: StoryShot) -> None:
    if not MIN_SECONDS <= shot.seconds <= MAX_SECONDS:  # nan fails too
        nearest = f"{MAX_SECONDS if shot.seconds > MAX_SECONDS else MIN_SECONDS:g}"
        came = f"its duration in seconds is {shot.seconds:g}"
        needed = f"it must be {MIN_SECONDS:g} to {MAX_SECONDS:g}"
        raise RequestError(message(came, needed, nearest=nearest))
    for given in (*shot.stills, *shot.clips):
        if not 0 <= given.at < shot.seconds:
            came = f"{shown(given.path.name)} is to appear at {given.at:g} seconds"
            needed = f"the shot lasts {shot.seconds:g}"
            raise RequestError(message(came, needed, nearest="0" if not given.at > 0 else None))


def _no_such(came: str, name: str, known: Iterable[str]) -> str:
    names = list(known)
    close = difflib.get_close_matches(name, names, 1, 0.6)
    if not names:
        return message(came, "there are no such names here")
    needed = f"there are {', '.join(names[:20])}" if len(names) > 1 else f"there is {names[0]}"
    return message(came, needed, nearest=close[0] if close else None)


def read_storyboard(path: str | Path) -> Storyboard:
    """The storyboard in a YAML file; the files it names lie beside it.

    Raises `MediaError` for what is no readable text, `RequestError` (naming line or shot) for what
    is no storyboard.
    """
    path = Path(path)
    root = _root(_text(path), path.name)
    top = _mapping(root, ("shots", "cast", *_CHOICES), "the storyboard", needed=("shots",))
    cast = _cast(top["cast"]) if "cast" in top else {}
    entries = _list(top["shots"], "shots")
    if not entries:
        came = f"line {_line(top['shots'])}: the storyboard has no shots"
        raise RequestError(message(came, "it needs at least one"))
    shots = tuple(_shot(n, node, path.parent) for n, node in enumerate(entries, 1))
    choices: dict[str, Any] = {}
    for name, read in _CHOICES.items():
        if name in top:
            choices[name] = read(top[name], name)
    return Storyboard(shots=shots, cast=cast, **choices)


def _text(path: Path) -> str:
    """What is in the file, within limits."""
    name = shown(path.name)
    if "\0" in str(path) or not path.is_file():
        needed = "give a storyboard, a YAML file with shots"
        raise MediaError(message(f"there is no file {shown(str(path), limit=200)}", needed))
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise MediaError(message(f"{name} cannot be opened", "you may not read it")) from error
    if len(data) > _MAX_BYTES:
        came = f"{name} is larger than {_MAX_BYTES:,} bytes"
        raise MediaError(message(came, "that is no storyboard"))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        came = f"line {line} of {name} is not UTF-8"
        raise MediaError(message(came, "save the file as text in UTF-8")) from error


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML without aliases, within limits of size and nesting."""

    depth = nodes = 0

    def compose_node(self, parent: Any, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            line = self.peek_event().start_mark.line + 1
            came = f"line {line}: the storyboard uses an alias (*)"
            raise RequestError(message(came, "write it out, or use the cast"))
        self.depth += 1
        self.nodes += 1
        if self.nodes > _MAX_NODES:
            came = f"the storyboard has more than {_MAX_NODES:,} entries"
            raise RequestError(message(came, f"it may have at most {MAX_COUNT} shots"))
        if self.depth > _MAX_DEPTH:
            line = self.peek_event().start_mark.line + 1
            came = f"line {line}: lists and mappings are nested {self.depth} deep"
            raise RequestError(message(came, "a storyboard has shots, and shots have prompts"))
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _root(text: str, name: str) -> yaml.Node:
    loader = None
    try:
        loader = _Loader(text)
        root: yaml.Node | None = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1} of " if mark else ""
        problem = shown(error.problem or "unknown", limit=120).strip('"')
        came = f"{where}{shown(name)} is no YAML ({problem})"
        raise RequestError(message(came, "mend it there, or see examples/story.yaml")) from error
    except (yaml.YAMLError, RecursionError) as error:  # control characters, flows without end
        came = f"{shown(name)} is no YAML"
        raise RequestError(
            message(came, "it must be plain text, see examples/story.yaml")
        ) from error
    finally:
        if loader is not None:
            loader.dispose()
    if root is None:
        came = f"{shown(name)} is empty"
        raise RequestError(message(came, "a storyboard needs shots, see examples/story.yaml"))
    return root


def _line(node: yaml.Node) -> int:
    line: int = node.start_mark.line + 1
    return line


def _mapping(
    node: yaml.Node, keys: tuple[str, ...], what: str, *, needed: tuple[str, ...] = ()
) -> dict[str, yaml.Node]:
    """The entries of a mapping that has only `keys` (any, if there are none)."""
    found: dict[str, yaml.Node] = {}
    for key, value in _pairs(node, what):
        if keys and key not in found and key not in keys:
            came = f"line {_line(value)}: {what} has an unknown entry {shown(key)}"
            raise RequestError(_no_such(came, key, keys))
        if key in found:
            came = f"line {_line(value)}: {what} has {shown(key)} twice"
            raise RequestError(message(came, "keep one of them"))
        found[key] = value
    for key in needed:
        if key not in found:
            came = f"line {_line(node)}: {what} has no {key}"
            raise RequestError(message(came, "give it one, as in examples/story.yaml"))
    return found


def _pairs(node: yaml.Node, what: str) -> Iterator[tuple[str, yaml.Node]]:
    if not isinstance(node, yaml.MappingNode):
        came = f"line {_line(node)}: {what} is {_kind(node)}"
        raise RequestError(message(came, "it must be entries of the form `name: value`"))
    for key, value in node.value:
        yield _scalar(key, "a name"), value


def _kind(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return f"the text {shown(node.value)}" if node.value else "empty"
    return "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"


def _list(node: yaml.Node, what: str) -> list[yaml.Node]:
    """The entries of a list; one alone may stand for itself, and nothing for none."""
    if isinstance(node, yaml.SequenceNode):
        entries: list[yaml.Node] = node.value
        return entries
    if isinstance(node, yaml.ScalarNode) and not node.value:
        return []
    if what == "shots":
        came = f"line {_line(node)}: shots is {_kind(node)}"
        raise RequestError(message(came, "it must be a list, each shot after a dash"))
    return [node]


def _scalar(node: yaml.Node, what: str) -> str:
    if not isinstance(node, yaml.ScalarNode):
        came = f"line {_line(node)}: {what} is {_kind(node)}"
        # An unquoted {hero} at the beginning of a prompt is a mapping for YAML.
        hint = (
            'put quotes around it, as in "{hero} runs"' if what == "prompt" else "it must be text"
        )
        raise RequestError(message(came, hint))
    text: str = node.value
    return text


def _line_of_text(node: yaml.Node, what: str) -> str:
    return " ".join(_scalar(node, what).split())


def _size(node: yaml.Node, what: str) -> tuple[int, int]:
    with _named(f"line {_line(node)}"):
        return parse_size(_scalar(node, what))


def _number(node: yaml.Node, what: str) -> float:
    text = _scalar(node, what).strip()
    if re.fullmatch(r"[+-]?(\d{1,20}(\.\d{0,20})?|\.\d{1,20})", text) is None:
        came = f"line {_line(node)}: {what} is {shown(text)}"
        raise RequestError(message(came, "it must be a number, such as 2.5"))
    return float(text)


def _whole(node: yaml.Node, what: str) -> int:
    text = _scalar(node, what).strip()
    if re.fullmatch(r"[+-]?\d{1,30}", text) is None:
        came = f"line {_line(node)}: {what} is {shown(text)}"
        raise RequestError(message(came, "it must be a whole number, such as 7"))
    return int(text)


def _cast(node: yaml.Node) -> dict[str, str]:
    cast: dict[str, str] = {}
    for name, value in _mapping(node, (), "the cast").items():
        about = " ".join(_scalar(value, f"cast member {shown(name)}").split())
        if re.fullmatch(r"\w{1,40}", name) is None:
            came = f"line {_line(value)}: a cast member is called {shown(name)}"
            raise RequestError(message(came, "a name is one word of letters and digits"))
        if not about:
            came = f"line {_line(value)}: cast member {shown(name)} has no description"
            raise RequestError(message(came, "say what it looks like, such as a red car"))
        if name.casefold() in (other.casefold() for other in cast):
            came = f"line {_line(value)}: the cast has {shown(name)} twice"
            raise RequestError(message(came, "keep one of them"))
        cast[name] = about
    if len(cast) > _MAX_CAST:
        came = f"the cast has {len(cast)} members"
        raise RequestError(message(came, f"it may have at most {_MAX_CAST}"))
    return cast


def _shot(number: int, node: yaml.Node, folder: Path) -> StoryShot:
    what = f"shot {number}"
    if isinstance(node, yaml.ScalarNode) and node.value:
        return StoryShot(prompt=_prompt(node, number))  # a prompt alone is a shot
    values = _mapping(node, _SHOT, what, needed=("prompt",))
    seconds = SHOT_SECONDS
    if "seconds" in values:
        seconds = _number(values["seconds"], f"the duration of {what} in seconds")
    given = {
        kind: tuple(_given(entry, what, folder) for entry in _list(values[kind], kind))
        for kind in ("stills", "clips")
        if kind in values
    }
    if any(len(files) > _MAX_GIVEN for files in given.values()):
        came = f"{what} names more than {_MAX_GIVEN} files"
        raise RequestError(message(came, "leave some out"))
    return StoryShot(prompt=_prompt(values["prompt"], number), seconds=seconds, **given)


def _prompt(node: yaml.Node, number: int) -> str:
    text = " ".join(_scalar(node, "prompt").split())
    if not text:
        came = f"line {_line(node)}: shot {number} has an empty prompt"
        raise RequestError(message(came, "say what it should show"))
    return text


def _given(node: yaml.Node, what: str, folder: Path) -> Given:
    """`photo.jpg`, `photo.jpg@1.5` or `{file: photo.jpg, at: 1.5}`."""
    at = 0.0
    if isinstance(node, yaml.ScalarNode):
        match = re.fullmatch(r"(.+)@(\d{1,4}(?:\.\d{1,9})?)", node.value.strip())
        name = match[1] if match else node.value.strip()
        at = float(match[2]) if match else 0.0
    else:
        entry = _mapping(node, ("file", "at"), f"a file of {what}", needed=("file",))
        name = _scalar(entry["file"], "file").strip()
        at = _number(entry["at"], "at") if "at" in entry else 0.0
    path = folder / name
    if not name or "\0" in name or not path.is_file():
        came = f"line {_line(node)}: {what} names {shown(name, limit=120)}, which is no file"
        raise RequestError(message(came, "give one that lies beside the storyboard"))
    return Given(path=path, at=at)


_CHOICES: dict[str, Callable[[yaml.Node, str], Any]] = {
    "style": _line_of_text,
    "size": _size,
    "aspect": _line_of_text,
    "fps": _number,
    "seed": _whole,
    "guidance": _number,
    "steps": _whole,
}
"""What holds for all shots, and how it is read."""
