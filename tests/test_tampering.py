"""Signed files that were changed afterwards, in every way that we could think of: all are noticed.

The oracle of a flip is the byte itself: whatever lies outside the ranges that the report lists as
unhashed must be noticed. The oracle of a manifest's form is the C2PA's own conformance rubric
(tests/data/c2pa, CC BY 4.0), by hand in Python and, where it is installed, by json-formula.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
import subprocess
from argparse import Namespace
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import av
import pytest
import torch
import yaml

from worldreel.commands.inspect import inspect_files
from worldreel.errors import MediaError
from worldreel.provenance import Ingredient, Settings, Watermark, read, sign
from worldreel.provenance import inspect as inspect_all
from worldreel.provenance.authority import anchors
from worldreel.provenance.process import BROKEN, answers
from worldreel.provenance.reading import found
from worldreel.provenance.unhashed import place
from worldreel.provenance.worker import done
from worldreel.recipe import Recipe
from worldreel.video import Video, save_image

DATA = Path(__file__).parent / "data" / "c2pa"
SUFFIXES = ("mp4", "webp", "gif", "png", "jpg")
MARK = Watermark(algorithm="org.worldreel.watermark.1", value="00" * 12)


inspect = partial(inspect_all, pictures=False)


def recipe(seed: int) -> dict[str, Any]:
    return Recipe(
        model="embedded",
        weights_sha256="0" * 64,
        prompt="a red ball",
        seed=seed,
        seconds=1.0,
        width=32,
        height=32,
        native_width=32,
        native_height=32,
        fps=12.0,
        steps=8,
        guidance=3.0,
        version="0.2",
        created="2026-11-22T12:00:00+00:00",
    ).to_dict()


def make(path: Path, seed: int = 1, *, marked: bool = True, **how: Any) -> Path:
    """A signed file of ours."""
    count = 12 if path.suffix in (".mp4", ".gif", ".webp") else 1
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 3, 3, 3, generator=generator)
    fine = torch.nn.functional.interpolate(coarse, size=(count, 32, 32), mode="trilinear")[0]
    pixels = fine.permute(1, 2, 3, 0).mul(255).to(torch.uint8).contiguous()
    video = Video(pixels, fps=12.0, recipe=recipe(seed))
    if path.suffix == ".jpg":
        save_image(video.to_pil()[0], path)
    else:
        video.save(path)
    sign(path, recipe(seed), **({"created": True, "watermark": MARK if marked else None} | how))
    return path


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A local store of these tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORLDREEL_HOME", str(tmp_path_factory.mktemp("store")))
        yield


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Signed files of ours: one of every format, and a clip made from another."""
    folder = tmp_path_factory.mktemp("ours")
    files = {suffix: make(folder / f"a.{suffix}") for suffix in SUFFIXES}
    parts = (
        Ingredient(relationship="parentOf", path=files["mp4"]),
        Ingredient(relationship="inputTo", path=files["png"]),
        Ingredient(relationship="componentOf", path=files["webp"]),
    )
    files["edited"] = make(folder / "edited.mp4", 2, created=False, ingredients=parts, marked=False)
    return files


def looked(path: Path) -> dict[str, Any]:
    """What the worker answers, asked in this process: thousands of times is quick."""
    return done({"do": "read", "path": str(path), "anchors": anchors(Settings())})


def holds(path: Path) -> bool:
    """Whether the file reads as it was signed."""
    answer = looked(path)
    return "crjson" in answer and found(answer).state == "trusted"


def rubric() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    head, checks = yaml.safe_load_all((DATA / "c2pa-rubric-0.2-spec2.4.yml").read_text("utf-8"))
    return head, checks


def by_hand(asset: dict[str, Any], names: dict[str, list[str]]) -> dict[str, bool]:
    """Each check of the rubric in Python: its id without "validation:" → passed."""
    one = asset["manifests"][0]
    said: dict[str, Any] = one["assertions"]
    claim = one["claim.v2"]
    tables = [data for data in said.values() if isinstance(data, dict)]
    lists = [data for data in tables if "actions" in data]
    actions = [action for data in lists for action in data["actions"]]
    standard = [a for a in actions if a["action"].startswith("c2pa.")]
    ingredients = [data for data in tables if "relationship" in data]
    failures = {failure["code"] for failure in one["validationResults"]["failure"]}
    parameters = [name for a in actions for name in a.get("parameters", {})]
    listed = [c["url"] for c in claim["created_assertions"] if "c2pa.actions" in c["url"]]
    exempt = {n for k in ("inception", "non_editorial") for n in names[f"${k}_actions"]}
    exempt |= set(names["$dst_exempt_perceptible_actions"])
    base = {label.split("__")[0] for label in said if label.startswith("c2pa.")}
    known = {*names["$allowed_assertions"], *names["$deprecated_assertion_labels"]}
    version = claim["claim_generator_info"].get("specVersion", "")
    opened = [a for a in actions if a["action"] == "c2pa.opened"]
    source = "digitalSourceType"
    present = bool(one["validationResults"])
    return {
        "mandatory_dst_for_perceptible_transformations": all(
            source in a or a["action"] in exempt for a in standard
        ),
        "mandatory_spec_version": version.split(".")[:2] == ["2", "4"],
        "mandatory_all_actions_included": all("allActionsIncluded" in d for d in lists),
        "no_dst_for_opened_action": all(source not in a for a in opened),
        "well_formed_data_present": present,
        "well_formed_success": not failures & set(names["$well_formed_error_codes"]),
        "valid_data_present": present,
        "valid_success": not failures & set(names["$valid_error_codes"]),
        "inception_action_position": listed[0].endswith("c2pa.actions.v2")
        and actions[0]["action"] in ("c2pa.created", "c2pa.opened"),
        "no_deprecated_assertions": not set(said) & set(names["$deprecated_assertion_labels"])
        and not any(label.startswith("stds.") for label in said),
        "no_unsupported_assertions": base <= known,
        "no_deprecated_actions": not {a["action"] for a in actions}
        & set(names["$deprecated_action_labels"]),
        "no_unsupported_actions": {a["action"] for a in standard} <= set(names["$allowed_actions"]),
        "no_unrecognized_custom_assertions": all("." in label for label in said),
        "no_unrecognized_custom_actions": all("." in a["action"] for a in actions),
        "no_unrecognized_custom_action_parameters": all(
            name in names["$standard_parameters"] or "." in name for name in parameters
        ),
        "discouraged_legacy_action_parameters": not {"description", "ingredient"} & set(parameters),
        "active_manifest_urn": one["label"].startswith("urn:c2pa:"),
        "review_ratings_datasource": not any("reviewRatings" in data for data in tables),
        "ingredient_v3_no_active_manifest": all(
            "activeManifest" in i or "validationResults" not in i for i in ingredients
        ),
        "ingredient_v3_mandatory_validation_results": all(
            "activeManifest" not in i or "validationResults" in i for i in ingredients
        ),
        "ingredient_relationship_values": {i["relationship"] for i in ingredients}
        <= set(names["$valid_relationship_values"]),
        "mandatory_dst_for_created_action": all(
            source in a for a in actions if a["action"] == "c2pa.created"
        ),
        "no_deprecated_claim_fields": "specVersion" not in claim,
        "ingredient_v3_choice": not any("activeManifest" in i and source in i for i in ingredients),
        "alternative_content_representation_choice": "exif.originalPreservationImage"
        not in json.dumps(tables),
        "forbidden_labels_in_external_references": not any(
            "label" in d and "url" in d and "relationship" not in d for d in tables
        ),
        "no_url_in_hashes": not any(
            "url" in said.get(label, {}) for label in ("c2pa.hash.data", "c2pa.hash.bmff.v3")
        ),
        "all_actions_included_opened": len(actions) != 1
        or not opened
        or lists[0]["allActionsIncluded"] is True,
        "opened_action_ingredient_reference": all(
            len(a.get("parameters", {}).get("ingredients", [])) == 1 for a in opened
        ),
        "no_box_hash_for_tiff": "c2pa.hash.boxes" not in said,
    }


def test_all_checks_of_the_rubric_pass(ours: dict[str, Path]) -> None:
    head, checks = rubric()
    for name, path in ours.items():
        results = by_hand(json.loads(looked(path)["crjson"]), head["variables"])
        assert {f"validation:{key}" for key in results} == {check["id"] for check in checks}
        assert len(results) == 31 and all(results.values()), (name, results)


def test_the_rubric_by_hand_can_fail(ours: dict[str, Path]) -> None:
    names = rubric()[0]["variables"]
    asset = json.loads(looked(ours["edited"])["crjson"])
    one = asset["manifests"][0]
    actions = one["assertions"]["c2pa.actions.v2"]
    one["claim.v2"]["claim_generator_info"]["specVersion"] = "2.3.0"
    del actions["allActionsIncluded"], actions["actions"][1]["digitalSourceType"]
    actions["actions"].append({"action": "c2pa.saved", "parameters": {"description": "x"}})
    one["assertions"]["loose"] = {}
    one["label"] = "urn:uuid:1"
    failed = {name for name, passed in by_hand(asset, names).items() if not passed}
    assert failed == {
        "mandatory_spec_version",
        "mandatory_all_actions_included",
        "mandatory_dst_for_perceptible_transformations",
        "no_deprecated_actions",
        "no_unsupported_actions",
        "no_unrecognized_custom_assertions",
        "discouraged_legacy_action_parameters",
        "active_manifest_urn",
    }


@pytest.mark.slow
def test_all_checks_of_the_rubric_pass_by_json_formula(ours: dict[str, Path]) -> None:
    """Needs node and the package: WORLDREEL_JSON_FORMULA=…/node_modules/@adobe/json-formula."""
    package, node = os.environ.get("WORLDREEL_JSON_FORMULA"), shutil.which("node")
    if not package or not node:
        pytest.skip("needs node and @adobe/json-formula")
    head, checks = rubric()
    assets = {name: json.loads(looked(path)["crjson"]) for name, path in ours.items()}
    asked = {"rubric": head, "checks": checks, "assets": assets}
    ended = subprocess.run(
        [node, str(DATA / "rubric.mjs"), package],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
    )
    for name, results in json.loads(ended.stdout).items():
        for check in checks:
            matched = check.get("failIfMatched") or check.get("warnIfMatched")
            result = results[check["id"]]
            assert result in ([], False, None) if matched else result is True, (name, check["id"])


def flips(path: Path, positions: list[int], chance: random.Random, folder: Path) -> list[int]:
    """Of the positions outside what is listed as unhashed, those where a flip went unnoticed."""
    data, listed = path.read_bytes(), looked(path)["unhashed"]
    free = {at for start, length, _ in listed for at in range(start, start + length)}
    target, missed = folder / f"flipped{path.suffix}", []
    for at in positions:
        if at not in free:
            changed = bytearray(data)
            changed[at] ^= chance.choice([1 << bit for bit in range(8)] + [255])
            target.write_bytes(changed)
            if holds(target):
                missed.append(at)
    return missed


@pytest.mark.parametrize("name", [*SUFFIXES, "edited"])
def test_a_flip_of_any_hashed_byte_is_noticed(
    name: str, ours: dict[str, Path], tmp_path: Path
) -> None:
    chance = random.Random(name)
    size = ours[name].stat().st_size
    assert flips(ours[name], chance.sample(range(size), 60), chance, tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", [*SUFFIXES, "edited"])
def test_thousands_of_flips_are_noticed(name: str, ours: dict[str, Path], tmp_path: Path) -> None:
    chance = random.Random(name)
    start, length = manifest_of(ours[name])
    every = list(range(max(0, start - 64), start + length + 64))
    every += chance.sample(range(ours[name].stat().st_size), 600)
    every = [at for at in every if at < ours[name].stat().st_size]
    every = chance.sample(every, min(3000, len(every)))
    assert flips(ours[name], every, chance, tmp_path) == []


def manifest_of(path: Path) -> tuple[int, int]:
    """Where the bytes of the manifest are."""
    active = json.loads(looked(path)["crjson"])["manifests"][0]
    with path.open("rb") as file:
        where = place(file, active)
    assert where is not None
    return where


def test_what_is_listed_as_unhashed_is_little_and_named(ours: dict[str, Path]) -> None:
    for name in SUFFIXES:
        listed = inspect(ours[name]).manifest.unhashed  # type: ignore[union-attr]
        start, length = manifest_of(ours[name])
        outside = [u for u in listed if not start <= u.start < start + length]
        boxes = ["box free", "box ftyp"] if name == "mp4" else []
        assert sorted(u.what for u in outside) == boxes
        inside = sum(u.length for u in listed) - sum(u.length for u in outside)
        assert 1000 < inside < 1400, "of the manifest its frames and the room in its signature"


def transplanted(donor: Path, path: Path) -> bytes:
    """The bytes of `path` with the manifest of `donor` in the place of its own."""
    start, length = manifest_of(path)
    from_, count = manifest_of(donor)
    data = path.read_bytes()
    assert count == length, "the same sizes, so that no offset must change"
    return data[:start] + donor.read_bytes()[from_ : from_ + count] + data[start + length :]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_manifest_of_another_file_is_called_that(
    suffix: str, ours: dict[str, Path], tmp_path: Path
) -> None:
    other = make(tmp_path / f"b.{suffix}", seed=2)
    path = tmp_path / f"mixed.{suffix}"
    path.write_bytes(transplanted(ours[suffix], other))
    report = inspect(path)
    assert (report.state, report.answer) == ("tampered", "unknown")
    differs = any("differs from what was signed" in change for change in report.changes)
    assert differs or suffix == "jpg"
    if suffix != "jpg":
        assert any("that of another file" in change for change in report.changes)


def cut_mp4(path: Path, target: Path) -> None:
    """The clip without its last frames, the manifest put back at the end of the file."""
    start, length = manifest_of(path)
    with av.open(str(path)) as source, av.open(str(target), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        out.metadata.update(source.metadata)
        for packet in [p for p in source.demux(video=0) if p.size][:8]:
            packet.stream = stream
            out.mux(packet)
    with target.open("ab") as file:
        file.write(path.read_bytes()[start : start + length])


def cut_webp(path: Path, target: Path) -> None:
    """The animation without one of its frames (ANMF chunks)."""
    data = path.read_bytes()
    at = data.find(b"ANMF", data.find(b"ANMF") + 4)
    size = 8 + (struct.unpack("<I", data[at + 4 : at + 8])[0] + 1) // 2 * 2
    data = data[:at] + data[at + size :]
    target.write_bytes(data[:4] + struct.pack("<I", len(data) - 8) + data[8:])


@pytest.mark.parametrize(("suffix", "cut", "gone"), [("mp4", cut_mp4, 4), ("webp", cut_webp, 1)])
def test_frames_that_were_cut_are_counted(
    suffix: str,
    cut: Callable[[Path, Path], None],
    gone: int,
    ours: dict[str, Path],
    tmp_path: Path,
) -> None:
    path = tmp_path / f"cut.{suffix}"
    cut(ours[suffix], path)
    report = inspect(path)
    assert (report.state, report.answer) == ("tampered", "unknown")
    assert report.manifest is not None
    count = report.manifest.signed["frames"]  # WebP joins frames that are alike
    assert f"the frames: signed were {count}, here are {count - gone}" in report.changes


def test_changed_statements_are_named(ours: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(ours["png"].read_bytes().replace(b"notAllowed", b"notAllowex", 1))
    report = inspect(path)
    assert report.state == "tampered"
    assert 'the statement "cawg.training-mining" was changed after it was signed' in report.changes


def test_a_forged_manifest_is_not_believed(
    ours: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine says that it is worldreel: true or not, nobody here vouches for it."""
    with monkeypatch.context() as patch:
        patch.setenv("WORLDREEL_HOME", str(tmp_path / "elsewhere"))
        foreign = make(tmp_path / "foreign.png")
    report = inspect(foreign)
    assert (report.state, report.answer) == ("valid", "unknown")
    assert "nobody here vouches" in report.evidence[0].why
    parts = (Ingredient(relationship="parentOf", path=ours["png"]),)
    monkeypatch.setattr("worldreel.provenance.claim.GENERATOR", "editor")
    edited = inspect(make(tmp_path / "edited.png", created=False, ingredients=parts))
    assert (edited.state, edited.answer) == ("trusted", "unknown")
    assert "from a file of ours" in edited.evidence[0].why
    drawn = inspect(make(tmp_path / "drawn.png"))
    assert (drawn.state, drawn.answer) == ("trusted", "no")


def test_stripped_files_are_unknown(ours: dict[str, Path], tmp_path: Path) -> None:
    plain = tmp_path / "plain.mp4"
    with av.open(str(ours["mp4"])) as source, av.open(str(plain), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        out.metadata.update(source.metadata)
        for packet in [p for p in source.demux(video=0) if p.size]:
            packet.stream = stream
            out.mux(packet)
    report = inspect(plain)
    assert (report.state, report.answer, report.manifest) == ("none", "unknown", None)
    assert report.recipe is not None and "anybody can write" in report.evidence[1].why


def test_the_command_tells_all_of_it(
    ours: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"files": [str(ours["edited"])], "quick": True}
    inspect_files(Namespace(**given, json=False))
    told = capsys.readouterr().out
    assert "made by us: yes" in told and '("parentOf")' in told and "unhashed" in told
    inspect_files(Namespace(**given, json=True))
    values = json.loads(capsys.readouterr().out)
    assert values["state"] == "trusted" and values["recipe"]["prompt"] == "a red ball"
    assert values["actions"] == ["c2pa.opened", "c2pa.edited", "c2pa.placed"]


def mutated(data: bytes, chance: random.Random) -> bytes:
    """`data` changed in one of the ways in which files break."""
    changed = bytearray(data)
    how = chance.randrange(6)
    at = chance.randrange(len(data))
    if how == 0:
        for _ in range(chance.randrange(1, 30)):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
    elif how == 1:
        del changed[at:]
    elif how == 2:
        changed[at:at] = chance.randbytes(chance.randrange(1, 200))
    elif how == 3:
        del changed[at : at + chance.randrange(1, 2000)]
    elif how == 4:  # lengths and counts at their extremes
        value = chance.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1])
        changed[at : at + 4] = struct.pack(chance.choice("<>") + "I", value)
    else:
        changed[at:at] = data[max(0, at - chance.randrange(1, 5000)) : at]
    return bytes(changed)


def broken_by(count: int, files: dict[str, Path], folder: Path, seed: int) -> list[Path]:
    """Of `count` mutated files, those over which the reader broke down."""
    chance = random.Random(seed)
    sources = [path.read_bytes() for path in files.values()]
    bad, batch = [], 100
    for first in range(0, count, batch):
        paths = [folder / f"{seed}-{i}.bin" for i in range(first, min(first + batch, count))]
        for path in paths:
            path.write_bytes(mutated(chance.choice(sources), chance))
        tasks = [
            {"do": do, "path": str(path), "anchors": ""}
            for path in paths
            for do in ("read", "remark", "measure")
        ]
        told = answers(tasks, timeout=300)
        for task, answer in zip(tasks, told, strict=True):
            if answer.get("error") == BROKEN:
                bad.append(Path(task["path"]))
            elif "crjson" in answer:
                found(answer)  # must take whatever comes
        for path in set(paths) - set(bad):
            path.unlink()
    return bad


def test_mutated_files_break_nothing(ours: dict[str, Path], tmp_path: Path) -> None:
    assert broken_by(100, ours, tmp_path, 0) == []


@pytest.mark.slow
def test_thousands_of_mutated_files_break_nothing(ours: dict[str, Path], tmp_path: Path) -> None:
    count = int(os.environ.get("WORLDREEL_FUZZ", "2000"))
    assert broken_by(count, ours, tmp_path, 1) == []


def test_a_reader_that_breaks_down_is_one_sentence(
    ours: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the library had crashed the process over the first task."""
    monkeypatch.setattr(
        "worldreel.provenance.process._WORKER", "import os, sys; sys.argv.pop(); os.abort()"
    )
    assert inspect(ours["png"]).state == "damaged" and inspect(ours["png"]).answer == "unknown"
    with pytest.raises(MediaError, match="cannot be read"):
        read(ours["png"])


def test_a_process_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "worldreel.provenance.process._WORKER",
        "import time; print('{}', flush=True); time.sleep(60)",
    )
    assert answers([{"do": "read"}, {"do": "read"}], timeout=2) == [{}, {"error": BROKEN}]
