"""`worldreel bench`: what this machine makes of a model, as a table or as JSON."""

from __future__ import annotations

import argparse
import json
from typing import Any

from worldreel.commands.progress import bar, span
from worldreel.errors import RequestError, message, shown

__all__ = ["bench"]

DEVICES = ("cpu", "cuda")


def bench(arguments: argparse.Namespace) -> None:
    """Make a video with few steps and say how long a step takes, and how near the limit that is.

    Raises:
        RequestError: the device is not here, or there are too few steps to tell.
        ModelError: no model goes by that name.
    """
    _check(arguments.device, arguments.steps)
    from worldreel.evaluate.machine import SOME, STEPS, magnitudes, measure
    from worldreel.generator import Generator
    from worldreel.models.load import keep

    steps = STEPS if arguments.steps is None else arguments.steps
    generator = Generator.load(arguments.model, device=arguments.device)
    if arguments.magnitudes:
        with bar("measuring") as show:
            ratios = magnitudes(generator, prompts=SOME, tell=show)
        keep(arguments.model, ratios)
        told = f"{len(ratios)} magnitudes are kept with {arguments.model}: --cache mag works now"
        print(json.dumps({"magnitudes": ratios}) if arguments.json else told)
        return
    with bar("measuring") as show:
        found = measure(generator, steps=steps, tell=show)
    if arguments.json:
        print(json.dumps(found))
        return
    for line in _lines(found):
        print(line)


def _check(device: str, steps: int | None) -> None:
    if device not in DEVICES:
        came = f"the device is {shown(device)}"
        raise RequestError(message(came, "it may be cpu or cuda", nearest="cpu"))
    if steps is not None and not 2 <= steps <= 100:
        came = f"the number of steps is {shown(steps)}"
        nearest = min(max(steps, 2), 100)
        raise RequestError(message(came, "2 to 100 can be measured", nearest=nearest))
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            came = "there is no CUDA device here that torch can use"
            raise RequestError(message(came, "leave out --device", nearest="cpu"))


def _lines(found: dict[str, Any]) -> list[str]:
    device = found["device"]
    if device == "cpu":
        device = f"the CPU, {found['threads']} thread{'s' * (found['threads'] > 1)}"
    memory = found["peak_memory_bytes"]
    lines = [
        f"{found['model']} on {device}, {found['numbers']}: {found['size']}, "
        f"{found['seconds']:g} s, {found['patches']} patches",
        f"a step        {found['seconds_a_step']:.3g} s, {found['tflop_a_step']:g} TFLOP "
        f"({found['calls_a_step']} calls)",
        f"that is       {found['tflop_a_second']:g} TFLOP/s, {found['share_of_limit']:.0%} of the "
        f"{found['limit_tflop_a_second']:g} that one large matrix product reaches here",
        f"decoding      {found['decoded_frames_a_second']:g} frames a second",
        f"a video       about {span(found['usual_video_seconds'])} with the usual "
        f"{found['usual_steps']} steps",
    ]
    if memory is not None:
        lines.append(f"memory        {memory / 2**30:.2f} GB at most")
    return lines
