"""Does training at native sizes pay? The comparison of Sora's report, small enough for two cores.

    python -m worldreel.train.native_sizes RUN OUT [--minutes 6] [--scenes 100]

Two small transformers learn stills from the same scenes of RUN's latents for the same time: one at
their native sizes, one on square crops from the middle. Both then make wide and tall pictures of
held-out scenes, and the judge says whether the subject is inside the frame (evaluate/sizes.py).
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from worldreel.evaluate.judge import Judges
from worldreel.evaluate.prompts import sentence, visible
from worldreel.evaluate.sizes import sight
from worldreel.evaluate.world import judged_world
from worldreel.generator import Generator
from worldreel.models.embedded import save_model
from worldreel.request import Request
from worldreel.tasks import STILL_SECONDS
from worldreel.train import plans
from worldreel.train.transformer import Phase, TransformerPlan, train_transformer
from worldreel.transformer.config import TransformerConfig
from worldreel.world.facts import facts
from worldreel.world.scene import Scene, sample_scene

_FIRST_SEED = 97_000_000


def plan(shapes: list[str], minutes: float) -> TransformerPlan:
    """A small transformer for stills of these shapes, drawn equally often."""
    base = plans.cpu_transformer()
    config = TransformerConfig(
        width=192,
        layers=6,
        heads=3,
        hidden=768,
        channels=base.config.channels,
        text_width=base.config.text_width,
    )
    mix = dict.fromkeys(shapes, (1.0, 128))
    return replace(
        base, config=config, phases=(Phase(share=1.0, shapes=mix),), minutes=minutes, warmup=50
    )


def crop(latents: Path, out: Path) -> list[str]:
    """Writes the square middles of all stills in `latents`; the names of their shapes."""
    names = []
    for folder in sorted(latents.glob("1x*")):
        name = ""
        for path in sorted(folder.glob("*.safetensors")):
            shard = load_file(str(path))
            h, w = shard["latents"].shape[3:]
            side = min(h, w)
            rows, columns = (slice((n - side) // 2, (n - side) // 2 + side) for n in (h, w))
            shard["latents"] = shard["latents"][..., rows, columns].contiguous()
            shard["coverage"] = shard["coverage"][..., rows, columns].contiguous()
            name = f"1x{side}x{side}-{folder.name}"  # the names of pools, nothing reads the sizes
            (out / name).mkdir(parents=True, exist_ok=True)
            save_file(shard, str(out / name / path.name))
        names.append(name)
    return names


def learn(run: Path, latents: Path, shapes: list[str], folder: Path, minutes: float) -> Generator:
    """Trains on the shapes under `latents` (or goes on), and loads what came out."""
    wanted = plan(shapes, minutes)
    weights = train_transformer(wanted, latents, folder)
    save_model(
        folder / "model",
        codec=load_file(str(run / "codec.safetensors")),
        learner=weights,
        codec_config=plans.cpu_codec().config,
        text_config=wanted.text,
        config=wanted.config,
        settings=plans.cpu_settings(),
        training={"minutes": minutes, "shapes": shapes},
    )
    return Generator.load(str(folder / "model"))


def held_out(count: int) -> list[Scene]:
    """Scenes whose first actor is in view at every native size."""
    found: list[Scene] = []
    seed = _FIRST_SEED
    while len(found) < count:
        scene = sample_scene(seed, config=judged_world(), split="seen")
        seed += 1
        if visible(scene) and all(_in_view(scene, w / h) for w, h in plans.NATIVES):
            found.append(scene)
    return found


def _in_view(scene: Scene, aspect: float) -> bool:
    moments = np.linspace(0, 2, 5)
    return float(np.mean(facts(scene, moments, aspect)["actors"][0]["in_view"])) > 0.9


@torch.no_grad()
def look(generator: Generator, judges: Judges, scenes: list[Scene]) -> dict[str, Any]:
    """For wide and tall stills: percent with the subject inside the frame, and of right kind."""
    found: dict[str, Any] = {}
    for width, height in plans.NATIVES[1:]:
        inside, right = [], []
        for scene in scenes:
            prompt = sentence(scene, np.random.default_rng([scene.seed, 5]))
            request = Request(
                prompt=prompt, seconds=STILL_SECONDS, width=width, height=height, seed=scene.seed
            )
            seen = sight(judges, generator.generate(request).frames)
            inside.append(seen.inside[0])
            right.append(seen.kind == scene.actors[0].kind)
        found[f"{width}x{height}"] = {
            "inside": round(100 * float(np.mean(inside)), 1),
            "kind": round(100 * float(np.mean(right)), 1),
            "n": len(scenes),
        }
    return found


def main() -> None:
    """Trains both, looks at both, prints JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--scenes", type=int, default=100)
    given = parser.parse_args()
    latents = given.run / "latents"
    shapes = [folder.name for folder in sorted(latents.glob("1x*"))]
    cropped = crop(latents, given.out / "latents")
    scenes, judges = held_out(given.scenes), Judges.load()
    answer = {}
    for name, place, own in (
        ("native", latents, shapes),
        ("cropped", given.out / "latents", cropped),
    ):
        generator = learn(given.run, place, own, given.out / name, given.minutes)
        answer[name] = look(generator, judges, scenes)
        print(json.dumps({name: answer[name]}), flush=True)


if __name__ == "__main__":
    main()
