"""One video made and saved in a process of its own: `python -m worldreel.evaluate.probe MODEL
SECONDS STEPS` prints its peak memory and time as JSON (`minute.probed` reads it)."""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

__all__ = ["main", "peak_mb"]

PROMPT = "a red car drives to the right along a city street in the day, the camera follows"


def peak_mb() -> float:
    """The most resident memory this process ever had, in MB.

    Linux keeps in `ru_maxrss` what the parent had when it started this process; its own peak is
    in the status file.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    """Makes, saves, measures."""
    model, seconds, steps = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    from worldreel.generator import Generator
    from worldreel.request import Request

    generator = Generator.load(model)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        generator.generate(Request(prompt=PROMPT, seconds=1, seed=0, steps=1)).save(path)
        began, worked = time.monotonic(), time.process_time()
        generator.generate(Request(prompt=PROMPT, seconds=seconds, seed=1, steps=steps)).save(path)
        took = {"seconds": time.monotonic() - began, "processor_s": time.process_time() - worked}
    print(json.dumps({"peak_mb": peak_mb(), **took}))


if __name__ == "__main__":
    main()
