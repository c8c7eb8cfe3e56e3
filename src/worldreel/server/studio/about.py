"""What the pages need to know of this server: its models, what they make, and who is asking."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import worldreel
from worldreel.server.keys import LOCAL
from worldreel.server.settings import Settings
from worldreel.server.state import Server

__all__ = ["OPERATOR", "about", "is_operator", "model_card"]

OPERATOR = "operator"
"""With keys, who holds a key of this name sees the operator's page; without keys everybody is."""

EXAMPLES = (
    "a penguin waddles across the snow at night",
    "a red car drives along the beach at sunset",
    "a white rabbit hops through a green forest",
    "a little yellow fish swims to the left under the sea",
    "a pink balloon floats up over the mountains",
    "an elephant walks in the desert at sunset, the camera follows",
    "a rocket flies among the stars",
    "a ufo hovers over a meadow at night, slow zoom in",
)
STYLES = ("film grain", "black and white", "watercolour", "step-printing")
_LONGEST = 120.0
_ASK = """
import json, sys
from dataclasses import asdict
from worldreel.models.load import settings_of
print(json.dumps(asdict(settings_of(sys.argv[1]))))
"""


def about(server: Server, owner: str) -> dict[str, Any]:
    """For the pages' first request."""
    settings = server.settings
    return {
        "version": worldreel.__version__,
        "models": [model_card(name) for name in settings.models],
        "keys": settings.keys,
        "operator": is_operator(server, owner),
        "examples": list(EXAMPLES),
        "styles": list(STYLES),
        "longest": _LONGEST,
        "upload": settings.upload,
    }


def is_operator(server: Server, owner: str) -> bool:
    """Whether somebody may see what others reported."""
    if owner == LOCAL:
        return True
    return any(name == owner and person == OPERATOR for name, person in server.keys.names())


@lru_cache(maxsize=16)
def model_card(name: str) -> dict[str, Any]:
    """What a model makes: sizes, rate, steps. Asked in a process of its own, so that the server
    stays free of torch; of our own model the file says it."""
    told: dict[str, Any] = {}
    card = Path(worldreel.__file__).parent / "models" / "assets" / name / "model.json"
    with suppress(OSError, ValueError, KeyError, subprocess.SubprocessError):
        if name == Path(name).name and card.is_file():
            told = json.loads(card.read_text(encoding="utf-8"))["settings"]
        else:
            command = [sys.executable, "-P", "-c", _ASK, name]
            ended = subprocess.run(command, capture_output=True, timeout=60, check=True)
            told = json.loads(ended.stdout)
    wanted = ("natives", "fps", "seconds", "longest", "steps", "guidance")
    return {"id": name} | {key: told.get(key) for key in wanted}


def usual_steps(settings: Settings, engine: str) -> int | None:
    """The steps of a job that names none."""
    steps = model_card(engine).get("steps") if engine in settings.models else None
    return int(steps) if steps else None
