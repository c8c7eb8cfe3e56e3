"""`inspect`: was a file made by us, and is it as it was made? For any file, whatever is in it.

Evidence in the order of its strength: manifest, watermark, fingerprint, detector. A manifest that
holds proves both; one that does not hold proves that something was changed after signing, and
nothing about what is there now, for a manifest can be put onto any file. None at all proves
nothing. What the pictures say is in seen.py. The recipe in the remark anybody can write.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worldreel.errors import shown
from worldreel.provenance.authority import anchors
from worldreel.provenance.evidence import DETECTOR, NO, UNKNOWN, YES, Evidence
from worldreel.provenance.ingredients import kind_of
from worldreel.provenance.process import answers
from worldreel.provenance.reading import Manifest, check_file, found
from worldreel.provenance.store import Settings

if TYPE_CHECKING:
    from worldreel.provenance.recovery import Recovered
    from worldreel.provenance.seen import Seen

__all__ = ["Evidence", "Report", "inspect"]

_CODES = {
    "assertion.bmffHash.mismatch": "the video differs from what was signed",
    "assertion.dataHash.mismatch": "the file differs from what was signed",
    "assertion.boxesHash.mismatch": "the file differs from what was signed",
    "claimSignature.mismatch": "the claim was changed after it was signed",
    "claimSignature.missing": "the signature was taken away",
    "signingCredential.expired": "the signer's certificate had expired",
    "signingCredential.invalid": "the signer's certificate is not fit for signing",
}
_PART = {
    "assertion.hashedURI.mismatch": "the statement {} was changed after it was signed",
    "hashedURI.mismatch": "the part {} was changed after it was signed",
    "assertion.missing": "the statement {} was taken away",
    "hashedURI.missing": "the part {} was taken away",
}


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a file tells about itself.

    `state` is trusted, valid, tampered, damaged (see reading.py) or none; `changes` says what was
    changed, a sentence each; `recipe` is the remark's if the file holds (it has the prompt), else
    the manifest's, else that of the video in the local store that it is, else what the remark
    claims; `recovered` that video, if watermark or fingerprint know it.
    """

    file: str
    kind: str
    bytes: int
    state: str
    evidence: tuple[Evidence, ...]
    changes: tuple[str, ...]
    recipe: Mapping[str, Any] | None
    manifest: Manifest | None
    recovered: Recovered | None = None

    @property
    def answer(self) -> str:
        """Made by us? The first yes or no among the evidence; unknown if there is none. The
        detector advises, and does not count."""
        told = (e.answer for e in self.evidence if e.source != DETECTOR)
        return next((answer for answer in told if answer != UNKNOWN), UNKNOWN)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON values (of the manifest what is told of it, not the whole)."""
        values: dict[str, Any] = {
            "file": self.file,
            "kind": self.kind,
            "bytes": self.bytes,
            "made_by_us": self.answer,
            "state": self.state,
            "evidence": [asdict(one) for one in self.evidence],
            "changes": list(self.changes),
            "recipe": self.recipe,
        }
        if (known := self.recovered) is not None:
            values["recovered"] = {
                "by": known.how,
                "id": f"{known.word:016x}",
                "false_positive_rate": known.rate,
                "distance": known.distance,
                "manifest_bytes": len(known.manifest or b""),
            }
        if (found := self.manifest) is not None:
            values |= {
                "signer": found.signer,
                "issuer": found.issuer,
                "stamped": found.stamped,
                "generator": found.generator,
                "actions": [one.get("action") for one in found.actions],
                "ingredients": [
                    {"relationship": one.get("relationship"), "title": one.get("dc:title")}
                    for one in found.ingredients
                ],
                "off": list(found.off),
                "failures": [{"code": code, "part": part} for code, part in found.failures],
                "unhashed": [asdict(one) for one in found.unhashed],
            }
        return values


def inspect(path: str | Path, *, settings: Settings | None = None, pictures: bool = True) -> Report:
    """What can be said of the file `path`, which may be anything.

    Without `pictures` only what is written in the file is read, which takes a fraction of a second;
    what they show takes one to ten. Raises `MediaError` only if there is no such file or it may not
    be opened.
    """
    file = Path(path)
    check_file(file)
    with file.open("rb") as stream:
        kind, size = kind_of(stream.read(12)), stream.seek(0, 2)
    trusted = anchors(settings or Settings.load())
    ask = {"path": str(file), "anchors": trusted}
    read, remark = answers([ask | {"do": "read"}, ask | {"do": "remark"}])
    recipe = remark.get("recipe")
    manifest = None if "error" in read or "none" in read else found(read)
    state = manifest.state if manifest is not None else "damaged" if "error" in read else "none"
    looked = _looked(file) if pictures else None
    known = looked.recovered if looked is not None else None
    evidence = (_evidence(state, manifest, read), *(looked.evidence if looked is not None else ()))
    return Report(
        file=str(file),
        kind=kind,
        bytes=size,
        state=state,
        evidence=(*evidence, _claimed(recipe)),
        changes=_changes(manifest, recipe, file) if manifest and state == "tampered" else (),
        recipe=_recipe(state, manifest, recipe, known),
        manifest=manifest,
        recovered=known,
    )


def _looked(file: Path) -> Seen:
    from worldreel.provenance.seen import seen  # only who looks at pictures waits for torch

    return seen(file)


def _recipe(
    state: str, manifest: Manifest | None, remark: Any, known: Recovered | None
) -> Mapping[str, Any] | None:
    """The fullest recipe that may be believed: the remark's was signed with the file."""
    own = remark if isinstance(remark, dict) else None
    if own is not None and state in ("trusted", "valid"):
        return own
    if manifest is not None and manifest.recipe is not None:
        return manifest.recipe
    return known.recipe if known is not None else own


def _evidence(state: str, manifest: Manifest | None, read: Mapping[str, Any]) -> Evidence:
    """What the manifest answers."""
    if manifest is None:
        return Evidence(source="manifest", answer=UNKNOWN, why=_absent(read))
    who = shown(manifest.signer, limit=60)
    by = shown(manifest.generator or "something else", limit=60)
    if state == "trusted" and manifest.ours:
        return _said(YES, f"signed by {who}, whom this machine trusts, and unchanged since")
    if state in ("trusted", "valid") and manifest.from_ours:
        return _said(UNKNOWN, f"by the words of {who} made by {by} from a file of ours")
    if state == "trusted":
        return _said(NO, f"made by {by}, as {who} signed, whom this machine trusts")
    if state == "valid":
        # Anybody can sign anything as made by a camera: no proof against us either.
        why = f"made by {by} and unchanged since {who} signed it, for whom nobody here vouches"
        return _said(UNKNOWN, why)
    if state == "tampered":
        return _said(UNKNOWN, f"tampered with: it is not what was signed (it names {who})")
    codes = ", ".join(dict.fromkeys(code for code, _ in manifest.failures)) or "no reason is given"
    return _said(UNKNOWN, f"there is a manifest, and it does not hold ({shown(codes, limit=120)})")


def _said(answer: str, why: str) -> Evidence:
    return Evidence(source="manifest", answer=answer, why=why)


def _absent(read: Mapping[str, Any]) -> str:
    if "error" in read:
        return f"a manifest cannot be read from it ({shown(read['error'], limit=160)})"
    if "remote" in read:
        where = shown(read["remote"], limit=120)
        return f"it only names one elsewhere, which is not fetched ({where})"
    if "unsupported" in read:
        return "a file of this kind holds no manifest"
    return "it has none, which proves nothing: anybody can take it off"


def _claimed(recipe: Any) -> Evidence:
    why = "the remark in the file holds a recipe of ours, which anybody can write"
    if not isinstance(recipe, dict):
        why = "the file holds no recipe of ours"
    return Evidence(source="remark", answer=UNKNOWN, why=why)


def _changes(manifest: Manifest, recipe: Any, file: Path) -> tuple[str, ...]:
    """What was changed, as far as it can be told."""
    told = []
    for code, part in manifest.failures:
        form = _CODES.get(code) or _PART.get(code, f"{shown(code)}: {{}}")
        told.append(form.format(shown(part)))
    signed = manifest.signed
    holds = answers([{"do": "measure", "path": str(file)}])[0] if signed else {}
    for name in ("frames", "width", "height"):
        if name in signed and holds.get(name, signed[name]) != signed[name]:
            told.append(f"the {name}: signed were {signed[name]}, here are {holds[name]}")
    if manifest.recipe is not None and isinstance(recipe, dict):
        keys = ("seed", "created", "latents", "weights_sha256")
        if any(manifest.recipe.get(key) != recipe.get(key) for key in keys):
            told.append("the manifest is that of another file: their recipes differ")
    return tuple(dict.fromkeys(told))
