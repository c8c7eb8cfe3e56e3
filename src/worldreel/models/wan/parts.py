"""One of our tensors, and those of a foreign file that it is made of.

A whole layout is a table `our name → Part`. Because a part says which tensors it needs and of
what shape, a file is checked against the table before anything is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Part:
    """`make` takes the tensors of `sources` (name, shape), in order, and gives ours."""

    sources: tuple[tuple[str, Shape], ...]
    make: Callable[..., Tensor]


Table = dict[str, Part]


def needed(table: Table) -> Iterator[tuple[str, Shape]]:
    """Names and shapes of all tensors that a table is made of."""
    for part in table.values():
        yield from part.sources


def same(name: str, shape: Shape) -> Part:
    """A tensor as it is."""
    return Part(sources=((name, shape),), make=lambda x: x)


def flat(name: str, shape: Shape, first: int) -> Part:
    """A tensor whose axes from `first` on are one of ours."""
    return Part(sources=((name, shape),), make=lambda x: x.flatten(first))


def joined(*sources: tuple[str, Shape]) -> Part:
    """Several tensors, one below the other."""
    return Part(sources=sources, make=lambda *parts: torch.cat(parts))
