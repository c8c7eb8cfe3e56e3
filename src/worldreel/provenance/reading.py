"""The manifest of a file, as far as it can be believed.

trusted   signed by somebody we trust (this machine), and the file is as it was signed
valid     the same, signed by somebody we know nothing of
tampered  the file or the manifest is not what was signed
damaged   there is a manifest, and it cannot be checked
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from worldreel.errors import MediaError, message, shown
from worldreel.provenance.authority import anchors
from worldreel.provenance.claim import GENERATOR, RECIPE
from worldreel.provenance.process import answers
from worldreel.provenance.store import Settings
from worldreel.provenance.unhashed import Unhashed

__all__ = ["Manifest", "check_file", "found", "read"]

_MISSING = ("claimSignature.missing", "assertion.missing", "hashedURI.missing")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The active manifest of a file.

    `state` is one of trusted, valid, tampered, damaged; `failures` are C2PA's codes with the part
    that each is about; `recipe` is what it says of how the file was made (without the prompt, if
    that was withheld); `signed` the width, height and frames then; `crjson` the whole, as the
    standard lays it out.
    """

    state: str
    label: str
    generator: str
    signer: str
    issuer: str
    stamped: str
    actions: tuple[Mapping[str, Any], ...]
    ingredients: tuple[Mapping[str, Any], ...]
    recipe: Mapping[str, Any] | None
    signed: Mapping[str, int]
    off: tuple[str, ...]
    failures: tuple[tuple[str, str], ...]
    unhashed: tuple[Unhashed, ...]
    crjson: Mapping[str, Any] = field(repr=False)

    @property
    def ours(self) -> bool:
        """Whether it says that worldreel made the file."""
        return _worldreel(self.generator) and self.recipe is not None

    @property
    def from_ours(self) -> bool:
        """Whether it says so of a file that this one was made from, directly or not."""
        return any(
            _worldreel(_generator(_claim(_table(one)).get("claim_generator_info")))
            for one in _items(self.crjson.get("manifests"))[1:]
        )


def read(path: str | Path, *, settings: Settings | None = None) -> Manifest | None:
    """The manifest in `path`, checked; None if it has none.

    Raises `MediaError` if there is no such file, or its manifest cannot be understood at all.
    """
    file = Path(path)
    check_file(file)
    trusted = anchors(settings or Settings.load())
    answer = answers([{"do": "read", "path": str(file), "anchors": trusted}])[0]
    if "error" in answer:
        came = f"the manifest of {shown(file.name)} cannot be read"
        raise MediaError(message(came, shown(answer["error"], limit=160).strip('"')))
    return None if "none" in answer else found(answer)


def check_file(file: Path) -> None:
    """Raise `MediaError` if `file` is no file that can be opened."""
    try:
        if not file.is_file():
            came = f"there is no file {shown(str(file), limit=200)}"
            raise MediaError(message(came, "give a picture or video"))
        with file.open("rb"):
            pass
    except (OSError, ValueError) as error:
        if isinstance(error, MediaError):
            raise
        came = f"{shown(str(file), limit=200)} cannot be opened"
        raise MediaError(message(came, "give a file that you may read")) from error


def found(answer: Mapping[str, Any]) -> Manifest:
    """The manifest in an answer of the worker; whatever is missing or odd in it is left empty."""
    whole = json.loads(answer["crjson"])
    active = _table(_items(_table(whole).get("manifests"))[:1])
    assertions = _table(active.get("assertions"))
    claim = _claim(active)
    signature = _table(active.get("signature"))
    certificate = _table(signature.get("certificateInfo"))
    told = _table(assertions.get(RECIPE))
    results = _table(active.get("validationResults"))
    failures = tuple(
        (str(one.get("code")), str(one.get("url", "")).rpartition("/")[2])
        for one in map(_table, _items(results.get("failure")))
    )
    failures += tuple(("assertion.hashedURI.mismatch", str(x)) for x in answer.get("altered", []))
    recipe = told.get("recipe")
    return Manifest(
        state=_state(str(answer.get("state")), [code for code, _ in failures]),
        label=str(active.get("label", "")),
        generator=_generator(claim.get("claim_generator_info")),
        signer=_name(certificate.get("subject")),
        issuer=_name(certificate.get("issuer")),
        stamped=str(_table(signature.get("timeStampInfo")).get("timestamp", "")),
        actions=_actions(assertions),
        ingredients=tuple(
            _table(data) for label, data in assertions.items() if "c2pa.ingredient" in label
        ),
        recipe=recipe if isinstance(recipe, dict) else None,
        signed={k: told[k] for k in ("width", "height", "frames") if type(told.get(k)) is int},
        off=tuple(str(name) for name in _items(told.get("off"))),
        failures=failures,
        unhashed=tuple(
            Unhashed(start=start, length=length, what=what)
            for start, length, what in answer.get("unhashed", [])
        ),
        crjson=_table(whole),
    )


def _claim(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    return _table(manifest.get("claim.v2")) or _table(manifest.get("claim"))


def _worldreel(generator: str) -> bool:
    return generator.split(" ")[0] == GENERATOR


def _state(state: str, codes: list[str]) -> str:
    changed = any(code.endswith("ismatch") or code in _MISSING for code in codes)
    if state in ("Trusted", "Valid") and not changed:
        return state.lower()
    return "tampered" if changed else "damaged"


def _actions(assertions: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    lists = [_table(data) for label, data in assertions.items() if "c2pa.actions" in label]
    return tuple(_table(one) for data in lists for one in _items(data.get("actions")))


def _generator(info: Any) -> str:
    told = _table(info if not isinstance(info, list) else info[:1])
    return f"{told.get('name', '')} {told.get('version', '')}".strip()


def _name(entry: Any) -> str:
    """A certificate's name: CN, else O."""
    names = _table(entry)
    return str(names.get("CN") or names.get("O") or "")


def _table(value: Any) -> Mapping[str, Any]:
    """`value` if it is an object, the first of a list of them, else an empty one."""
    if isinstance(value, list) and value:
        value = value[0]
    return value if isinstance(value, dict) else {}


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
