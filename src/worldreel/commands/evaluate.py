"""`worldreel evaluate`: the figures of a model, as tables or as JSON."""

from __future__ import annotations

import argparse
import json

from worldreel.commands.progress import bar

__all__ = ["evaluate"]


def evaluate(arguments: argparse.Namespace) -> None:
    """Ask for seen and unseen combinations, or for every task, and say how often it was right."""
    from worldreel.generator import Generator

    generator = Generator.load(arguments.model)
    with bar("evaluating") as show:

        def progress(doing: str, done: int, total: int) -> None:
            show(done / max(1, total), doing)

        if arguments.tasks:
            from worldreel.evaluate.tasks import evaluate_tasks

            result = evaluate_tasks(
                generator, quick=arguments.quick, model=arguments.model, progress=progress
            )
        else:
            from worldreel.evaluate import bench

            result = bench.evaluate(
                generator,
                quick=arguments.quick,
                codec=generator.model.codec,
                model=arguments.model,
                progress=progress,
            )
    if arguments.json:
        print(json.dumps(result))
        return
    from rich.console import Console

    from worldreel.evaluate.report import tables, task_tables

    Console().print(task_tables(result) if arguments.tasks else tables(result))
