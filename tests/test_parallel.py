"""Two ranks that share the patches give what one gives alone (gloo, on a CPU)."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from PIL import Image
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from worldreel.errors import RequestError
from worldreel.models.offload import stream
from worldreel.models.parallel import mesh, share
from worldreel.transformer.config import TransformerConfig
from worldreel.transformer.model import Transformer

WAN = {"gelu": True, "text_gelu": True, "pooled": False, "white": False, "exact": True}


def network(heads: int = 4, **more: bool) -> Transformer:
    torch.manual_seed(0)
    config = TransformerConfig(
        width=12 * heads, heads=heads, layers=3, hidden=64, channels=4, text_width=16,
        frequencies=32, **more,
    )  # fmt: skip
    made = Transformer(config).eval().requires_grad_(False)
    for parameter in made.parameters():
        parameter.copy_(torch.randn_like(parameter) / 8)
    return made


CASES = {
    "even": {"frames": 4, "levels": 1, "texts": 1, "causal": 0, "wan": False},
    "15 patches, a level each": {"frames": 5, "levels": 15, "texts": 1, "causal": 0, "wan": True},
    "two shots": {"frames": 5, "levels": 1, "texts": 2, "causal": 0, "wan": False},
    "causal": {"frames": 5, "levels": 15, "texts": 1, "causal": 2, "wan": True},
    "one patch": {"frames": 1, "levels": 1, "texts": 1, "causal": 0, "wan": False, "side": 2},
}


def velocity(case: str, row: DeviceMesh | None, *, streamed: bool = False) -> torch.Tensor:
    """What the network says; with `row`, this rank's share of the work done by this rank."""
    asked = CASES[case]
    transformer = network(**(WAN if asked["wan"] else {}))
    if row is not None:
        share(transformer, row)
    if streamed:
        stream(transformer, "cpu", resident=1)
    draw = torch.Generator().manual_seed(1)
    frames, texts = int(asked["frames"]), int(asked["texts"])
    side = int(asked.get("side", 0))
    noisy = torch.randn(1, 4, frames, side or 2, side or 6, generator=draw)
    text = torch.randn(1, texts, 6, 16, generator=draw)
    mask = None if asked["wan"] else torch.rand(1, texts, 6, generator=draw) < 0.7
    level = torch.rand(1, int(asked["levels"]), generator=draw)
    shots = torch.arange(frames) % texts
    with torch.no_grad():
        return transformer(noisy, level, text, mask, shots=shots, causal=int(asked["causal"]))


def other_rank(store: str) -> None:
    """The second rank, in a process of its own: does its share of every case."""
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=1, world_size=2)
    row = init_device_mesh("cpu", (2,))
    for case in CASES:
        velocity(case, row)
    velocity("even", row, streamed=True)
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def row(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeviceMesh]:
    store = tmp_path_factory.mktemp("ranks") / "store"
    command = [sys.executable, __file__, str(store)]
    with subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}) as second:
        dist.init_process_group("gloo", init_method=f"file://{store}", rank=0, world_size=2)
        yield init_device_mesh("cpu", (2,))
        dist.destroy_process_group()
        assert second.wait(30) == 0


def test_two_ranks_equal_one(row: DeviceMesh) -> None:
    for case in CASES:
        alone = velocity(case, None)
        torch.testing.assert_close(velocity(case, row), alone, rtol=1e-5, atol=1e-6, msg=case)
    together = velocity("even", row, streamed=True)
    torch.testing.assert_close(together, velocity("even", None), rtol=1e-5, atol=1e-6)


def test_heads_that_cannot_be_shared_are_refused(row: DeviceMesh) -> None:
    with pytest.raises(RequestError, match=r"2 GPUs cannot share 3 heads evenly; .* is 1\."):
        share(network(heads=3), row)


def test_one_process_alone_needs_no_mesh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert mesh("cpu") is None


@pytest.mark.slow
def test_the_command_shares_a_video_among_processes(tmp_path: Path) -> None:
    """As `torchrun` starts it: one file, of the frames that one process makes."""
    command = [
        "image",
        "a red ball in the desert",
        "--seed",
        "3",
        "--steps",
        "2",
        "--device",
        "cpu",
    ]
    alone, shared = tmp_path / "alone.png", tmp_path / "shared.png"
    run = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for start, target in (([], alone), (run, shared)):
        ended = subprocess.run(
            [sys.executable, *start, "-m", "worldreel", *command, "--json", "-o", str(target)],
            capture_output=True, text=True, check=False, cwd=tmp_path,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        answers = [line for line in ended.stdout.splitlines() if line.startswith("{")]
        assert len(answers) == 1 and json.loads(answers[0])["path"] == str(target)
    frames = [np.asarray(Image.open(path).convert("RGB"), int) for path in (alone, shared)]
    assert np.abs(frames[0] - frames[1]).max() <= 1
    assert {path.suffix for path in tmp_path.iterdir()} == {".png"}


if __name__ == "__main__":
    other_rank(str(Path(sys.argv[1])))
