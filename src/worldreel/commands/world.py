"""`worldreel world show`: one scene of the captioned world, as a video and in words."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worldreel.commands.naming import free
from worldreel.errors import DurationError, RequestError, message
from worldreel.request import MAX_FPS, MAX_SECONDS, MAX_SEED
from worldreel.shapes import parse_size

if TYPE_CHECKING:
    from worldreel.world.scene import Captions, Scene

__all__ = ["show"]

_CHUNK_PIXELS = 3_000_000  # rendered at once: enough to be fast, few enough for any memory


def show(arguments: argparse.Namespace) -> None:
    """Render the scene of a seed, write it, and print its captions and its facts."""
    width, height = parse_size(arguments.size)
    _check_numbers(arguments)
    path = Path(arguments.output) if arguments.output else free(Path(f"world-{arguments.seed}.mp4"))

    import numpy as np

    from worldreel.video import check_output
    from worldreel.world.config import WorldConfig
    from worldreel.world.facts import facts
    from worldreel.world.scene import sample_scene

    check_output(path)
    config = WorldConfig.small() if arguments.small else WorldConfig.full()
    scene = sample_scene(arguments.seed, config=config, split=arguments.split)
    frames = max(1, round((arguments.seconds or scene.duration) * arguments.fps))
    check_output(path, frames=frames)
    render(scene, width, height, frames=frames, fps=arguments.fps, path=path)
    # Five moments say where everything goes; one for each frame would fill the screen.
    moments = np.linspace(0, (frames - 1) / arguments.fps, min(frames, 5))
    truth = facts(scene, moments, width / height)
    captions = scene.captions(np.random.default_rng(arguments.seed))
    _tell(path, captions, truth, as_json=arguments.json)


def _check_numbers(arguments: argparse.Namespace) -> None:
    limits = (
        ("seed", arguments.seed, 0, MAX_SEED, RequestError),
        ("duration in seconds", arguments.seconds, 0.01, MAX_SECONDS, DurationError),
        ("frame rate", arguments.fps, 1, MAX_FPS, DurationError),
    )
    for name, value, low, high, error in limits:
        if value is not None and not low <= value <= high:
            raise error(message(f"the {name} is {value:g}", f"it must be {low:g} to {high:g}"))


def render(scene: Scene, width: int, height: int, *, frames: int, fps: float, path: Path) -> None:
    """Write the scene's first `frames` to `path`, in pixels of `width` × `height`."""
    import torch

    from worldreel.video import Video
    from worldreel.world.render import Renderer

    # Textures as fine as the picture, but no finer than the sprites and the memory allow.
    unit, side = min(288, max(96, height)), 128 if height > 128 else 64
    renderer = Renderer(unit=unit, side=side)
    parts, chunk = [], max(1, _CHUNK_PIXELS // (width * height))
    for first in range(0, frames, chunk):
        part = renderer.render(
            [scene],
            width=width,
            height=height,
            frames=min(chunk, frames - first),
            fps=fps,
            start=first / fps,
        )
        parts.append(Video.from_tensor(part.frames[0], fps=fps).frames)
    Video(torch.cat(parts), fps=fps).save(path)


def _tell(path: Path, captions: Captions, truth: dict[str, Any], *, as_json: bool) -> None:
    said = {"prompt": captions.prompt, "sentence": captions.sentence, "dense": captions.dense}
    if as_json:
        print(json.dumps({"path": str(path), "captions": said, "facts": truth}))
        return
    print(path)
    for length, text in said.items():
        print(f"\n{length}: {text}")
    print(f"\nfacts: {json.dumps(truth, indent=2)}")
