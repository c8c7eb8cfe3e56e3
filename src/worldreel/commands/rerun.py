"""`worldreel recipe` and `worldreel rerun`: how a video was made, and the same video again."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from worldreel.commands.generate import make, tell
from worldreel.commands.naming import free
from worldreel.errors import WeightsError, message
from worldreel.recipe import Recipe, extract

__all__ = ["recipe", "rerun"]


def recipe(arguments: argparse.Namespace) -> None:
    """Print the recipe as JSON, just as `rerun` would read it."""
    print(Recipe.from_dict(extract(arguments.file)).to_json())


def rerun(arguments: argparse.Namespace) -> None:
    """Follow the recipe of a file; refuses other weights unless told otherwise."""
    found = Recipe.from_dict(extract(arguments.file))
    request = found.request()
    if arguments.model is not None:
        request = replace(request, model=arguments.model)
    source = Path(arguments.file)
    output = Path(arguments.output) if arguments.output else free(source)

    from worldreel.generator import Generator
    from worldreel.video import check_output

    check_output(output)
    generator = Generator.load(request.model)
    if generator.model.sha256 != found.weights_sha256:
        came = f"{source.name} was made with other weights than {request.model} has now"
        if not arguments.other_weights:
            raise WeightsError(message(came, "give --other-weights for a different video"))
        print(f"worldreel: {came}; the frames will differ.", file=sys.stderr)
    tell(make(generator, request, output), as_json=arguments.json)
