"""How long a video takes, and how close its arithmetic comes to this machine's own limit.

Seconds alone say little on an unknown machine, so each part is also given as a ratio: the
floating-point operations it needs, a second, over those of one large matrix product measured in
the same run. 1.0 would mean that nothing but matrix products takes time.

    python benchmarks/generate.py [--model FOLDER] [--seconds 4] [--steps 20]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from worldreel.generator import Finished, Generator, StepEvent
from worldreel.request import Request

PROMPT = "a red car drives to the right along the beach at sunset"


def peak(size: int = 1024, runs: int = 20) -> float:
    """Operations a second of an fp32 matrix product."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    a @ b
    start = time.perf_counter()
    for _ in range(runs):
        a @ b
    return 2 * size**3 * runs / (time.perf_counter() - start)


def parts(generator: Generator, request: Request) -> dict[str, float]:
    """Seconds of denoising and decoding."""
    denoised = decoded = 0.0
    for event in generator.stream(request):
        if isinstance(event, StepEvent):
            denoised = event.elapsed
        elif isinstance(event, Finished):
            start = time.perf_counter()
            assert len(event.video.frames)  # decoded when asked for, not before
            decoded = time.perf_counter() - start
    return {"denoise": denoised, "decode": decoded}


def operations(generator: Generator, request: Request) -> dict[str, float]:
    """Floating-point operations of denoising and decoding, counted, not estimated."""
    counts: dict[str, float] = {}
    counter = FlopCounterMode(display=False)
    with counter:
        for event in generator.stream(request):
            if isinstance(event, StepEvent):
                counts["denoise"] = float(counter.get_total_flops())
            elif isinstance(event, Finished):
                assert len(event.video.frames)
    counts["decode"] = float(counter.get_total_flops()) - counts["denoise"]
    return counts


def whole_process(arguments: list[str], runs: int = 3) -> float:
    """Median seconds of a `worldreel` command from start to exit."""
    taken = []
    for _ in range(runs):
        start = time.perf_counter()
        command = [sys.executable, "-m", "worldreel", *arguments]
        subprocess.run(command, check=True, capture_output=True)
        taken.append(time.perf_counter() - start)
    return sorted(taken)[runs // 2]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--steps", type=int, default=20)
    given = parser.parse_args()
    generator = Generator.load(given.model)
    request = Request(prompt=PROMPT, seed=1, seconds=given.seconds, steps=given.steps)
    parts(generator, request)  # warm up
    counts, taken, limit = operations(generator, request), parts(generator, request), peak()
    result: dict[str, object] = {"threads": torch.get_num_threads(), "peak_gflops": limit / 1e9}
    for part, seconds in taken.items():
        result[part] = {
            "seconds": round(seconds, 3),
            "gflop": round(counts[part] / 1e9, 1),
            "share_of_peak": round(counts[part] / seconds / limit, 3),
        }
    asked = ["generate", PROMPT, "--seed", "1", "--model", given.model]
    asked += ["--seconds", str(given.seconds), "--steps", str(given.steps)]
    with tempfile.TemporaryDirectory() as folder:
        result["whole_process_seconds"] = round(whole_process([*asked, "-o", f"{folder}/a.mp4"]), 2)
    result["help_seconds"] = round(whole_process(["--help"]), 3)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
