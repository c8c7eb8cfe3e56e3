"""What `worldreel evaluate` prints: the results of the benchmark and of the tasks as tables."""

from __future__ import annotations

from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

__all__ = ["tables", "task_tables"]

GOALS = {
    "place": 0.99,
    "colour": 0.95,
    "kind": 0.85,
    "motion": 0.90,
    "camera": 0.90,
    "binding": 0.60,
}
"""What a model trained with a GPU is to reach."""
TRUSTED = 0.95
"""A judge below this on renders measures nothing."""


def tables(result: dict[str, Any]) -> Group:
    """The tables of a result of `bench.evaluate`, with the codec's under "codec" if it is there."""
    parts: list[Table | Text] = [_dimensions(result["dimensions"])]
    if result.get("words"):
        parts.append(_words(result["words"]))
    if result.get("codec"):
        parts.append(_codec(result["codec"]))
    settings = result["settings"]
    steps = f"{settings['steps']} steps" if settings["steps"] else "the model's own steps"
    parts.append(
        Text(
            f"{settings['clips']} seen and {settings['clips']} unseen combinations, "
            f"{settings['seconds']:g} s clips, {steps}; took {result['seconds']:.0f} s",
            style="dim",
        )
    )
    return Group(*parts)


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"


def _marked(share: float | None, goal: float) -> Text:
    style = "" if share is None else "green" if share >= goal else "yellow"
    return Text(_percent(share), style=style)


def _dimensions(dimensions: dict[str, dict[str, Any]]) -> Table:
    table = Table(title="Does the video show what was asked?")
    table.add_column("dimension")
    for name in ("seen", "unseen", "clips", "goal", "judge on renders", "on reconstructions"):
        table.add_column(name, justify="right")
    for name, row in dimensions.items():
        goal = GOALS.get(name, 1.0)
        judge = row["judge_on_renders"]
        doubt = "" if judge is None or judge >= TRUSTED else " (not to be trusted)"
        table.add_row(
            name,
            _marked(row["seen"], goal),
            _marked(row["unseen"], goal),
            str(row["n"]),
            _percent(goal),
            _percent(judge) + doubt,
            _percent(row["judge_on_reconstructions"]),
        )
    return table


def _words(words: dict[str, Any]) -> Table:
    table = Table(title="Words never seen in training, against their seen synonyms")
    for name in ("seen words", "held-out words", "ratio", "pairs"):
        table.add_column(name, justify="right")
    table.add_row(
        _percent(words["seen_words"]),
        _percent(words["held_out_words"]),
        _percent(words["ratio"]),
        str(words["n"]),
    )
    return table


def _codec(codec: dict[str, dict[str, Any]]) -> Table:
    table = Table(title="The codec on held-out scenes (dB)")
    table.add_column("style")
    for name in ("all pixels", "actors weighted", "actors alone"):
        table.add_column(name, justify="right")
    for style, row in codec.items():
        figures = (row["psnr"], row["psnr_weighted"], row["psnr_actors"])
        table.add_row(style, *(f"{figure:.1f}" for figure in figures))
    return table


_TASKS = {
    "given": "What was given, in the result",
    "settled": "What follows from it",
    "seams": "Seams",
    "minute": "A minute",
    "shots": "Several shots",
    "sizes": "Native sizes",
    "characters": "Characters: who was shown is who is seen",
}


def task_tables(result: dict[str, Any]) -> Group:
    """The tables of a result of `tasks.evaluate_tasks`."""
    parts: list[Table | Text] = []
    for group, title in _TASKS.items():
        figures = [figure for figure in result["tasks"] if figure["group"] == group]
        if figures:
            parts.append(_figures(title, figures))
    settings = result["settings"]
    steps = f"{settings['steps']} steps" if settings["steps"] else "the model's own steps"
    parts.append(Text(f"{steps}; took {result['seconds']:.0f} s", style="dim"))
    return Group(*parts)


def _figures(title: str, figures: list[dict[str, Any]]) -> Table:
    table = Table(title=title)
    table.add_column("figure")
    for name in ("value", "target", "reached", "n"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("note", style="dim")
    words = {True: Text("yes", style="green"), False: Text("no", style="yellow"), None: Text("")}
    for figure in figures:
        sign = "≥" if figure["at_least"] else "≤"
        target, value = figure["target"], figure["value"]
        table.add_row(
            figure["name"],
            "–" if value is None else f"{value:g} {figure['unit']}",
            "" if target is None else f"{sign} {target:g} {figure['unit']}",
            words[figure["reached"]],
            str(figure["n"]),
            figure["note"],
        )
    return table
