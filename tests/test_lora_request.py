"""--lora: how it is typed, that the frames change, and that a rerun wants the same file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from worldreel.cli import main
from worldreel.errors import RequestError, WeightsError
from worldreel.generator import Generator
from worldreel.models.lora import put_loras
from worldreel.recipe import Recipe, extract
from worldreel.request import Lora, Request
from worldreel.transformer.config import TransformerConfig
from worldreel.transformer.model import Transformer

SMALL = ["--steps", "1", "--seed", "3", "--size", "128x128"]


@pytest.mark.parametrize(
    ("typed", "lora"),
    [
        ("a.safetensors", Lora(path="a.safetensors")),
        ("a.safetensors:0.5", Lora(path="a.safetensors", weight=0.5)),
        ("dir/a.safetensors:-1@low", Lora(path="dir/a.safetensors", weight=-1.0, part="low")),
        ("a.safetensors@high", Lora(path="a.safetensors", part="high")),
        ("me@home/a.safetensors", Lora(path="me@home/a.safetensors")),
        ("C:\\loras\\a.safetensors", Lora(path="C:\\loras\\a.safetensors")),
        ("C:/loras/a.safetensors:2", Lora(path="C:/loras/a.safetensors", weight=2.0)),
    ],
)
def test_how_it_is_typed(typed: str, lora: Lora) -> None:
    assert Lora.parse(typed) == lora


def test_what_is_typed_wrong_is_said() -> None:
    with pytest.raises(RequestError, match=r'weight of the LoRA "a.safetensors" is "much"'):
        Lora.parse("a.safetensors:much")
    for lora, said in (
        (Lora(path=" "), "path"),
        (Lora(path="a", weight=11), "nearest is 10"),
        (Lora(path="a", weight=float("nan")), "-10 to 10"),
        (Lora(path="a", part="middle"), "high"),
    ):
        with pytest.raises(RequestError, match=said):
            Request(prompt="x", loras=(lora,))
    with pytest.raises(RequestError, match="21 LoRAs"):
        Request(prompt="x", loras=(Lora(path="a"),) * 21)


def write(path: Path, seed: int) -> Path:
    """A LoRA on the embedded model's own layers."""
    g = torch.Generator().manual_seed(seed)
    layer = "blocks.3.feed_forward.0"
    down, up = torch.randn(2, 256, generator=g) / 4, torch.randn(1024, 2, generator=g)
    save_file({f"{layer}.lora_A.weight": down, f"{layer}.lora_B.weight": up}, path)
    return path


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    assert main([*arguments, "--json"]) == 0
    made: dict[str, object] = json.loads(capsys.readouterr().out)
    return made


def test_frames_change_and_a_rerun_wants_the_same_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain, with_it, again = (tmp_path / f"{name}.png" for name in ("plain", "with", "again"))
    lora = write(tmp_path / "a.safetensors", 0)
    answer(capsys, "image", "a red ball", "-o", str(plain), *SMALL)
    answer(capsys, "image", "a red ball", "-o", str(with_it), "--lora", f"{lora}:0.7", *SMALL)
    found = Recipe.from_dict(extract(with_it))
    assert [(x["name"], x["weight"], x["part"]) for x in found.loras] == [
        ("a.safetensors", 0.7, "")
    ]
    assert Recipe.from_dict(extract(plain)).loras == []
    answer(capsys, "rerun", str(with_it), "-o", str(again))
    pixels = [torch.tensor(list(shown(p))) for p in (plain, with_it, again)]
    assert torch.equal(pixels[1], pixels[2])
    assert not torch.equal(pixels[0], pixels[1])
    write(lora, 1)
    assert main(["rerun", str(with_it), "-o", str(tmp_path / "b.png")]) == 2
    assert "has changed" in capsys.readouterr().err
    lora.unlink()
    assert main(["rerun", str(with_it), "-o", str(tmp_path / "b.png")]) == 2
    assert "not beside it" in capsys.readouterr().err
    assert not (tmp_path / "b.png").exists()


def shown(path: Path) -> bytes:
    from PIL import Image

    with Image.open(path) as image:
        return image.convert("RGB").tobytes()


def test_a_request_with_others_than_the_model_has_is_refused(tmp_path: Path) -> None:
    generator = Generator.load()
    lora = Lora(path=str(write(tmp_path / "a.safetensors", 0)))
    with pytest.raises(RequestError, match="load one with the same"):
        generator.generate(Request(prompt="x", steps=1, loras=(lora,)))
    with pytest.raises(RequestError, match="one network"):
        Generator.load(loras=(Lora(path=lora.path, part="low"),))
    with pytest.raises(WeightsError, match="no LoRA"):
        Generator.load(loras=(Lora(path=str(tmp_path / "b.safetensors")),))


def test_two_networks_get_their_own(tmp_path: Path) -> None:
    config = TransformerConfig(width=24, layers=1, heads=2, hidden=40, channels=4, text_width=10)
    networks = [Transformer(config).requires_grad_(False) for _ in range(2)]
    before = [n.blocks[0].attention.qkv.weight.clone() for n in networks]
    loras, products = [], []
    for i, part in enumerate(("high", "low", "")):
        down, up = torch.randn(2, 24), torch.randn(72, 2)
        name = "blocks.0.attention.qkv"
        path = tmp_path / f"{i}.safetensors"
        save_file({f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}, path)
        loras.append(Lora(path=str(path), weight=0.5, part=part))
        products.append(0.5 * up @ down)
    put_loras(networks, loras)
    for i, network in enumerate(networks):
        wanted = before[i] + products[i] + products[2]
        assert torch.allclose(network.blocks[0].attention.qkv.weight, wanted, atol=1e-5)
