"""Every figure of open weights on one GPU, by one command: `python benchmarks/wan_gpu.py`.

Weights are random and of the true shapes; how long a network takes does not depend on what it has
learned. Each figure is printed as a line of JSON as soon as it is there, a failed one with its
reason, so that a run that is cut short has told what it had:

    limit      TFLOP/s of one large bf16 product: what all shares are of
    frames     the embedded model on the GPU, as it is, compiled, streamed and in 8 bits: how far
               its frames are from those of the CPU
    attention  of 12 heads and 32,760 patches, by each kernel that is here
    1.3B, 5B   seconds a forward, ours (plain, compiled, both sides of guidance at once, 8 bits) and
               diffusers'; what that makes of whole videos, beside the targets of the project
    codecs     seconds of decoding 81 and 121 frames, and memory for half of them and for all
    offload    5B in 12 GB and 14B in 24 GB: the process may take no more
    parallel   a forward of 1.3B by all GPUs together, and how far it is from one's

`--only 1.3B "codec 2.1"` takes some of them. None begins once `--minutes` (9) are over, and it is
said which were left. `--dry` does all of it with tiny shapes on the CPU, to see that it runs; its
figures mean nothing. diffusers' part needs the extra `dev` and is left out without it.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from worldreel.codec.wan import WanCodec, WanCodecConfig
from worldreel.evaluate.machine import operations, peak
from worldreel.generator import Generator
from worldreel.models.compiled import compile_blocks
from worldreel.models.offload import bytes_at_work, fitting, stream
from worldreel.models.parallel import mesh, share
from worldreel.models.quantised import quantise
from worldreel.models.wan.load import EXACT
from worldreel.request import Request
from worldreel.transformer.attention import kernels
from worldreel.transformer.config import TransformerConfig
from worldreel.transformer.model import Transformer

with warnings.catch_warnings(), contextlib.suppress(ImportError):
    warnings.simplefilter("ignore")
    from diffusers import AutoencoderKLWan, WanTransformer3DModel

BF16 = torch.bfloat16
HEAD, WORDS, TEXT = 128, 512, 4096


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A network and the latents it works on; `each`: every patch has its own noise level."""

    heads: int
    hidden: int
    layers: int
    latents: tuple[int, int, int]
    channels: int = 16
    each: bool = False

    @property
    def config(self) -> TransformerConfig:
        """Our sizes of the network."""
        return TransformerConfig(
            width=HEAD * self.heads, layers=self.layers, heads=self.heads, hidden=self.hidden,
            channels=self.channels, text_width=TEXT, gelu=True, text_gelu=True, pooled=False,
            white=False, exact=True,
        )  # fmt: skip

    @property
    def patches(self) -> int:
        """Patches of 1×2×2 latents."""
        t, h, w = self.latents
        return t * h * w // 4


CLIPS = {
    "1.3B": Clip(heads=12, hidden=8960, layers=30, latents=(21, 60, 104)),
    "5B": Clip(heads=24, hidden=14336, layers=30, latents=(31, 44, 80), channels=48, each=True),
    "14B": Clip(heads=40, hidden=13824, layers=40, latents=(21, 60, 104)),
}
CODECS = {
    "2.1": (WanCodecConfig(), (21, 60, 104), 0.7),
    "2.2": (
        WanCodecConfig(channels=48, width=160, decoder_width=256, block=2, shortcuts=True),
        (31, 44, 80), 3.5,
    ),
}  # fmt: skip
THEIRS: dict[str, dict[str, Any]] = {
    "2.1": {"base_dim": 96},
    "2.2": {
        "base_dim": 160, "decoder_base_dim": 256, "z_dim": 48, "is_residual": True,
        "in_channels": 12, "out_channels": 12, "patch_size": 2, "scale_factor_spatial": 16,
        "latents_mean": [0.0] * 48, "latents_std": [1.0] * 48,
    },
}  # fmt: skip
# figure: (network, steps, calls a step, seconds that it may take)
VIDEOS = {
    "1.3B, 50 steps with guidance": ("1.3B", 50, 2, 55.0),
    "1.3B, 4 steps without": ("1.3B", 4, 1, 2.2),
    "5B, 3 steps without": ("5B", 3, 1, 2.7),
}
ROOM = {"5B": 12, "14B": 24}


class Bench:
    """Runs and times; knows the device, how often, and what a tenth of everything is (`dry`)."""

    def __init__(self, *, dry: bool, repeats: int) -> None:
        self.dry, self.repeats = dry, 1 if dry else repeats
        self.device = torch.device("cpu" if dry else "cuda")
        self.backend = "eager" if dry else "inductor"
        self.limit = 1.0

    def clip(self, name: str) -> Clip:
        """A network's true shape, or a tiny one."""
        clip = CLIPS[name]
        if not self.dry:
            return clip
        return replace(clip, heads=2, hidden=64, layers=2, latents=(3, 4, 4))

    def seconds(self, call: Callable[[], Any]) -> float:
        """Median of some runs, after two that warm up."""
        taken = []
        for turn in range(self.repeats + (0 if self.dry else 2)):
            self._wait()
            begun = time.perf_counter()
            call()
            self._wait()
            if self.dry or turn > 1:
                taken.append(time.perf_counter() - begun)
        return statistics.median(taken)

    def memory(self, call: Callable[[], Any]) -> float:
        """Most GB that are held while it runs; 0 on a CPU."""
        if self.dry:
            call()
            return 0.0
        self.clear()
        torch.cuda.reset_peak_memory_stats()
        call()
        return torch.cuda.max_memory_allocated() / 2**30

    def clear(self) -> None:
        """Gives back what nobody holds."""
        if "torch._dynamo" in sys.modules:
            torch._dynamo.reset()  # or after eight programs nothing is compiled any more
        gc.collect()
        if not self.dry:
            torch.cuda.empty_cache()

    def _wait(self) -> None:
        if not self.dry:
            torch.cuda.synchronize()

    # The figures: each a dict, ready for JSON.

    def find_limit(self) -> dict[str, Any]:
        """What all shares are of."""
        self.limit = peak(BF16, self.device, seconds=0.1 if self.dry else 3.0)
        name = "cpu" if self.dry else torch.cuda.get_device_name()
        return {"device": name, "torch": torch.__version__, "tflops": _round(self.limit / 1e12)}

    def attention(self) -> dict[str, Any]:
        """TFLOP/s of each kernel; the one that `attend` takes is the first of them that runs."""
        clip = self.clip("1.3B")
        shape = (1, clip.heads, clip.patches, HEAD)
        q, k, v = (torch.randn(shape, device=self.device).to(BF16) for _ in range(3))
        work = 4 * clip.heads * clip.patches**2 * HEAD
        found: dict[str, Any] = {"order": [kind.name for kind in kernels()]}
        for kind in () if self.dry else (SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION):
            try:
                with sdpa_kernel(kind):
                    taken = self.seconds(partial(scaled_dot_product_attention, q, k, v))
                found[kind.name] = _round(work / taken / 1e12)
            except RuntimeError as error:
                found[kind.name] = _reason(error)
        return found

    def forward(self, name: str) -> dict[str, Any]:
        """Seconds a forward, ours and theirs, and of guidance in one batch."""
        clip = self.clip(name)
        work, found = operations(clip.config, clip.patches, WORDS), {}
        ways: dict[str, Callable[[], Callable[[], Tensor]]] = {
            "ours": partial(self._ours, clip),
            "ours compiled": partial(self._ours, clip, compiled=True),
            "ours compiled, two in a batch": partial(self._ours, clip, compiled=True, batch=2),
            "ours in 8 bits": partial(self._ours, clip, compiled=True, fp8="memory"),
            "ours multiplied in 8 bits": partial(self._ours, clip, compiled=True, fp8="speed"),
            "diffusers": partial(self._theirs, clip),
            "diffusers compiled": partial(self._theirs, clip, compiled=True),
        }
        for way, make in ways.items():
            self.clear()
            with self.told(found, way):
                taken = self.seconds(make())
                calls = 2 if "two" in way else 1
                found[way] = {
                    "seconds": _round(taken),
                    "share_of_limit": _round(calls * work / taken / self.limit),
                }
            tell(f"{name}, {way}", found[way])  # the rest may never come
        best = min((f["seconds"] for w, f in found.items() if _counts(w, f)), default=None)
        for other in ("diffusers", "diffusers compiled"):
            if best is not None and _counts("ours", found.get(other, {})):
                found[f"times faster than {other}"] = _round(found[other]["seconds"] / best)
        for video, (network, steps, calls, target) in VIDEOS.items():
            if network == name and best is not None:
                taken = steps * calls * best
                found[video] = {"seconds": _round(taken), "target": target, "met": taken <= target}
        return {"patches": clip.patches, "tflop": _round(work / 1e12), **found}

    @contextlib.contextmanager
    def told(self, found: dict[str, Any], name: str) -> Iterator[None]:
        """One way that fails is a figure that says why; the others go on."""
        try:
            yield
        except Exception as error:  # compilers and drivers have errors of every kind
            found[name] = _reason(error)

    def frames(self) -> dict[str, Any]:
        """Whether the whole way from prompt to frames gives on the GPU what it gives on a CPU."""
        device = self.device.type
        ways: dict[str, dict[str, Any]] = {
            "cpu": {"device": "cpu"},
            "plain": {"device": device},
            "streamed": {"device": device, "offload": True},
            "8 bits": {"device": device, "fp8": "memory"},
            "8 bits, multiplied": {"device": device, "fp8": "speed"},
        } | ({} if self.dry else {"compiled": {"device": device, "compiled": True}})
        found: dict[str, Any] = {}
        made: dict[str, Tensor] = {}
        for way, running in ways.items():
            with self.told(found, way):
                generator = Generator.load(**running)
                request = Request(
                    prompt="a red car drives along the beach", seed=1, seconds=0.5,
                    steps=2 if self.dry else 10, fp8=running.get("fp8", ""),
                )  # fmt: skip
                made[way] = generator.generate(request).frames[:].float()
                apart = (made[way] - made["cpu"]).abs()
                found[way] = {"mean": _round(float(apart.mean())), "most": float(apart.max())}
        return {"levels_of_255_from_the_cpu": found}

    def parallel(self) -> dict[str, Any]:
        """A forward of 1.3B whose patches all GPUs share (two ranks on the CPU if `dry`)."""
        ranks = 2 if self.dry else torch.cuda.device_count()
        if ranks < 2:
            return {
                "skipped": "there is one GPU; tests/test_parallel.py shares among two processes"
            }
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += ["--nproc-per-node", str(ranks), __file__, "--rank", *["--dry"] * self.dry]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        lines = [line for line in ended.stdout.splitlines() if line.startswith("{")]
        if ended.returncode or not lines:
            raise RuntimeError(ended.stderr.strip().splitlines()[-1])
        return {"gpus": ranks, **json.loads(lines[-1])}

    def rank(self) -> None:
        """One of those processes; the first prints."""
        row = mesh(self.device.type)
        assert row is not None, "to be started by `torch.distributed.run`"
        if not self.dry:
            self.device = torch.device("cuda", torch.cuda.current_device())
        clip = self.clip("1.3B")
        torch.manual_seed(1)  # the same weights and inputs everywhere
        transformer = _random(self._place(Transformer, clip.config), _exact)
        run = self._run(transformer, clip)
        alone, one = self.seconds(run), run()
        share(transformer, row)
        together, shared = self.seconds(run), run()
        apart = float((one - shared).abs().max() / one.abs().max())
        if row.get_rank() == 0:
            told = {"alone": _round(alone), "seconds": _round(together), "apart": apart}
            print(json.dumps({**told, "times_faster": _round(alone / together)}), flush=True)
        torch.distributed.destroy_process_group()

    def _ours(
        self, clip: Clip, *, compiled: bool = False, batch: int = 1, fp8: str = ""
    ) -> Callable[[], Tensor]:
        transformer = _random(self._place(Transformer, clip.config), _exact)
        if fp8:
            quantise(transformer, fast=fp8 == "speed")
        if compiled:
            compile_blocks(transformer, backend=self.backend)
        return self._run(transformer, clip, batch)

    def _place(self, make: Callable[..., nn.Module], *given: Any) -> Any:
        with torch.device(self.device):
            return make(*given)

    def _run(self, transformer: Transformer, clip: Clip, batch: int = 1) -> Callable[[], Tensor]:
        noisy, level, text = self._inputs(clip, batch)
        words = transformer.words(text)
        return lambda: transformer(noisy, level, text, None, words=words)

    def _inputs(self, clip: Clip, batch: int = 1) -> tuple[Tensor, Tensor, Tensor]:
        t, h, w = clip.latents
        noisy = torch.randn(batch, clip.channels, t, h, w, device=self.device)
        text = torch.randn(batch, WORDS, TEXT, device=self.device).to(BF16)
        level = torch.full((batch, clip.patches if clip.each else 1), 0.5, device=self.device)
        if clip.each:  # the first frame is known
            level[:, : h * w // 4] = 0
        return noisy, level, text

    def _theirs(self, clip: Clip, *, compiled: bool = False) -> Callable[[], Tensor]:
        kept = set(WanTransformer3DModel._keep_in_fp32_modules)
        make = partial(
            WanTransformer3DModel, num_attention_heads=clip.heads, ffn_dim=clip.hidden,
            num_layers=clip.layers, in_channels=clip.channels, out_channels=clip.channels,
        )  # fmt: skip
        theirs = _random(self._place(make), lambda name: bool(kept & set(name.split("."))))
        if compiled:
            theirs.compile_repeated_blocks(backend=self.backend)
        noisy, level, text = self._inputs(clip)
        told = 1000 * (level if clip.each else level[:, 0])
        return lambda: theirs(noisy.to(BF16), told, text, return_dict=False)[0]

    def codec(self, name: str) -> dict[str, Any]:
        """Seconds of decoding, ours and theirs, and what memory half of the frames takes."""
        config, (t, h, w), target = CODECS[name]
        given = dict(THEIRS[name])
        if self.dry:
            config, (t, h, w) = replace(config, width=8, decoder_width=8), (3, 4, 4)
            given |= {key: 8 for key in ("base_dim", "decoder_base_dim") if key in given}
        latents = torch.randn(1, config.channels, t, h, w, device=self.device).to(BF16)
        ours = _random(self._place(WanCodec, config), lambda _: False)
        found: dict[str, Any] = {"frames": 1 + 4 * (t - 1), "target": target}
        for way, decode in {"ours": ours.decode, "diffusers": None}.items():
            with self.told(found, way):
                if decode is None:
                    theirs = self._place(partial(AutoencoderKLWan, **given))
                    decode = _random(theirs, lambda _: False).decode
                found[way] = {
                    "gigabytes_half": _round(self.memory(partial(decode, latents[:, :, : t // 2]))),
                    "gigabytes": _round(self.memory(partial(decode, latents))),
                    "seconds": _round(self.seconds(partial(decode, latents))),
                }
        if _counts("ours", found["ours"]):
            found["met"] = found["ours"]["seconds"] <= target
            if _counts("ours", found.get("diffusers", {})):
                ratio = found["diffusers"]["seconds"] / found["ours"]["seconds"]
                found["times faster than diffusers"] = _round(ratio)
        return found

    def offload(self, name: str) -> dict[str, Any]:
        """A network in less memory than its weights take: seconds a forward, and the most held."""
        clip, room = self.clip(name), ROOM[name]
        with torch.device("cpu"):
            transformer = _random(Transformer(replace(clip.config, layers=1)), _exact)
            for _ in range(clip.layers - 1):  # one block's numbers will do for all
                block = type(transformer.blocks[0])(clip.config).to(BF16)
                block.load_state_dict(transformer.blocks[0].state_dict(), assign=True)
                transformer.blocks.append(_copied(block))
        work = bytes_at_work(clip.config, clip.patches, levels=clip.patches if clip.each else 1)
        if not self.dry:
            whole = torch.cuda.get_device_properties(0).total_memory
            torch.cuda.set_per_process_memory_fraction(room * 2**30 / whole)
        try:
            # The driver's own share is not counted by torch: leave it half a gigabyte.
            resident = fitting(transformer, int((room - 0.5) * 2**30), at_work=work)
            if self.dry:
                resident = 1
            stream(transformer, self.device, resident=resident)
            run = self._run(transformer, clip)
            most = self.memory(run)
            taken = self.seconds(run)
        finally:
            if not self.dry:
                torch.cuda.set_per_process_memory_fraction(1.0)
        return {
            "room_gigabytes": room,
            "blocks_that_stay": resident,
            "most_gigabytes": _round(most),
            "seconds": _round(taken),
        }


def _random(network: Any, exact: Callable[[str], bool]) -> Any:
    """bf16 but for what is `exact`, all numbers drawn: products of zeros would be too fast."""
    for name, parameter in network.named_parameters():
        kind = torch.float32 if exact(name) else BF16
        parameter.data = parameter.data.normal_(std=0.02).to(kind)
    for _, buffer in network.named_buffers():
        if buffer.is_floating_point() and exact is not _exact:
            buffer.data = buffer.data if buffer.dtype == torch.float64 else buffer.data.to(BF16)
    return network.eval().requires_grad_(False)


def _exact(name: str) -> bool:
    return any(part in name for part in EXACT)


def _copied(block: Any) -> Any:
    for parameter in block.parameters():
        parameter.data = parameter.data.clone()
    return block


def _counts(way: str, figure: Any) -> bool:
    """Whether a figure is a time of ours for one clip."""
    others = ("two", "8 bits")
    return way.startswith("ours") and not any(o in way for o in others) and "seconds" in figure


def _reason(error: Exception) -> dict[str, str]:
    return {"failed": f"{type(error).__name__}: {error}".split("\n")[0][:300]}


def tell(name: str, found: dict[str, Any]) -> None:
    print(json.dumps({"figure": name, **found}), flush=True)


def _round(value: float) -> float:
    return float(f"{value:.4g}")


@torch.no_grad()
def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dry", action="store_true")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="limit is always measured")
    parser.add_argument("--minutes", type=float, default=9.0, help="when no part begins any more")
    parser.add_argument("--rank", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if not (asked.dry or torch.cuda.is_available()):
        print(json.dumps({"skipped": "there is no CUDA device; --dry runs without"}))
        return
    torch.manual_seed(0)
    begun = time.monotonic()
    bench = Bench(dry=asked.dry, repeats=asked.repeats)
    figures: dict[str, Callable[[], dict[str, Any]]] = {
        "limit": bench.find_limit,
        "frames": bench.frames,
        "attention": bench.attention,
        "1.3B": partial(bench.forward, "1.3B"),
        "codec 2.1": partial(bench.codec, "2.1"),
        "5B": partial(bench.forward, "5B"),
        "codec 2.2": partial(bench.codec, "2.2"),
        "offload 5B": partial(bench.offload, "5B"),
        "offload 14B": partial(bench.offload, "14B"),
        "parallel": bench.parallel,
    }
    odd = sorted(set(asked.only or ()) - figures.keys())
    if odd:
        parser.error(f"there is no figure {odd[0]}; there are: {', '.join(figures)}")
    if asked.rank:
        bench.rank()
        return
    for name, measure in figures.items():
        if name != "limit" and asked.only and name not in asked.only:
            continue
        if time.monotonic() - begun > 60 * asked.minutes:
            tell(name, {"skipped": "the time is up; name it with --only"})
            continue
        found: dict[str, Any] = {}
        with bench.told(found, name):
            found = measure()
        tell(name, found.get(name, found))
        bench.clear()


if __name__ == "__main__":
    main()
