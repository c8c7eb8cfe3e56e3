"""How fast the world is drawn, against the same scenes put together with Pillow, in one run.

    python benchmarks/render.py [--device cpu|cuda] [--batch 24] [--frames 25] [--side 128]

Prints one JSON object: frames a second (on a CPU: a core-second) of the small world and of the
full one with its weather and film, their ratio to the peer on one CPU core, the time to lay a
scene out, and the time to draw a scene from its seed. The peer does what a straightforward
program would: crops and scales the painted layers and pastes scaled, turned sprites with
`alpha_composite`; it draws no shadows, weather or film, so the ratio is in its favour.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image

from worldreel.world import atlas
from worldreel.world.backdrops import LAYERS, TOP
from worldreel.world.config import WorldConfig
from worldreel.world.layout import FOOT, STATE, Layout, lay_out
from worldreel.world.render import PARALLAX, Renderer
from worldreel.world.scene import Scene, sample_scene

FPS = 12.0


class Peer:
    """The same scenes by Pillow, frame after frame, on one core."""

    def __init__(self, renderer: Renderer) -> None:
        self.renderer = renderer
        self.sprites: dict[tuple[str, str | None], list[Image.Image]] = {}
        self.layers: dict[tuple[str, str, int, str], Image.Image] = {}

    def draw(self, layout: Layout) -> list[Image.Image]:
        """All frames of all clips."""
        return [
            self._frame(layout, clip, frame)
            for clip in range(len(layout.scenes))
            for frame in range(len(layout.times))
        ]

    def _frame(self, layout: Layout, clip: int, frame: int) -> Image.Image:
        width, height, unit = layout.width, layout.height, self.renderer.unit
        x, y, zoom = (float(c) for c in layout.camera[clip, frame])
        picture = Image.new("RGBA", (width, height))
        for name in LAYERS:
            far = PARALLAX[name]
            texture, near = self._layer(layout.scenes[clip], name), zoom ** (0.5 + 0.5 * far)
            middle = ((x * far + 2) % 4 * unit, (0.5 + (y - 0.5) * (0.3 + 0.7 * far) - TOP) * unit)
            across, down = width / height / near * unit / 2, unit / near / 2
            box = (middle[0] - across, middle[1] - down, middle[0] + across, middle[1] + down)
            box = (max(box[0], 0), max(box[1], 0), box[2], min(box[3], texture.height))
            picture.alpha_composite(
                texture.resize((width, height), Image.Resampling.BILINEAR, box=box)
            )
        for rank, cast in enumerate(layout.casts[clip]):
            if cast is not None:
                self._paste(picture, layout, clip, rank, frame)
        return picture.convert("RGB")

    def _layer(self, scene: Scene, name: str) -> Image.Image:
        key = (scene.place, scene.time, scene.variant % self.renderer.backdrops.variants, name)
        if key not in self.layers:
            painted = self.renderer.backdrops.get(*key[:3])[name].pixels.cpu().numpy()
            twice = np.concatenate([painted, painted[..., : painted.shape[-1] // 2]], -1)
            self.layers[key] = _image(twice)
        return self.layers[key]

    def _paste(
        self, picture: Image.Image, layout: Layout, clip: int, rank: int, frame: int
    ) -> None:
        cast = layout.casts[clip][rank]
        assert cast is not None
        if cast not in self.sprites:
            first = self.renderer.sprites.number(*cast)
            loop = self.renderer.sprites.pick(np.arange(first, first + atlas.FRAMES))
            self.sprites[cast] = [_image(cell) for cell in loop.cpu().numpy()]
        s = dict(zip(STATE, layout.state[clip, rank, frame].tolist(), strict=True))
        x, y, zoom = (float(c) for c in layout.camera[clip, frame])
        scale = layout.height * zoom
        canvas = s["height"] / s["content_high"] * scale
        size = (max(1, round(canvas * s["wide"])), max(1, round(canvas * s["tall"])))
        sprite = self.sprites[cast][int(layout.cells[clip, rank, frame])]
        if s["flip"] < 0:
            sprite = sprite.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        sprite = sprite.resize(size, Image.Resampling.BILINEAR)
        if abs(s["angle"]) > 1e-3:
            turn = -math.degrees(s["angle"])
            sprite = sprite.rotate(turn, Image.Resampling.BILINEAR, expand=True)
        below = (FOOT - s["content_high"] / 2 - 0.5) * size[1]
        middle = (s["y"] - s["height"] * s["tall"] / 2 - y) * scale + layout.height / 2 - below
        column = (s["x"] - x) * scale + layout.width / 2
        corner = (round(column - sprite.width / 2), round(middle - sprite.height / 2))
        # Only a picture within the frame can be composited: paste on an empty frame first.
        sheet = Image.new("RGBA", picture.size)
        sheet.paste(sprite, corner)
        picture.alpha_composite(sheet)


def _image(premultiplied: np.ndarray) -> Image.Image:
    rgba = premultiplied.astype(np.float32).transpose(1, 2, 0)
    rgba[..., :3] *= 255 / np.maximum(rgba[..., 3:], 1)
    return Image.fromarray(rgba.clip(0, 255).astype(np.uint8), "RGBA")


def _seconds(work: Callable[[], object], device: str, least: float = 2.0) -> float:
    """Seconds of one call: the median of several after one that warms up.

    On a CPU these are seconds of one core, which other programs disturb little."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    work()
    spent: list[float] = []
    while sum(spent) < least or len(spent) < 3:
        begin = clock()
        work()
        if device != "cpu":
            torch.cuda.synchronize()
        spent.append(clock() - begin)
    return float(np.median(spent))


def measure(config: WorldConfig, args: argparse.Namespace) -> dict[str, float]:
    """The figures of one world."""
    begin = time.process_time()
    scenes = [sample_scene(seed, config=config) for seed in range(args.batch)]
    sampling = (time.process_time() - begin) / args.batch
    renderer = Renderer(unit=128, side=64, variants=1, device=args.device)
    times = (np.arange(args.frames) / FPS).astype(np.float32)

    def plan() -> Layout:
        return lay_out(scenes, width=args.side, height=args.side, times=times)

    layout, frames = plan(), args.batch * args.frames
    planning = _seconds(plan, "cpu", 0.5)
    drawing = _seconds(lambda: renderer.draw(layout), args.device)
    pillow = Peer(renderer)
    peer = _seconds(lambda: pillow.draw(layout), "cpu")
    return {
        "frames_a_second": round(frames / (planning + drawing), 1),
        "drawn_a_second": round(frames / drawing, 1),
        "pillow_frames_a_second": round(frames / peer, 1),
        "times_pillow": round(peer / (planning + drawing), 2),
        "layout_ms_a_scene": round(1e3 * planning / args.batch, 3),
        "sampling_ms_a_scene": round(1e3 * sampling, 3),
    }


def main() -> None:
    """Measures both worlds and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--frames", type=int, default=25)
    parser.add_argument("--side", type=int, default=128)
    args = parser.parse_args()
    worlds = {"small": WorldConfig.small(), "full": WorldConfig.full()}
    figures = {name: measure(config, args) for name, config in worlds.items()}
    print(json.dumps({"device": args.device, "threads": torch.get_num_threads(), **figures}))


if __name__ == "__main__":
    main()
