"""Every command that makes a video, on every kind of open weights, as a person types it: it ends
well, and the file has the frames that were asked for (what is in them: test_open.py)."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from open_weights import KINDS, pipeline
from PIL import Image

from worldreel.cli import main
from worldreel.models.load import settings_of
from worldreel.video import Video
from worldreel.video.read import read_video

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

SIDE, CLIP = 64, 9
FEW = {
    "FastWan-tiny": "t2v",
    "FastWan-5B-tiny": "ti2v",
    "Self-Forcing-tiny": "t2v",
    "rCM-tiny": "t2v",
    "rCM-I2V-tiny": "i2v-experts",
}
"""Few-step weights are told by their names: what their folders are called, and what is in them."""
COMMANDS = {  # what is typed, frames
    "generate": ("generate PROMPT --seconds {nine}", 9),
    "image": ("image PROMPT", 1),
    "animate": ("animate photo.png PROMPT --seconds {nine}", 9),
    "keys": ("animate PROMPT --image photo.png@0 --image photo.png@0.5 --seconds 0.7", 0),
    "extend": ("extend clip.mp4 PROMPT --seconds {eight}", CLIP + 8),
    "before": ("extend clip.mp4 PROMPT --seconds {eight} --before", CLIP + 8),
    "fill": ("fill clip.mp4 PROMPT --from {three} --to {six}", CLIP),
    "region": ("fill clip.mp4 PROMPT --region 0,0,32,32", CLIP),
    "connect": ("connect clip.mp4 clip.mp4 PROMPT --seconds {eight}", 2 * CLIP + 8),
    "loop": ("loop clip.mp4 PROMPT --seconds {eight}", CLIP + 8),
    "edit": ("edit clip.mp4 PROMPT --strength 0.6", CLIP),
    "storyboard": ("storyboard story.yaml", 0),
}  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def get(kind: str) -> Path:
        if kind in FEW:
            link = tmp_path_factory.mktemp(f"few-{len(made)}") / kind
            link.symlink_to(get(FEW[kind]))
            return link
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp(kind)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                pipeline(kind).save_pretrained(made[kind])
        return made[kind]

    return get


def given(fps: float) -> None:
    """A photo, a clip of nine frames at the model's rate and a story, in the present folder."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE

    def picture(i: float) -> np.ndarray:
        waves = [np.sin(7 * x + i), np.cos(5 * y - i), np.sin(4 * (x + y) + 2 * i)]
        return np.uint8(127.5 + 127 * np.stack(waves, -1))

    Image.fromarray(picture(0)).save("photo.png")
    frames = torch.from_numpy(np.stack([picture(i / 5) for i in range(CLIP)]))
    Video(frames, fps=fps).save("clip.mp4")
    Path("story.yaml").write_text(
        "cast: {fox: a red fox}\nsize: 64x64\nseed: 1\nshots:\n"
        "  - {prompt: '@fox in the snow', seconds: 0.5}\n"
        "  - {prompt: '{fox} in the grass', seconds: 0.5, stills: [photo.png@0]}\n"
    )


@pytest.mark.parametrize("kind", [*KINDS, *FEW])
def test_every_command_works_on_every_kind(
    kind: str,
    folders: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = folders(kind)
    settings = settings_of(str(folder))
    given(settings.fps)
    times = {n: repr(i / settings.fps) for i, n in ((3, "three"), (6, "six"), (8, "eight"))}
    times["nine"] = repr(9 / settings.fps)
    for name, (typed, frames) in COMMANDS.items():
        target = f"{name}.png" if name == "image" else f"{name}.mp4"
        words = [
            "a red fox runs" if word == "PROMPT" else word.format(**times) for word in typed.split()
        ]
        words += ["--model", str(folder), "--steps", "2", "--seed", "1", "-o", target, "--json"]
        words += [] if name == "storyboard" else ["--size", "64x64"]
        words += [] if kind in FEW else ["--guidance", "2"]
        code = main(words)
        told = capsys.readouterr()
        assert code == 0, (name, told.err)
        answer = json.loads(told.out)
        assert answer["native_size"] == "64x64", name
        assert not frames or answer["frames"] == frames, (name, answer["frames"])
        video = read_video(Path(target))
        shown = video.frames[:]
        assert len(shown) == answer["frames"] and float(shown.float().std()) > 2, name
