"""Pickled weights become safetensors with the names they had, and nothing else is ever run."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from worldreel.codec.wan import WanCodec, WanCodecConfig
from worldreel.errors import WeightsError
from worldreel.models import convert as parent
from worldreel.models.convert import convert, convert_file
from worldreel.models.unpickle import Task, answer
from worldreel.models.wan.load import read_codec, read_transformer
from worldreel.models.wan.network import ORIGINAL, network
from worldreel.models.wan.parts import needed
from worldreel.models.wan.pixels import pixels
from worldreel.transformer.config import TransformerConfig

TINY = TransformerConfig(
    width=128, layers=2, heads=1, hidden=48, channels=4, text_width=12, frequencies=16,
    gelu=True, text_gelu=True, pooled=False, white=False, exact=True,
)  # fmt: skip


def randoms(shapes: dict[str, tuple[int, ...]], dtype: torch.dtype = torch.float32) -> Any:
    g = torch.Generator().manual_seed(3)
    return {name: torch.randn(shape, generator=g).to(dtype) for name, shape in shapes.items()}


def transformer(dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    return randoms(dict(needed(network(TINY, ORIGINAL))), dtype)


def text(layers: int = 2) -> dict[str, Tensor]:
    shapes = {"token_embedding.weight": (20, 8), "norm.weight": (8,)}
    for i in range(layers):
        block = f"blocks.{i}"
        shapes |= {f"{block}.attn.{x}.weight": (8, 8) for x in "qkvo"}
        shapes |= {f"{block}.ffn.{x}.weight": (12, 8) for x in ("gate.0", "fc1")}
        shapes |= {f"{block}.ffn.fc2.weight": (8, 12)}
        shapes |= {f"{block}.norm{n}.weight": (8,) for n in (1, 2)}
        shapes |= {f"{block}.pos_embedding.embedding.weight": (32, 2)}
    return randoms(shapes, torch.bfloat16)


def image() -> dict[str, Tensor]:
    shapes: dict[str, tuple[int, ...]] = {
        "visual.patch_embedding.weight": (8, 3, 2, 2), "visual.cls_embedding": (1, 1, 8),
        "visual.pos_embedding": (1, 5, 8), "visual.head": (8, 6), "log_scale": (),
        "textual.token_embedding.weight": (9, 8),
    }  # fmt: skip
    for name in ("pre_norm", "post_norm", "transformer.0.norm1", "transformer.0.norm2"):
        shapes |= {f"visual.{name}.weight": (8,), f"visual.{name}.bias": (8,)}
    for name, out, inside in (("attn.to_qkv", 24, 8), ("attn.proj", 8, 8), ("mlp.0", 32, 8),
                              ("mlp.2", 8, 32)):  # fmt: skip
        shapes[f"visual.transformer.0.{name}.weight"] = (out, inside)
        shapes[f"visual.transformer.0.{name}.bias"] = (out,)
    return randoms(shapes, torch.float16)


def codec() -> dict[str, Tensor]:
    with torch.device("meta"):
        ours = WanCodec(WanCodecConfig(width=4, decoder_width=4))
    return randoms(dict(needed(pixels(ours, original=True))))


def done(path: Path, few: str = "") -> dict[str, Any]:
    """In this process: what the other one would say."""
    task = Task(path=str(path), target=str(path.parent), part=str(path) + ".part", few=few)
    return answer(task)


def same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> bool:
    return set(found) == set(expected) and all(
        found[n].dtype == t.dtype and torch.equal(found[n], t) for n, t in expected.items()
    )


def test_encoders_and_codec_keep_names_and_values(tmp_path: Path) -> None:
    kinds = {"vae": codec(), "text_encoder": text(), "image_encoder": image()}
    for kind, tensors in kinds.items():
        torch.save(tensors, tmp_path / f"{kind}_of_theirs.pth")
        told = done(tmp_path / f"{kind}_of_theirs.pth")
        assert told["file"] == f"{kind}.safetensors", told
        found = load_file(tmp_path / told["file"])
        wanted = {n: t for n, t in tensors.items() if kind != "image_encoder" or "visual." in n}
        assert same(found, wanted)
        assert told["tensors"] == len(wanted) and told["left"] == len(tensors) - len(wanted)
    read_codec(tmp_path / "vae.safetensors")  # strict
    assert not list(tmp_path.glob("*.part"))


def test_transformers_in_every_wrapping(tmp_path: Path) -> None:
    """As it is; a training run's averaged weights under the names of its wrappers; in the way of
    rCM, with its first layer as a matrix, a prefix and a table of positions."""
    tensors = transformer(torch.bfloat16)
    wrapped = {f"model._fsdp_wrapped_module.{n}": t for n, t in tensors.items()}
    other = {n: t + 1 for n, t in wrapped.items()}
    matrix = {f"net.{n}": t for n, t in tensors.items()}
    matrix["net.patch_embedding.weight"] = tensors["patch_embedding.weight"].flatten(1)
    matrix["net.pos_embedder.seq"] = torch.arange(9)
    ways: dict[str, Any] = {
        "plain.pt": tensors,
        "self_forcing_dmd.pt": {"generator": other, "generator_ema": wrapped, "step": 600},
        "rCM_tiny.pt": matrix,
    }
    for name, saved in ways.items():
        folder = tmp_path / name.removesuffix(".pt")
        folder.mkdir()
        torch.save(saved, folder / name)
        told = done(folder / name, few="rcm" if "rCM" in name else "")
        assert told["file"] == "diffusion_pytorch_model.safetensors", told
        assert same(load_file(folder / told["file"]), tensors)
        ours = read_transformer(folder, dtype=torch.float32)
        assert ours.config == TINY
        card = json.loads((folder / "config.json").read_text())
        assert card.get("few_steps") == ("rcm" if "rCM" in name else None)


def test_old_archives_are_read_too(tmp_path: Path) -> None:
    tensors = text()
    torch.save(tensors, tmp_path / "t5.pth", _use_new_zipfile_serialization=False)
    assert done(tmp_path / "t5.pth")["file"] == "text_encoder.safetensors"
    assert same(load_file(tmp_path / "text_encoder.safetensors"), tensors)


class Evil:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.target}",)


def test_code_is_refused_and_never_run(tmp_path: Path) -> None:
    """Here, and by the other process, end to end; which converts what is good."""
    ran = tmp_path / "ran"
    torch.save(text(), tmp_path / "good.pth")
    with (tmp_path / "plain.pt").open("wb") as file:
        pickle.dump({"x": Evil(ran)}, file)
    torch.save({**text(), "more": Evil(ran)}, tmp_path / "zipped.pth")
    for name in ("plain.pt", "zipped.pth"):
        said = done(tmp_path / name)["error"]
        assert "would run code" in said and name in said
    converting = convert(tmp_path)
    made = next(converting)
    assert made.target.name == "text_encoder.safetensors" and len(made.sha256) == 64
    assert same(load_file(made.target), text())
    with pytest.raises(WeightsError, match="would run code"):
        next(converting)
    assert not ran.exists()
    left = ["good.pth", "plain.pt", "text_encoder.safetensors", "zipped.pth"]
    assert sorted(path.name for path in tmp_path.iterdir()) == left


def damaged(folder: Path) -> Any:
    whole = folder / "whole.pt"
    torch.save(text(), whole)
    data = whole.read_bytes()
    whole.unlink()
    path = folder / "x.pt"
    path.write_bytes(data[: len(data) // 2])
    yield path, "damaged"
    path.write_bytes(b"")
    yield path, "empty"
    path.write_bytes(b"hello, this is no pickle at all")
    yield path, ""  # nothing but a sentence is asked for
    torch.save([1, 2], path)
    yield path, "no table of tensors"
    torch.save({"a": torch.zeros(3)}, path)
    yield path, "no transformer, codec, text or image encoder"
    torch.save(torch.zeros(3), path)
    yield path, "no table"
    torch.save({"token_embedding.weight": torch.zeros(1).expand(10**6, 10**6)}, path)
    yield path, "larger than the file"
    lacking = text()
    del lacking["blocks.1.ffn.fc1.weight"]
    torch.save(lacking, path)
    yield path, "lacks"
    odd = text() | {"blocks.1.attn.q.weight": torch.zeros(3, 3)}
    torch.save(odd, path)
    yield path, "another shape"
    torch.save(transformer() | {"blocks.1.self_attn.more": torch.zeros(3)}, path)
    yield path, "no place"
    torch.save({n: t for n, t in transformer().items() if "ffn.0" not in n}, path)
    yield path, "lacks"
    torch.save({"encoder.conv1.weight": torch.zeros(4, 3, 3, 3, 3)}, path)
    yield path, "no weights of a Wan codec"


def test_whatever_is_wrong_is_one_sentence(tmp_path: Path) -> None:
    count = 0
    for path, part in damaged(tmp_path):
        told = done(path)
        assert set(told) == {"error"} and part in told["error"], (part, told)
        assert told["error"].count(".\n") == 0 and str(tmp_path) not in told["error"]
        assert [p.name for p in tmp_path.iterdir()] == ["x.pt"]
        count += 1
    assert count == 12


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    torch.save(text(), tmp_path / "one.pth")
    assert done(tmp_path / "one.pth")["sha256"]
    again = done(tmp_path / "one.pth")
    assert "error" not in again and again["sha256"] == ""
    torch.save(text(3), tmp_path / "two.pth")
    assert "in that folder already" in done(tmp_path / "two.pth")["error"]
    save_file({"x": torch.zeros(1)}, tmp_path / "vae.safetensors")
    torch.save(codec(), tmp_path / "codec.pth")
    assert "in that folder already" in done(tmp_path / "codec.pth")["error"]


def test_what_cannot_be_converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WeightsError, match="no folder"):
        list(convert(tmp_path / "nowhere"))
    with pytest.raises(WeightsError, match=r"no \.pt or \.pth"):
        list(convert(tmp_path))
    path = tmp_path / "x.pt"
    path.write_bytes(b"x")
    for reader, part in (("import os; os._exit(9)", "broke down"), ("while 1: pass", "minutes")):
        monkeypatch.setattr(parent, "_READER", reader)
        monkeypatch.setattr(parent, "TIMEOUT", 0.5)
        with pytest.raises(WeightsError, match=part):
            convert_file(path, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["x.pt"]


def test_memory_is_limited_by_the_size_of_the_file() -> None:
    pytest.importorskip("resource")
    code = (
        "import torch; from worldreel.models.unpickle import set_limits; set_limits(1000)\n"
        "torch.ones(2**20)\n"
        "try: torch.ones(2**30)\n"
        "except (MemoryError, RuntimeError): print('refused')\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.stdout.strip() == "refused", ended.stderr[-500:]
