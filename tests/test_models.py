"""The catalogue, the local store, and pulls from a hub: one that runs here, on this machine's own
address, and behaves as the real one does: listings with checksums, ranges, refusals."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import torch
from safetensors.torch import save

from worldreel import cli
from worldreel.errors import ModelError, OutputError, WeightsError
from worldreel.models import catalogue, hub, memory
from worldreel.models import pull as pulling
from worldreel.models.catalogue import by_name, licence_of
from worldreel.models.pull import pull

pytest.importorskip("huggingface_hub")
REVISION = "5" * 40


@dataclass
class Hub:
    """Repositories by id, each a table of files; what is asked for is written down."""

    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    licences: dict[str, str] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    lying: set[str] = field(default_factory=set)
    down: bool = False

    def listing(self, name: str) -> dict[str, Any]:
        siblings = []
        for file, data in self.files[name].items():
            each: dict[str, Any] = {"rfilename": file, "size": len(data)}
            if file.endswith((".safetensors", ".pt", ".pth")):
                sha = hashlib.sha256(data).hexdigest()
                each["lfs"] = {"size": len(data), "sha256": sha, "pointerSize": 130}
            else:
                each["blobId"] = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            siblings.append(each)
        card = {"license": self.licences[name]} if name in self.licences else None
        return {"id": name, "sha": REVISION, "siblings": siblings, "cardData": card, "tags": []}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *args: Any) -> None: ...

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path).removeprefix("/")
        asked = self.headers.get("Range")
        self.hub.asked.append((path, asked))
        name = "/".join(path.removeprefix("api/models/").split("/")[:2])
        if self.hub.down:
            self.answer(400, b"{}")
        elif name in self.hub.gated:
            self.answer(403, b"{}", X_Error_Code="GatedRepo")
        elif name not in self.hub.files:
            self.answer(404, b"{}", X_Error_Code="RepoNotFound")
        elif path.startswith("api/"):
            body = json.dumps(self.hub.listing(name)).encode()
            self.answer(200, body, Content_Type="application/json")
        else:
            self.file(name, path.split(f"resolve/{REVISION}/")[1], asked)

    def file(self, name: str, file: str, asked: str | None) -> None:
        data = self.hub.files[name][file]
        if file in self.hub.lying:
            data = data[:-1] + bytes([data[-1] ^ 1])
        first = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
        whole = {"Content_Range": f"bytes {first}-{len(data) - 1}/{len(data)}"} if asked else {}
        self.answer(206 if asked else 200, data[first:], **whole)


def weights(count: int, seed: int = 0) -> bytes:
    g = torch.Generator().manual_seed(seed)
    return save({"x": torch.randn(count, generator=g)})


def pipeline() -> dict[str, bytes]:
    return {
        "model_index.json": b'{"_class_name": "WanPipeline"}',
        "transformer/config.json": b"{}",
        "transformer/diffusion_pytorch_model.safetensors": weights(50_000),
        "vae/diffusion_pytorch_model.safetensors": weights(100, 1),
        "tokenizer/spiece.model": b"\x00\x01tokens",
        "README.md": b"read me",
        "assets/film.mp4": b"film",
        "examples/x.json": b"{}",
        ".gitattributes": b"x",
        "old/pytorch_model.bin": b"pickled",
        "../outside.safetensors": weights(3),
    }


TAKEN = ["model_index.json", "tokenizer/spiece.model", "transformer/config.json",
         "transformer/diffusion_pytorch_model.safetensors",
         "vae/diffusion_pytorch_model.safetensors"]  # fmt: skip


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    from huggingface_hub import constants

    monkeypatch.setenv("WORLDREEL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 4096)
    mine = Hub()
    handler = type("Mine", (Handler,), {"hub": mine})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    monkeypatch.setattr(pulling, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield mine
    server.shutdown()
    server.server_close()
    thread.join()


def files(folder: Path) -> list[str]:
    found = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return sorted(name for name in found if name != hub.RECORD)


def test_a_pull_brings_what_is_needed_and_no_more(served: Hub, tmp_path: Path) -> None:
    name = "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"
    served.files[name] = pipeline()
    seen: list[tuple[int, int, str]] = []
    folder = pull("wan2.1-1.3b", progress=lambda *each: seen.append(each))
    assert folder == hub.store() / "wan2.1-1.3b" == tmp_path / "home" / "models" / "wan2.1-1.3b"
    assert files(folder) == TAKEN
    assert all((folder / n).read_bytes() == served.files[name][n] for n in TAKEN)
    assert not (folder.parent / "outside.safetensors").exists()
    assert [done for done, _, _ in seen] == sorted(done for done, _, _ in seen)
    assert seen[-1][0] == seen[-1][1] == sum(len(served.files[name][n]) for n in TAKEN)
    record = hub.record(folder)
    assert record is not None and record.whole and record.licence == "Apache-2.0"
    assert record.revision == REVISION and sorted(f.name for f in record.files) == TAKEN
    assert hub.resolve("wan2.1-1.3b") == hub.resolve("WAN2.1-1.3B") == hub.resolve(name) == folder
    before = len(served.asked)
    assert pull(name) == folder  # by its id it is the same model, and it is there
    assert [path for path, _ in served.asked[before:]] == [f"api/models/{name}"]


def test_an_interrupted_pull_goes_on_where_it_stopped(served: Hub) -> None:
    served.files["some/model"] = pipeline()
    large = "transformer/diffusion_pytorch_model.safetensors"
    data = served.files["some/model"][large]

    def stop(done: int, total: int, doing: str) -> None:
        if doing == large and done > 100_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull("some/model", progress=stop)
    folder = hub.store() / "some--model"
    part = folder / f"{large}.part"
    half = part.stat().st_size
    assert 0 < half < len(data) and data.startswith(part.read_bytes())
    with pytest.raises(ModelError, match="only in part; `worldreel models pull some/model`"):
        hub.resolve("some/model")
    served.asked.clear()
    pull("some/model")
    asked = [(path, span) for path, span in served.asked if "resolve" in path]
    assert asked[0][0].endswith(large) and asked[0][1] is not None
    assert asked[0][1].startswith(f"bytes={half}-")
    assert not any("model_index" in path for path, _ in asked)  # what was whole stays
    assert (folder / large).read_bytes() == data and files(folder) == TAKEN
    assert hub.resolve("some/model") == folder


def test_what_does_not_arrive_as_listed_is_not_kept(served: Hub) -> None:
    served.files["some/model"] = pipeline()
    for name in ("vae/diffusion_pytorch_model.safetensors", "tokenizer/spiece.model"):
        served.lying = {name}
        with pytest.raises(ModelError, match="did not arrive as the hub says"):
            pull("some/model")
        assert not (hub.store() / "some--model" / name).exists()
    served.lying = set()
    assert files(pull("some/model")) == TAKEN


def test_a_changed_file_is_noticed_before_work_starts(served: Hub) -> None:
    served.files["some/model"] = pipeline()
    folder = pull("some/model")
    path = folder / "vae/diffusion_pytorch_model.safetensors"
    data, times = path.read_bytes(), path.stat()
    path.write_bytes(data[:-1] + b"\xff")
    with pytest.raises(WeightsError, match="not the one that its checksum names"):
        hub.resolve("some/model")
    path.write_bytes(data[:-1])
    with pytest.raises(WeightsError, match=f"{len(data) - 1} bytes instead of {len(data)}"):
        hub.resolve("some/model")
    path.write_bytes(data)  # as it was, at another time: read once, and then trusted
    assert hub.resolve("some/model") == folder
    record = hub.record(folder)
    assert record is not None
    assert path.stat().st_mtime_ns in {file.seen for file in record.files}
    path.write_bytes(data[:-1] + b"\xff")
    os.utime(path, ns=(times.st_atime_ns, max(file.seen for file in record.files)))
    mine = next(file for file in record.files if "vae" in file.name)
    os.utime(path, ns=(mine.seen, mine.seen))
    hub.resolve("some/model")  # behind its back, with the old time: only a check reads all
    with pytest.raises(WeightsError, match="not the one"):
        hub.check(folder, again=True)
    path.unlink()
    with pytest.raises(WeightsError, match="is missing"):
        hub.resolve("some/model")
    pull("some/model")
    assert hub.check(folder, again=True) == len(TAKEN)


def test_the_hub_says_no_in_one_sentence(
    served: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cases = {"nobody/nothing": "the hub has no model", "some/gated": "consent to its licence",
             "some/pickles": "no weights that can be read"}  # fmt: skip
    served.gated.add("some/gated")
    served.files["some/pickles"] = {"config.json": b"{}", "model.bin": b"pickled"}
    for name, part in cases.items():
        with pytest.raises(ModelError, match=part) as caught:
            pull(name)
        assert "\n" not in str(caught.value)
    served.down = True
    with pytest.raises(ModelError, match="the hub answered 400"):
        pull("some/model")
    served.down = False
    with pytest.raises(ModelError, match=r"rcm-1\.3b, rcm-14b"):
        pull("worstcoder/rcm-Wan")
    with pytest.raises(ModelError, match=r"nearest is wan2\.1-1\.3b"):
        pull("wan2.1-1,3b")
    served.files["some/model"] = pipeline()
    usage = type("Usage", (), {"free": 50_000})
    monkeypatch.setattr(pulling.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OutputError, match=r"kB are still to come|MB are still to come"):
        pull("some/model")
    monkeypatch.undo()
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(pulling, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match="the hub cannot be reached"):
        pull("some/model", to=tmp_path / "x")


def test_a_folder_that_cannot_be_written(served: Hub, tmp_path: Path) -> None:
    served.files["some/model"] = pipeline()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        pull("some/model", to=tmp_path / "file" / "x")


def test_a_pickled_transformer_is_put_into_the_pipeline_of_another(
    served: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As rCM's weights are published; the process that converts is tested in test_convert."""
    served.files["worstcoder/rcm-Wan"] = {
        "rCM_Wan2.1_T2V_1.3B_480p.pt": b"1.3B", "rCM_Wan2.1_T2V_14B_480p.pt": b"14B",
    }  # fmt: skip
    served.files["Wan-AI/Wan2.1-T2V-1.3B-Diffusers"] = pipeline()
    told: list[tuple[str, str | None]] = []

    def convert_file(path: Path, target: Path, *, few: str | None = None) -> Any:
        told.append((path.name, few))
        made = target / "diffusion_pytorch_model.safetensors"
        made.write_bytes(path.read_bytes())
        (target / "config.json").write_text("{}")
        return type("Made", (), {"target": made})

    monkeypatch.setattr(pulling, "convert_file", convert_file)
    folder = pull("rcm-1.3b")
    assert told == [("rCM_Wan2.1_T2V_1.3B_480p.pt", "rcm")]
    assert files(folder) == TAKEN and folder.name == "rcm-1.3b"
    large = folder / "transformer/diffusion_pytorch_model.safetensors"
    assert large.read_bytes() == b"1.3B"
    assert hub.resolve("rcm-1.3b") == folder
    served.asked.clear()
    pull("rcm-1.3b")  # the pickle is gone and is not brought again
    assert not any("resolve" in path for path, _ in served.asked) and len(told) == 1


def test_pickles_of_the_original_files_come_along(
    served: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.files["some/original"] = {
        "config.json": b"{}", "diffusion_pytorch_model.safetensors": weights(9),
        "Wan2.1_VAE.pth": b"codec", "training_state.pth": b"no", "sub/other_VAE.pth": b"no",
        "google/umt5-xxl/spiece.model": b"tokens",
    }  # fmt: skip

    def convert_file(path: Path, target: Path, *, few: str | None = None) -> Any:
        assert path.read_bytes() == b"codec" and not few
        (target / "vae.safetensors").write_bytes(b"converted")
        return type("Made", (), {"target": target / "vae.safetensors"})

    monkeypatch.setattr(pulling, "convert_file", convert_file)
    folder = pull("some/original")
    assert files(folder) == ["config.json", "diffusion_pytorch_model.safetensors",
                             "google/umt5-xxl/spiece.model", "vae.safetensors"]  # fmt: skip
    assert hub.check(folder, again=True) == 4


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulling, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"install worldreel\[open\]"):
        pull("wan2.1-1.3b")


def test_names_lead_to_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, served: Hub
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    assert hub.resolve(str(mine)) == mine
    monkeypatch.chdir(tmp_path)
    assert hub.resolve("mine") == Path("mine")
    for name, part in (
        ("wan2.2-5b", "`worldreel models pull wan2.2-5b` brings it"),
        ("Wan-AI/Wan2.2-TI2V-5B-Diffusers", "`worldreel models pull wan2.2-5b` brings it"),
        ("wan2.2-5B ", "the nearest is wan2.2-5b"),
        ("embeded", "the nearest is embedded"),
        ("some/one", "`worldreel models pull some/one` brings it"),
        ("", "there is no model"),
        ("a\0b", "there is no model"),
        ("x" * 5000, "there is no model"),
    ):
        with pytest.raises(ModelError) as caught:
            hub.resolve(name)
        assert part in str(caught.value), name
    snapshot = tmp_path / "cache/models--Wan-AI--Wan2.2-TI2V-5B-Diffusers/snapshots/abc"
    snapshot.mkdir(parents=True)
    (snapshot / "model_index.json").write_text("{}")
    with pytest.raises(ModelError):  # a listing alone is no model
        hub.resolve("wan2.2-5b")
    (snapshot / "x.safetensors").write_bytes(weights(1))
    assert hub.resolve("wan2.2-5b") == snapshot
    assert hub.resolve("Wan-AI/Wan2.2-TI2V-5B-Diffusers") == snapshot


def test_the_catalogue_computes_sizes_that_were_published() -> None:
    """In GB on the hub's pages: the transformer alone (fp32), and whole repositories."""
    small = by_name("wan2.1-1.3b")
    assert small is not None
    assert 4 * small.network.parameters == pytest.approx(5.68e9, rel=0.005)
    for name, size in (("wan2.1-1.3b", 28.9), ("wan2.2-5b", 34.2), ("wan2.2-t2v", 126.2)):
        entry = by_name(name)
        assert entry is not None and entry.bytes / 1e9 == pytest.approx(size, rel=0.01)
    for entry in catalogue.ENTRIES:
        memory = entry.memory
        assert memory.offload <= memory.device
        assert memory.device >= 2 * entry.experts * entry.network.parameters
    five, large = by_name("wan2.2-5b"), by_name("rcm-14b")
    assert five is not None and five.memory.offload < 12e9
    assert large is not None and large.memory.offload < 24e9


def test_licences_are_told_apart() -> None:
    assert licence_of("apache-2.0") == ("apache-2.0", True)
    assert licence_of("mit")[1] is True
    for told in ("cc-by-nc-4.0", "cc-by-nc-sa-4.0", "fair-noncommercial-research-license"):
        assert licence_of(told)[1] is False
    for told in ("other", None, "", "openrail", "skywork-license"):
        assert licence_of(told)[1] is None


def test_too_little_memory_is_said_before_work_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    table = tmp_path / "meminfo"
    table.write_text("MemTotal: 99999999 kB\nMemAvailable:    4000000 kB\n")
    monkeypatch.setattr(memory, "_TABLE", table)
    monkeypatch.setattr(memory, "_GROUP", tmp_path)
    assert memory.free() == 4_096_000_000
    memory.require(3_000_000_000, what="it")
    with pytest.raises(WeightsError, match=r"it takes 5\.0 GB of memory and this machine has 4\.1"):
        memory.require(5_000_000_000, what="it")
    (tmp_path / "memory.max").write_text("3000000000\n")
    (tmp_path / "memory.current").write_text("2500000000\n")
    (tmp_path / "memory.stat").write_text(
        "anon 1\ninactive_file 400000000\nactive_file 100000000\n"
    )
    assert memory.free() == 1_000_000_000  # pages of files can be dropped
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.free() == 4_096_000_000
    table.unlink()
    assert memory.free() is None
    memory.require(10**15, what="it")  # where nobody knows, nothing is refused


def test_the_command_line_lists_pulls_and_checks(
    served: Hub, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    served.files["some/one"] = pipeline()
    served.licences["some/one"] = "cc-by-nc-4.0"
    assert cli.main(["models", "pull", "some/one", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["files"] == len(TAKEN) and told["commercial"] is False
    assert cli.main(["models", "--json"]) == 0
    found = {each["name"]: each for each in json.loads(capsys.readouterr().out)}
    assert found["embedded"]["installed"] and found["embedded"]["parameters"] > 1e7
    assert found["some/one"]["installed"] and found["some/one"]["licence"] == "cc-by-nc-4.0"
    assert found["wan2.2-5b"]["installed"] is False and found["wan2.2-5b"]["bytes"] > 3e10
    assert {e.name for e in catalogue.ENTRIES if e.name} < set(found)
    assert cli.main(["models"]) == 0
    out = capsys.readouterr().out
    assert "wan2.1-flf2v" in out and "some/one" in out
    assert cli.main(["models", "check", "some/one"]) == 0
    assert f"all {len(TAKEN)} files" in capsys.readouterr().out
    for wrong in (["check", "wan2.2-5b"], ["convert", str(tmp_path / "no")], ["pull", "embedded"]):
        assert cli.main(["models", *wrong]) == 2
        said = capsys.readouterr().err
        assert said.startswith("worldreel: ") and said.count("\n") == 1
