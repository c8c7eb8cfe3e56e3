"""What is kept of a long video while it is made, so that an interruption costs one window.

One file beside the result: the latents so far, how many windows are done, and a fingerprint of
the request and the weights. The same request goes on from there; another one starts over.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from worldreel.request import Request


class Unfinished:
    """The file `path`; `latents` and `done` windows are what it held when a request began."""

    def __init__(self, path: Path, weights_sha256: str) -> None:
        self.path, self.weights = path, weights_sha256
        self.latents: Tensor | None = None
        self.done = 0
        self._told: dict[str, str] = {}
        self._tensor: Tensor | None = None
        with suppress(OSError, SafetensorError), safe_open(str(path), framework="pt") as file:
            self._told = file.metadata() or {}
            self._tensor = file.get_tensor("latents")

    def seed(self, request: Request) -> int | None:
        """The seed that the interrupted run of a request without one had drawn."""
        if self._told.get("request") != self._print(request):
            return None
        with suppress(ValueError):
            return int(self._told.get("seed", ""))
        return None

    def begin(self, request: Request, canvas: Tensor) -> None:
        """Takes up what is there if it is of this request, seed and canvas."""
        same = self._told.get("request") == self._print(request)
        same = same and self._told.get("seed") == str(request.seed)
        if same and self._tensor is not None and self._tensor.shape == canvas.shape:
            self.latents = self._tensor
            with suppress(ValueError):
                self.done = int(self._told.get("done", "0"))
        self._told = {
            "request": self._print(request),
            "seed": str(request.seed),
        }

    def save(self, latents: Tensor, done: int) -> None:
        """Keeps the latents after `done` windows; a full disk is no reason to stop."""
        beside = self.path.with_name(self.path.name + ".part")
        with suppress(OSError):
            save_file(
                {"latents": latents.cpu().contiguous()},
                str(beside),
                metadata={**self._told, "done": str(done)},
            )
            os.replace(beside, self.path)

    def end(self) -> None:
        """The video is finished: nothing is kept."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _print(self, request: Request) -> str:
        """A fingerprint of all but the seed, which may have been drawn."""
        values: dict[str, Any] = {}
        for entry in fields(request):
            if entry.name == "known":
                values["known"] = [
                    (k.sha256, k.at, k.noise_level, k.span, len(k.clip)) for k in request.known
                ]
            elif entry.name == "shots":
                values["shots"] = [(s.prompt, s.seconds) for s in request.shots]
            elif entry.name == "loras":
                values["loras"] = [(x.sha256, x.weight, x.part) for x in request.loras]
            elif entry.name == "cast":
                values["cast"] = [
                    (m.name, m.about, m.known.sha256, len(m.known.clip)) for m in request.cast
                ]
            elif entry.name != "seed":
                values[entry.name] = getattr(request, entry.name)
        text = json.dumps([self.weights, values], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()
