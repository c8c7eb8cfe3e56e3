"""Manifests: what they say, who is believed, who signs. The oracles are the C2PA library's reader,
the conformance rubric of the C2PA and OpenSSL's view of certificates (by `cryptography`)."""

from __future__ import annotations

import datetime
import json
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import c2pa
import pytest
import torch
from cryptography import x509
from PIL import Image, ImageSequence

from worldreel.errors import MediaError, OutputError, RequestError
from worldreel.provenance import Ingredient, Report, Settings, Watermark, read, sign
from worldreel.provenance import inspect as inspect_all
from worldreel.provenance.authority import _make, anchors, credentials, root_file
from worldreel.provenance.ingredients import related
from worldreel.provenance.store import folder
from worldreel.recipe import Recipe, extract
from worldreel.video import Video, save_image

SUFFIXES = ("mp4", "webp", "gif", "png", "jpg")
SECRET = "an unspeakable prompt"
MARK = Watermark(algorithm="org.worldreel.watermark.1", value="00ff00ff00ff00ff00ff00ff")
RECIPE = Recipe(
    model="embedded",
    weights_sha256="0" * 64,
    prompt=SECRET,
    negative=SECRET,
    seed=7,
    seconds=1.0,
    width=64,
    height=48,
    native_width=64,
    native_height=48,
    fps=12.0,
    steps=8,
    guidance=3.0,
    version="0.2",
    known=[{"name": f"{SECRET}.png", "sha256": "1" * 64}],
    shots=[{"prompt": SECRET, "seconds": 1.0}],
    created="2026-11-22T12:00:00+00:00",
)


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A local store for all tests: keys take time."""
    place = tmp_path_factory.getbasetemp() / "store"
    monkeypatch.setenv("WORLDREEL_HOME", str(place))
    return place


def inspect(path: Path, **how: Any) -> Report:
    """What is written in a file; what its pictures say has tests of its own."""
    return inspect_all(path, pictures=False, **how)


def video(frames: int = 12, level: int = 0) -> Video:
    """A clip of noise that never moves twice the same way."""
    generator = torch.Generator().manual_seed(level)
    coarse = torch.rand(1, 3, 4, 6, 8, generator=generator)
    size = (frames, 48, 64)
    fine = torch.nn.functional.interpolate(coarse, size=size, mode="trilinear")[0]
    pixels = fine.permute(1, 2, 3, 0).mul(255).to(torch.uint8).contiguous()
    return Video(pixels, fps=12.0, recipe=RECIPE.to_dict())


def written(path: Path, level: int = 0) -> Path:
    """An unsigned file of ours in the format of the suffix."""
    if path.suffix == ".jpg":
        return save_image(video(1, level).to_pil()[0], path)
    return video(1 if path.suffix == ".png" else 12, level).save(path)


def signed(path: Path, level: int = 0, **how: Any) -> Path:
    sign(written(path, level), RECIPE.to_dict(), **({"created": True} | how))
    return path


def crjson(path: Path) -> dict[str, Any]:
    """What the library's own reader says, with our anchor."""
    settings = {"trust": {"trust_anchors": anchors(Settings())}}
    with c2pa.Context.from_dict(settings) as context, c2pa.Reader(path, context=context) as reader:
        return {"state": reader.get_validation_state()} | json.loads(reader.crjson())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_is_trusted_with_our_anchor_and_shows_the_same(
    suffix: str, tmp_path: Path
) -> None:
    plain = written(tmp_path / f"plain.{suffix}")
    ours = signed(tmp_path / f"ours.{suffix}", watermark=MARK)
    assert crjson(ours)["state"] == "Trusted"
    if suffix != "jpg":  # JPEGs of ours carry no remark
        assert extract(ours) == extract(plain)
    assert frames(ours) == frames(plain)
    assert not list(tmp_path.glob(".*"))


def frames(path: Path) -> list[bytes]:
    """The frames as the codec left them."""
    if path.suffix == ".mp4":
        with av.open(str(path)) as container:
            return [frame.to_ndarray().tobytes() for frame in container.decode(video=0)]
    with Image.open(path) as image:
        return [frame.convert("RGB").tobytes() for frame in ImageSequence.Iterator(image)]


def test_the_statements_are_those_that_were_asked_for(tmp_path: Path) -> None:
    manifest = crjson(signed(tmp_path / "a.mp4", watermark=MARK))["manifests"][0]
    said = manifest["assertions"]
    created, marked = said["c2pa.actions.v2"]["actions"]
    assert created["action"] == "c2pa.created" and created["when"] == RECIPE.created
    assert created["digitalSourceType"].endswith("/trainedAlgorithmicMedia")
    assert marked["action"] == "c2pa.watermarked.bound"
    assert said["c2pa.actions.v2"]["allActionsIncluded"] is True
    assert said["c2pa.soft-binding"]["alg"] == MARK.algorithm
    assert said["c2pa.soft-binding"]["blocks"][0]["value"] == MARK.value
    uses = said["cawg.training-mining"]["entries"]
    assert {use["use"] for use in uses.values()} == {"notAllowed"} and len(uses) == 4
    told = said["org.worldreel.recipe"]
    assert (told["recipe"]["seed"], told["recipe"]["model"]) == (7, "embedded")
    assert (told["width"], told["height"], told["frames"]) == (64, 48, 12)
    claim = manifest["claim.v2"]
    assert claim["claim_generator_info"]["specVersion"].startswith("2.4")
    labels = {one["url"].rpartition("/")[2] for one in claim["created_assertions"]}
    assert labels == set(said) and claim["gathered_assertions"] == []


def test_prompts_and_names_stay_out_unless_allowed(tmp_path: Path) -> None:
    parent = signed(tmp_path / f"{SECRET}.png")
    given = (Ingredient(relationship="inputTo", path=parent, title=parent.name),)
    silent = json.dumps(crjson(signed(tmp_path / f"{SECRET}.webp", ingredients=given)))
    assert SECRET not in silent
    # What the manifest leaves out, the library must not bring back by another way.
    silent_bytes = signed(tmp_path / f"{SECRET}.jpg", ingredients=given).read_bytes()
    assert SECRET.encode() not in silent_bytes
    open_ = signed(
        tmp_path / f"{SECRET}.gif",
        ingredients=given,
        settings=Settings(prompt=True, training="allowed", off=("watermark",)),
    )
    said = crjson(open_)["manifests"][0]["assertions"]
    told = said["org.worldreel.recipe"]
    assert told["recipe"]["prompt"] == SECRET and told["off"] == ["watermark"]
    assert said["c2pa.ingredient.v3"]["dc:title"] == parent.name
    assert {use["use"] for use in said["cawg.training-mining"]["entries"].values()} == {"allowed"}


def test_what_a_video_was_made_from(tmp_path: Path) -> None:
    first, second = signed(tmp_path / "one.mp4"), written(tmp_path / "two.mp4", 2)
    text = tmp_path / "three.txt"
    text.write_text("no picture")
    given = related("connect", [first, second, text, None])
    assert [one.relationship for one in given] == ["parentOf"] + ["componentOf"] * 3
    result = signed(tmp_path / "c.mp4", 3, created=False, ingredients=given)
    whole = crjson(result)
    assert whole["state"] == "Trusted" and len(whole["manifests"]) == 2
    said = whole["manifests"][0]["assertions"]
    opened, edited, placed = said["c2pa.actions.v2"]["actions"]
    assert [one["action"] for one in (opened, edited, placed)] == [
        "c2pa.opened",
        "c2pa.edited",
        "c2pa.placed",
    ]
    assert "digitalSourceType" not in opened
    assert edited["digitalSourceType"].endswith("/compositeWithTrainedAlgorithmicMedia")
    assert len(opened["parameters"]["ingredients"]) == 1
    assert len(placed["parameters"]["ingredients"]) == 3
    parent = said["c2pa.ingredient.v3"]
    assert parent["relationship"] == "parentOf"
    assert parent["activeManifest"]["url"].endswith(whole["manifests"][1]["label"])
    shown = related("animate", [first, second])
    assert {one.relationship for one in shown} == {"inputTo"}
    with pytest.raises(RequestError, match="no parent"):
        signed(tmp_path / "d.mp4", ingredients=given)


def test_a_changed_parent_is_recorded_as_changed(tmp_path: Path) -> None:
    parent = signed(tmp_path / "parent.png")
    data = bytearray(parent.read_bytes())
    data[-40] ^= 1
    parent.write_bytes(data)
    given = related("edit", [parent])
    result = signed(tmp_path / "r.png", 1, created=False, ingredients=given)
    whole = crjson(result)
    told = whole["manifests"][0]["assertions"]["c2pa.ingredient.v3"]["validationResults"]
    codes = [one["code"] for one in told["activeManifest"]["failure"]]
    assert "assertion.dataHash.mismatch" in codes
    assert whole["state"] == "Trusted"  # what we made of it is as we made it


def test_signing_again_replaces_the_manifest(tmp_path: Path) -> None:
    path = signed(tmp_path / "a.webp")
    size = path.stat().st_size
    sign(path, RECIPE.to_dict(), created=True)
    found = read(path)
    assert found is not None and found.state == "trusted"
    assert len(found.crjson["manifests"]) == 1 and abs(path.stat().st_size - size) < 64


def test_keys_are_made_once_and_only_for_this_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLDREEL_HOME", str(tmp_path))
    first = credentials(Settings())
    assert credentials(Settings()) == first
    _make(folder() / "authority")  # a second program that came at the same moment
    assert credentials(Settings()) == first
    assert [p.name for p in folder().iterdir()] == ["authority"]
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in root_file().parent.iterdir()}
    assert modes["root.key"] == modes["signing.pem"] == 0o600
    root = x509.load_pem_x509_certificate(root_file().read_bytes())
    leaf = x509.load_pem_x509_certificates(first.chain.encode())[0]
    leaf.verify_directly_issued_by(root)
    uses = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    oids = [one.dotted_string for one in uses]
    assert oids == ["1.3.6.1.5.5.7.3.4", "1.3.6.1.4.1.62558.2.1"]
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature and not usage.key_cert_sign
    name = socket.gethostname()
    assert name not in leaf.subject.rfc4514_string() and first.key not in repr(first)


def test_an_old_signing_key_is_renewed_and_what_it_signed_stays_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLDREEL_HOME", str(tmp_path / "home"))
    with monkeypatch.context() as patch:
        patch.setattr("worldreel.provenance.authority._LEAF_YEARS", 4)
        old = credentials(Settings(certificates="", key=""))
        path = written(tmp_path / "a.png")
        patch.setattr("worldreel.provenance.authority._RENEWED_YEARS", 1)
        sign(path, RECIPE.to_dict(), created=True)
    new = credentials(Settings())
    assert new.chain != old.chain and credentials(Settings()) == new
    assert crjson(path)["state"] == "Trusted"
    assert crjson(signed(tmp_path / "b.png"))["state"] == "Trusted"


def test_damaged_keys_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLDREEL_HOME", str(tmp_path / "home"))
    path = signed(tmp_path / "a.png")
    before = path.read_bytes()
    (root_file().parent / "signing.pem").write_text("nothing")
    with pytest.raises(OutputError, match="move it away"):
        sign(path, RECIPE.to_dict(), created=True)
    assert path.read_bytes() == before and not list(tmp_path.glob(".*"))


def own(
    folder: Path, curve: str = "P-384", days: int = 30, use: str = "emailProtection"
) -> Settings:
    """A chain made by OpenSSL, as a company would."""
    folder.mkdir()
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", f"ec_paramgen_curve:{curve}"]
    new += ["-nodes", "-days", str(days)]

    def run(*more: str) -> None:
        subprocess.run([*new, *more], cwd=folder, check=True, capture_output=True)

    run("-keyout", "root.key", "-out", "root.pem", "-subj", "/O=Firm/CN=Firm root")
    uses = ["-addext", f"extendedKeyUsage={use}", "-addext", "keyUsage=critical,digitalSignature"]
    uses += ["-addext", "basicConstraints=critical,CA:FALSE"]
    by = ["-CA", "root.pem", "-CAkey", "root.key"]
    run("-keyout", "leaf.key", "-out", "leaf.pem", "-subj", "/O=Firm/CN=Firm signing", *by, *uses)
    return Settings(certificates=str(folder / "leaf.pem"), key=str(folder / "leaf.key"))


def test_own_certificates(tmp_path: Path) -> None:
    try:
        settings = own(tmp_path / "firm")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs openssl 3")
    path = signed(tmp_path / "a.mp4", settings=settings)
    stranger = inspect(path)
    assert (stranger.state, stranger.answer) == ("valid", "unknown")
    trusting = Settings(anchors=(str(tmp_path / "firm" / "root.pem"),))
    known = inspect(path, settings=trusting)
    assert (known.state, known.answer) == ("trusted", "yes")
    assert known.manifest is not None and known.manifest.signer == "Firm signing"
    other = own(tmp_path / "other", curve="P-256", use="serverAuth")
    mixed = Settings(certificates=settings.certificates, key=other.key)
    for wrong, why in (
        (mixed, "not that of the first certificate"),
        (other, "cannot be signed|does not read back"),
        (Settings(certificates=str(path), key=other.key), "PEM"),
    ):
        before = path.read_bytes()
        with pytest.raises(OutputError, match=why):
            sign(path, RECIPE.to_dict(), created=True, settings=wrong)
        assert path.read_bytes() == before


def test_a_dead_time_stamping_server_costs_no_more_than_was_allowed(tmp_path: Path) -> None:
    path = written(tmp_path / "a.png")
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()  # it takes the question and never answers
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        started = time.monotonic()
        settings = Settings(timestamp=url, timestamp_seconds=0.5)
        done = sign(path, RECIPE.to_dict(), created=True, settings=settings)
        assert time.monotonic() - started < 8  # the process itself must start, on a slow core
    assert not done.stamped and crjson(path)["state"] == "Trusted"


TSA = """
[tsa]
serial = serial
crypto_device = builtin
signer_cert = leaf.pem
certs = leaf.pem
signer_key = leaf.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
accuracy = secs:1
"""


def test_a_time_stamp_is_taken_where_there_is_one(tmp_path: Path) -> None:
    """OpenSSL is the authority."""
    place = tmp_path / "tsa"
    try:
        own(place, curve="P-256", use="critical,timeStamping")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs openssl 3")
    (place / "tsa.cnf").write_text(TSA)
    (place / "serial").write_text("01")

    class Authority(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            (place / "query").write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
            command = "openssl ts -reply -config tsa.cnf -section tsa -queryfile query"
            reply = subprocess.run(command.split(), cwd=place, capture_output=True, check=True)
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.end_headers()
            self.wfile.write(reply.stdout)

        def log_message(self, *_: Any) -> None:
            pass

    path = written(tmp_path / "a.png")
    with ThreadingHTTPServer(("127.0.0.1", 0), Authority) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        settings = Settings(timestamp=f"http://127.0.0.1:{server.server_port}")
        done = sign(path, RECIPE.to_dict(), created=True, settings=settings)
        server.shutdown()
    assert done.stamped
    manifest = read(path, settings=Settings(anchors=(str(place / "root.pem"),)))
    assert manifest is not None and manifest.state == "trusted"
    assert manifest.stamped.startswith(f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}")


def test_settings_come_from_a_file_and_are_checked(home: Path, tmp_path: Path) -> None:
    assert Settings.load() == Settings()
    file = tmp_path / "p.yaml"
    file.write_text("prompt: true\nanchors: [a.pem]\ntimestamp_seconds: 2\n")
    assert Settings.load(file) == Settings(prompt=True, anchors=("a.pem",), timestamp_seconds=2.0)
    for text, why in (
        ("promt: true", "nearest is prompt"),
        ("prompt: 1", "true or false"),
        ("training: yes please", "notAllowed"),
        ("key: a.pem", "both are needed"),
        ("timestamp: ftp://x", "http://"),
        ("timestamp_seconds: .nan", "above 0"),
        ("timestamp_seconds: 1000000000", "nearest is 60"),
        ("off: [watermark]", "known are"),
        ("- a", "no list of settings"),
        ("a: [", "YAML"),
        ("anchors: a.pem", "list of files"),
    ):
        file.write_text(text)
        with pytest.raises(RequestError, match=why):
            Settings.load(file)


def test_files_that_cannot_be_signed_or_read(tmp_path: Path) -> None:
    text = tmp_path / "a.mp4"
    text.write_text("no video")
    with pytest.raises(OutputError, match="it must be an MP4"):
        sign(text, RECIPE.to_dict(), created=True)
    assert text.read_text() == "no video"
    cut = tmp_path / "cut.png"
    cut.write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(OutputError, match="cannot be signed"):
        sign(cut, RECIPE.to_dict(), created=True)
    with pytest.raises(MediaError, match="there is no file"):
        inspect(tmp_path / "none.mp4")
    with pytest.raises(MediaError, match="there is no file"):
        read(tmp_path)
    assert read(text) is None
    assert inspect(text).answer == "unknown"


def test_a_manifest_elsewhere_is_named_and_not_fetched(tmp_path: Path) -> None:
    path, target = written(tmp_path / "a.png"), tmp_path / "b.png"
    keys = credentials(Settings())
    info = c2pa.C2paSignerInfo("es256", keys.chain.encode(), keys.key.encode(), None)
    with c2pa.Signer.from_info(info) as signer, c2pa.Builder({"format": "image/png"}) as builder:
        builder.set_no_embed()
        builder.set_remote_url("http://127.0.0.1:9/a.c2pa")
        builder.set_intent(
            c2pa.C2paBuilderIntent.CREATE, c2pa.C2paDigitalSourceType.TRAINED_ALGORITHMIC_MEDIA
        )
        builder.sign_file(path, target, signer)
    report = inspect(target)
    assert (report.state, report.answer) == ("none", "unknown")
    assert "not fetched" in report.evidence[0].why


def test_reading_imports_no_torch(tmp_path: Path) -> None:
    path = signed(tmp_path / "a.png")
    code = (
        "import sys; from worldreel.provenance import inspect;"
        f"assert inspect({str(path)!r}, pictures=False).answer == 'yes';"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ)
