"""`worldreel evaluate`: the figures of a model, as tables or as JSON."""

from __future__ import annotations

import argparse
import json

from worldreel.commands.progress import bar

__all__ = ["evaluate"]


def evaluate(arguments: argparse.Namespace) -> None:
    """Ask for seen and unseen combinations, judge what comes, and say how often it was right."""
    from worldreel.evaluate import bench
    from worldreel.generator import Generator

    generator = Generator.load(arguments.model)
    with bar("evaluating") as show:
        result = bench.evaluate(
            generator,
            quick=arguments.quick,
            codec=generator.model.codec,
            model=arguments.model,
            progress=lambda doing, done, total: show(done / max(1, total), doing),
        )
    if arguments.json:
        print(json.dumps(result))
        return
    from rich.console import Console

    from worldreel.evaluate.report import tables

    Console().print(tables(result))
