"""The world that the shipped model and its judges know."""

from __future__ import annotations

from dataclasses import replace

from worldreel.world.config import WorldConfig


def judged_world() -> WorldConfig:
    """25 actors, 8 places, clear weather, day, dusk and night, at most two actors."""
    return replace(WorldConfig.small(), weathers=("clear",))
