"""A minute: do subject, place and colour last, and do memory and time stay what they were?

Asked are scenes that can last (who travels is followed by the camera). Subject and place are
judged in the first and in the last four seconds; the colour's drift is the difference between the
mean colours of the two, of the channel where it is largest, in percent of the range. Memory and
time are those of a fresh process that makes a video and saves it as MP4 (`probe`); the time is
the processor's, which other programs on the machine disturb less than the clock on the wall.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np

from worldreel.errors import WorldreelError
from worldreel.evaluate.continuing import plain_scenes
from worldreel.evaluate.figures import Exam, Figure, mean, share
from worldreel.evaluate.judge import view
from worldreel.evaluate.prompts import sentence, visible
from worldreel.request import Request
from worldreel.world.cast import TRAVELS
from worldreel.world.scene import Scene

__all__ = ["lasting", "memory_and_time", "probed"]

SECONDS, EDGE = 60.0, 4.0
_POINTS, _DRIFT, _MEMORY, _TIME = -5.0, 2.0, 1.1, 1.1
PROBE_STEPS = 2
"""Steps of the probes: what is measured does not hang on them."""


def lasts(scene: Scene) -> bool:
    """Whether a scene can go on for a minute and still show its actor."""
    cast = scene.actors[0]
    if scene.camera.name == "follow":
        return visible(scene)
    stays = cast.behaviour not in (*TRAVELS, "fall") and cast.direction not in ("up", "down")
    return stays and scene.camera.name == "static" and visible(scene)


def lasting(exam: Exam, *, videos: int, seconds: float = SECONDS) -> list[Figure]:
    """Subject, place and colour over `videos` videos of `seconds`."""
    right: dict[str, list[list[bool]]] = {"subject": [], "place": []}
    drifts: list[float] = []
    for number, scene in enumerate(plain_scenes(exam, videos, lasts)):
        exam.progress(f"{seconds:g} seconds", number, videos)
        size = exam.size(0)
        prompt = sentence(scene, np.random.default_rng([scene.seed, 5]))
        video = exam.make(
            Request(prompt=prompt, seconds=seconds, **exam.settings(scene.seed, size))
        )
        edge = round(EDGE * exam.fps)
        ends = [video.pick(range(edge)), video.pick(range(len(video) - edge, len(video)))]
        seen = [exam.judges.judge(view(frames))[0] for frames in ends]
        right["subject"].append([j.kinds[0] == scene.actors[0].kind for j in seen])
        right["place"].append([j.place == scene.place for j in seen])
        first, last = (frames.float().mean((0, 1, 2)) for frames in ends)
        drifts.append(float((last - first).abs().max()) / 255 * 100)
    exam.progress(f"{seconds:g} seconds", videos, videos)
    found = []
    for name, answers in right.items():
        at_first, at_last = (share([both[i] for both in answers]) for i in (0, 1))
        fell = None if at_first is None or at_last is None else round(at_last - at_first, 1)
        note = f"{at_first} % in the first 4 s, {at_last} % in the last"
        found.append(
            Figure(group="minute", name=f"{name} recognised: last 4 s minus first 4 s", value=fell,
                   unit="points", n=len(answers), target=_POINTS, note=note)
        )  # fmt: skip
    found.append(
        Figure(group="minute", name="drift of the mean colour", value=mean(drifts), unit="%",
               n=len(drifts), target=_DRIFT, at_least=False,
               note=f"worst {max(drifts):.1f}" if drifts else "")
    )  # fmt: skip
    return found


def memory_and_time(exam: Exam, model: str, *, repeats: int = 1) -> list[Figure]:
    """Peak memory of 60 s against 8 s, and the time a second of video takes at 15, 30 and 60 s."""
    lengths = (8.0, 15.0, 30.0, 60.0)
    runs: dict[float, list[dict[str, Any]]] = {length: [] for length in lengths}
    total, done = repeats * len(lengths), 0
    for _ in range(repeats):
        for length in lengths:
            exam.progress("memory and time", done, total)
            runs[length].append(probed(model, seconds=length, steps=PROBE_STEPS))
            done += 1
    exam.progress("memory and time", total, total)
    peak = {length: min(run["peak_mb"] for run in some) for length, some in runs.items()}
    cost = {
        length: min(run["processor_s"] for run in some) / length for length, some in runs.items()
    }
    wall = {length: min(run["seconds"] for run in some) / length for length, some in runs.items()}
    costs = [cost[length] for length in (15.0, 30.0, 60.0)]
    per = ", ".join(f"{wall[length]:.2f} at {length:g}" for length in (15.0, 30.0, 60.0))
    return [
        Figure(group="minute", name="peak memory: 60 s over 8 s",
               value=round(peak[60.0] / peak[8.0], 3), unit="×", n=repeats, target=_MEMORY,
               at_least=False, note=f"{peak[60.0]:.0f} MB, {peak[8.0]:.0f} MB"),
        Figure(group="minute", name="time a second of video: most over least of 15, 30, 60 s",
               value=round(max(costs) / min(costs), 3), unit="×", n=repeats, target=_TIME,
               at_least=False, note=f"seconds by the clock: {per} ({PROBE_STEPS} steps)"),
    ]  # fmt: skip


def probed(model: str, *, seconds: float, steps: int) -> dict[str, Any]:
    """What a fresh process needs to make and save `seconds` of video.

    Returns:
        {"peak_mb", "seconds", "processor_s"}: the whole process's peak resident memory; the time
        by the clock and by the processor, loading and a short first video left out.

    Raises:
        WorldreelError: the process failed.
    """
    command = [sys.executable, "-m", "worldreel.evaluate.probe", model, str(seconds), str(steps)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise WorldreelError(f"A process that makes {seconds:g} seconds of video failed: {last}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found
