"""Progress and time left on stderr, only where a person is watching."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

__all__ = ["Bar", "bar", "span"]


class Bar(Protocol):
    """Takes the share that is done, what is being done, and the seconds left if known."""

    def __call__(self, share: float, doing: str, remaining: float | None = None) -> None: ...


@contextmanager
def bar(title: str) -> Iterator[Bar]:
    """A bar that vanishes when the block ends; silent where stderr is no terminal."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("[dim]{task.fields[left]}"),
    )
    quiet = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=quiet) as progress:
        task = progress.add_task(escape(title), total=1.0, left="")

        def show(share: float, doing: str, remaining: float | None = None) -> None:
            left = "" if remaining is None else f"{span(remaining)} left"
            progress.update(task, completed=share, description=escape(doing), left=left)

        yield show


def span(seconds: float) -> str:
    """A duration as people say it: "8 s", "2 min 05 s", "1 h 03 min"."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"
