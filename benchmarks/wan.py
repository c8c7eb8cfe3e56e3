"""Our transformer and codec, with the shapes of open weights, against those of diffusers with the
same tensors, in one run: `python benchmarks/wan.py [--device cuda] [--threads 1] [--part codec]`.

Prints one JSON object: seconds of either, and how many times faster ours is. Weights are random
and of few layers; a block's time does not depend on what is in it. On a CPU transformers run in
bf16 (diffusers' with the modules in fp32 that its own loader keeps so), codecs in fp32. Runs of
both take turns, and the shortest of each counts. With one thread that is time of the processor,
which another program on the same core disturbs least; it still shares caches and memory with it,
so compare ratios, not seconds. It needs diffusers (the extra `dev`), and says so where there is
none.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from worldreel.codec.wan import WanCodec
from worldreel.models.wan.cards import codec_config, transformer_config
from worldreel.models.wan.load import EXACT
from worldreel.models.wan.network import network
from worldreel.models.wan.pixels import pixels
from worldreel.transformer.model import Transformer

with warnings.catch_warnings(), contextlib.suppress(ImportError):
    warnings.simplefilter("ignore")
    from diffusers import AutoencoderKLWan, WanTransformer3DModel

    KEPT = set(WanTransformer3DModel._keep_in_fp32_modules)

# name: heads of 128, feed-forward, layers, patches in time × height × width
TRANSFORMERS = {
    "384 wide, 1024 patches": (3, 1536, 4, (4, 16, 16)),
    "384 wide, 4096 patches": (3, 1536, 2, (4, 32, 32)),
    "1536 wide, 4096 patches": (12, 8960, 1, (4, 32, 32)),
}
# smaller pictures than 128² would measure how fast weights come from memory, and no work
CODECS: dict[str, tuple[dict[str, Any], int]] = {
    "2.1": ({"base_dim": 96}, 128),
    "2.2": (
        {
            "base_dim": 160, "decoder_base_dim": 256, "z_dim": 48, "is_residual": True,
            "in_channels": 12, "out_channels": 12, "patch_size": 2, "scale_factor_spatial": 16,
            "latents_mean": [0.0] * 48, "latents_std": [1.0] * 48,
        },
        128,
    ),
}  # fmt: skip


def best(calls: dict[str, Callable[[], Any]], repeats: int, device: str) -> dict[str, float]:
    """The shortest of some runs of each, taken in turns so that both see the same machine. On one
    CPU thread the time of the processor counts, so that a busy machine does not matter."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    found = dict.fromkeys(calls, float("inf"))
    for turn in range(repeats + 1):
        for name, call in calls.items():
            if device != "cpu":
                torch.cuda.synchronize()
            begun = clock()
            call()
            if device != "cpu":
                torch.cuda.synchronize()
            if turn:  # the first warms up
                found[name] = min(found[name], clock() - begun)
    return found


def line(found: dict[str, float]) -> dict[str, float]:
    ratio = found["diffusers"] / found["ours"]
    return {**{k: round(v, 4) for k, v in found.items()}, "times_faster": round(ratio, 3)}


def transformers(device: str, repeats: int) -> dict[str, Any]:
    made = {}
    for name, (heads, hidden, layers, (t, h, w)) in TRANSFORMERS.items():
        theirs = WanTransformer3DModel(
            num_attention_heads=heads, ffn_dim=hidden, num_layers=layers
        ).eval()
        state = theirs.state_dict()
        shapes = {n: tuple(x.shape) for n, x in state.items()}
        config, names = transformer_config(dict(theirs.config), shapes)
        ours = Transformer(config).eval()
        table = network(config, names)
        ours.load_state_dict(
            {n: p.make(*(state[s] for s, _ in p.sources)) for n, p in table.items()}
        )
        for parameter_name, parameter in ours.named_parameters():
            if not any(part in parameter_name for part in EXACT):
                parameter.data = parameter.data.bfloat16()
        for parameter_name, parameter in theirs.named_parameters():
            if not KEPT & set(parameter_name.split(".")):
                parameter.data = parameter.data.bfloat16()
        ours, theirs = ours.to(device), theirs.to(device)
        noisy = torch.randn(1, 16, t, 2 * h, 2 * w, device=device)
        text = torch.randn(1, 512, 4096, device=device).bfloat16()
        level = torch.full((1, 1), 0.5, device=device)

        def run_ours(o=ours, n=noisy, x=text, s=level) -> Any:  # type: ignore[no-untyped-def]
            return o(n, s, x, None)

        def run_theirs(o=theirs, n=noisy, x=text, s=level) -> Any:  # type: ignore[no-untyped-def]
            return o(n.bfloat16(), s[:, 0] * 1000, x)

        made[name] = line(best({"ours": run_ours, "diffusers": run_theirs}, repeats, device))
    return made


def codecs(device: str, repeats: int) -> dict[str, Any]:
    made = {}
    for name, (sizes, side) in CODECS.items():
        theirs = AutoencoderKLWan(**sizes).eval()
        config, _ = codec_config(dict(theirs.config))
        ours, state = WanCodec(config).eval(), theirs.state_dict()
        table = pixels(ours, original=False)
        tensors = {n: p.make(*(state[s] for s, _ in p.sources)) for n, p in table.items()}
        ours.load_state_dict(tensors, strict=False, assign=True)
        ours, theirs = ours.to(device), theirs.to(device)
        del state, tensors
        grid = side // config.spatial
        latents = torch.randn(1, config.channels, 2, grid, grid, device=device)
        frames = torch.randn(1, 3, 5, side, side, device=device)
        for way, own, other in (
            ("decode", lambda o=ours, x=latents: o.decode(x),
             lambda o=theirs, x=latents: o.decode(x)),
            ("encode", lambda o=ours, x=frames: o.encode(x),
             lambda o=theirs, x=frames: o.encode(x)),
        ):  # fmt: skip
            found = best({"ours": own, "diffusers": other}, repeats, device)
            made[f"{name} {way}, 5 frames of {side}²"] = line(found)
    return made


STARTS = {
    "networks imported": (
        "from worldreel.models.wan.load import read_codec, read_transformer",
        "from diffusers import AutoencoderKLWan, WanTransformer3DModel",
    ),
    "a tiny model ready": (
        """
import sys
from worldreel.generator import Generator
model = Generator.load(sys.argv[1]).model
model.read("a fox"), model.experts[0].ready
""",
        """
import sys
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanPipeline, WanTransformer3DModel
from safetensors.torch import load_file
from transformers import AutoTokenizer, UMT5EncoderModel
folder = sys.argv[1]
# Its from_pretrained reads Wan's transformers with the package accelerate alone.
made = WanTransformer3DModel.from_config(f"{folder}/transformer/config.json")
made.load_state_dict(load_file(f"{folder}/transformer/diffusion_pytorch_model.safetensors"))
WanPipeline(
    tokenizer=AutoTokenizer.from_pretrained(f"{folder}/tokenizer"),
    text_encoder=UMT5EncoderModel.from_pretrained(f"{folder}/text_encoder"),
    vae=AutoencoderKLWan.from_pretrained(f"{folder}/vae", low_cpu_mem_usage=False),
    scheduler=UniPCMultistepScheduler.from_pretrained(f"{folder}/scheduler"),
    transformer=made,
)
""",
    ),
}


def starts(repeats: int) -> dict[str, Any]:
    """Seconds of the processor until all that makes videos is imported, and until a model of no
    size is there too, in processes of their own."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from open_weights import pipeline

    def seconds(program: str, folder: str) -> float:
        before = os.times()
        command = [sys.executable, "-W", "ignore", "-c", program, folder]
        subprocess.run(command, check=True, capture_output=True)
        after = os.times()
        return sum(after[2:4]) - sum(before[2:4])

    made = {}
    with tempfile.TemporaryDirectory() as folder:
        pipeline("t2v").save_pretrained(folder)
        for name, (ours, theirs) in STARTS.items():
            found = {
                who: min(seconds(program, folder) for _ in range(repeats))
                for who, program in (("ours", ours), ("diffusers", theirs))
            }
            less = found["diffusers"] - found["ours"]
            made[name] = {**line(found), "seconds_less": round(less, 2)}
    return made


@torch.no_grad()
def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--part", choices=("transformer", "codec", "start"))
    asked = parser.parse_args()
    if asked.threads:
        torch.set_num_threads(asked.threads)
    if importlib.util.find_spec("diffusers") is None:
        print(json.dumps({"skipped": "diffusers is not installed"}))
        return
    torch.manual_seed(0)
    made: dict[str, Any] = {"threads": torch.get_num_threads(), "device": asked.device}
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "transformer": lambda: transformers(asked.device, asked.repeats),
        "codec": lambda: codecs(asked.device, asked.repeats),
        "start": lambda: starts(asked.repeats),
    }
    for name, measure in parts.items():
        if asked.part in (None, name):
            made[name] = measure()
    print(json.dumps(made, indent=2))


if __name__ == "__main__":
    main()
