"""The commands that start from something given: each reads it and asks for one known canvas."""

from __future__ import annotations

import argparse
from typing import Any

from worldreel.commands.generate import produce, prompt_of, settings
from worldreel.commands.progress import bar
from worldreel.errors import RequestError, message, shown
from worldreel.options import number

__all__ = ["animate", "connect", "edit", "extend", "fill", "image", "loop", "storyboard"]


def image(arguments: argparse.Namespace) -> None:
    """A still of a prompt."""
    from worldreel import tasks

    produce(arguments, tasks.image(prompt_of(arguments), **settings(arguments)))


def animate(arguments: argparse.Namespace) -> None:
    """A video from one picture or several."""
    if arguments.image and arguments.picture and not arguments.prompt:
        arguments.picture, arguments.prompt = None, arguments.picture  # `animate PROMPT --image …`
    places = [] if arguments.picture is None else [(arguments.picture, arguments.at)]
    places += [_timed(text) for text in arguments.image]
    if not places:
        raise RequestError(message("no picture was given", "give one, or --image FILE@SECOND"))
    prompt = prompt_of(arguments)

    from worldreel import tasks
    from worldreel.given import known_still

    with bar("reading"):
        stills = [known_still(name, at=at) for name, at in places]
    request = tasks.animate(stills, prompt, seconds=arguments.seconds, **settings(arguments))
    produce(arguments, request)


def extend(arguments: argparse.Namespace) -> None:
    """A video and what comes after or before."""
    from worldreel import tasks

    known, given = _clip(arguments, arguments.clip)
    request = tasks.extend(known, seconds=arguments.seconds, before=arguments.before, **given)
    produce(arguments, request)


def fill(arguments: argparse.Namespace) -> None:
    """A while of a video made anew, or a part of its picture."""
    from dataclasses import replace

    from worldreel import tasks
    from worldreel.video.foreign import measure
    from worldreel.video.mask import read_mask, region

    known, given = _clip(arguments, arguments.clip)
    if arguments.region is not None or arguments.mask is not None:
        told = measure(arguments.clip)  # in the file's own pixels, however it was reduced
        if arguments.region is not None:
            unknown = region(arguments.region, told.width, told.height)
        else:
            unknown = read_mask(arguments.mask, (told.width, told.height))
        known = replace(known, unknown=unknown)
    request = tasks.fill(known, start=arguments.begin, end=arguments.end, **given)
    produce(arguments, request)


def connect(arguments: argparse.Namespace) -> None:
    """Two videos and the way from one to the other."""
    from worldreel import tasks

    first, given = _clip(arguments, arguments.first)
    second, _ = _clip(arguments, arguments.second)
    produce(arguments, tasks.connect(first, second, seconds=arguments.seconds, **given))


def loop(arguments: argparse.Namespace) -> None:
    """A video and the way back to its beginning."""
    from worldreel import tasks

    known, given = _clip(arguments, arguments.clip)
    produce(arguments, tasks.loop(known, seconds=arguments.seconds, **given))


def edit(arguments: argparse.Namespace) -> None:
    """A video in other words."""
    from worldreel import tasks

    known, given = _clip(arguments, arguments.clip)
    produce(arguments, tasks.edit(known, strength=arguments.strength, **given))


def storyboard(arguments: argparse.Namespace) -> None:
    """Several shots in one video."""
    from worldreel.given import board_request
    from worldreel.storyboard import read_storyboard

    board = read_storyboard(arguments.story)
    with bar("reading"):
        request = board_request(board, settings(arguments))
    produce(arguments, request)


def _clip(arguments: argparse.Namespace, name: str) -> tuple[Any, dict[str, Any]]:
    """A given clip, and the settings with its prompt: what was typed, or what its recipe says."""
    from worldreel.given import known_clip
    from worldreel.models.load import settings_of

    with bar("reading"):
        known = known_clip(name, like=settings_of(arguments.model))
    prompt = prompt_of(arguments) or str((known.clip.recipe or {}).get("prompt", ""))
    return known, settings(arguments) | {"prompt": prompt}


def _timed(text: str) -> tuple[str, float]:
    """The file and the second of "FILE@SECOND"."""
    name, at, second = text.rpartition("@")
    try:
        return (name, number(second)) if at and name else (text, 0.0)
    except argparse.ArgumentTypeError:
        came = f"the picture's time is {shown(second)}"
        raise RequestError(message(came, "write FILE@SECOND, such as cat.jpg@2.5")) from None
