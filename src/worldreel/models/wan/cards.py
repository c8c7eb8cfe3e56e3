"""config.json of either layout → our configurations.

The original files' card leaves some things unsaid (2.1's image-to-video network has an image
branch, 2.2's of the same name has none), so the names in the weights decide those.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from worldreel.codec.wan import WanCodecConfig
from worldreel.errors import WeightsError, message, shown
from worldreel.models.wan.network import DIFFUSERS, ENTER, ORIGINAL, RATE, Names
from worldreel.models.wan.parts import Shape
from worldreel.transformer.config import TransformerConfig

CARD = "config.json"
MEAN_21 = (
    -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508,
    0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921,
)  # fmt: skip
DEVIATION_21 = (
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743,
    3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160,
)  # fmt: skip
MEAN_22 = (
    -0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557,
    -0.1382, 0.0542, 0.2813, 0.0891, 0.1570, -0.0098, 0.0375, -0.1825,
    -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502,
    -0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.1230,
    -0.0313, -0.1649, 0.0117, 0.0723, -0.2839, -0.2083, -0.0520, 0.3748,
    0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667,
)  # fmt: skip
DEVIATION_22 = (
    0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013,
    0.8158, 1.0344, 0.5894, 1.0901, 0.6885, 0.6165, 0.8454, 0.4978,
    0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659,
    0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093,
    0.5709, 0.6065, 0.6415, 0.4944, 0.5726, 1.2042, 0.5458, 1.6887,
    0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744,
)  # fmt: skip


def card(folder: Path) -> dict[str, Any]:
    """The folder's config.json; raises `WeightsError` if there is none to read."""
    try:
        found = json.loads((folder / CARD).read_text())
        if not isinstance(found, dict):
            raise ValueError(type(found))
    except (OSError, ValueError) as error:
        came = f"the folder {shown(folder.name)} has no readable {CARD}"
        raise WeightsError(message(came, "the one that came with the weights")) from error
    return found


def transformer_config(
    found: Mapping[str, Any], shapes: Mapping[str, Shape]
) -> tuple[TransformerConfig, Names]:
    """What a transformer's card and weights' names describe, and their layout.

    Raises `WeightsError` if it is none of this family, or a kind that is not known here.
    """
    original = f"{ORIGINAL.level[0]}.weight" in shapes
    names = ORIGINAL if original else DIFFUSERS
    if f"{ENTER}.weight" not in shapes or f"{names.level[0]}.weight" not in shapes:
        raise WeightsError(message("these are no weights of the Wan family", "weights of one"))
    try:
        sizes = _original(found) if original else _diffusers(found)
        image = f"{names.image[0]}.weight"
        rates = shapes[f"{RATE}.weight"][0] if f"{RATE}.weight" in shapes else 0
        return TransformerConfig(
            **sizes,
            image_width=shapes[image][0] if image in shapes else None,
            image_places=shapes[names.places][1] if names.places in shapes else None,
            rates=rates,
            gelu=True,
            text_gelu=True,
            pooled=False,
            white=False,
            exact=True,
        ), names
    except (KeyError, TypeError, ValueError, IndexError, AssertionError) as error:
        why = shown(str(error), limit=80)
        came = f"the transformer's {CARD} is not one of the Wan family ({why})"
        raise WeightsError(message(came, "the one that came with the weights")) from error


def _original(found: Mapping[str, Any]) -> dict[str, Any]:
    outputs, inputs = int(found["out_dim"]), int(found["in_dim"])
    return {
        "width": int(found["dim"]),
        "layers": int(found["num_layers"]),
        "heads": int(found["num_heads"]),
        "hidden": int(found["ffn_dim"]),
        "channels": outputs,
        "beside": inputs - outputs,
        "patch": _three(found.get("patch_size", (1, 2, 2))),
        "text_width": int(found.get("text_dim", 4096)),
        "frequencies": int(found["freq_dim"]),
        "text_norm": bool(found.get("cross_attn_norm", True)),
        "eps": float(found.get("eps", 1e-6)),
    }


def _diffusers(found: Mapping[str, Any]) -> dict[str, Any]:
    heads, inputs = int(found["num_attention_heads"]), int(found["in_channels"])
    outputs = int(found.get("out_channels") or inputs)
    if found.get("qk_norm", "rms_norm_across_heads") != "rms_norm_across_heads":
        raise ValueError(f"qk_norm {found['qk_norm']}")
    return {
        "width": heads * int(found["attention_head_dim"]),
        "layers": int(found["num_layers"]),
        "heads": heads,
        "hidden": int(found["ffn_dim"]),
        "channels": outputs,
        "beside": inputs - outputs,
        "patch": _three(found["patch_size"]),
        "text_width": int(found["text_dim"]),
        "frequencies": int(found["freq_dim"]),
        "text_norm": bool(found["cross_attn_norm"]),
        "eps": float(found["eps"]),
    }


def _three(sizes: Any) -> tuple[int, int, int]:
    t, h, w = (int(size) for size in sizes)
    return t, h, w


Statistics = tuple[tuple[float, ...], tuple[float, ...]]


def codec_config(found: Mapping[str, Any]) -> tuple[WanCodecConfig, Statistics]:
    """What a codec's card (diffusers layout) says: sizes, mean and deviation of its latents."""
    try:
        if found.get("attn_scales"):
            raise ValueError(f"attn_scales {found['attn_scales']}")
        width, channels = int(found["base_dim"]), int(found["z_dim"])
        mean = tuple(float(x) for x in found["latents_mean"])
        deviation = tuple(float(x) for x in found["latents_std"])
        assert len(mean) == len(deviation) == channels, (len(mean), len(deviation), channels)
        config = WanCodecConfig(
            channels=channels,
            width=width,
            decoder_width=int(found.get("decoder_base_dim") or width),
            multiples=tuple(int(m) for m in found["dim_mult"]),
            depth=int(found["num_res_blocks"]),
            times=tuple(bool(t) for t in found["temperal_downsample"]),
            block=int(found.get("patch_size") or 1),
            shortcuts=bool(found.get("is_residual", False)),
        )
        return config, (mean, deviation)
    except (KeyError, TypeError, ValueError, AssertionError) as error:
        came = f"the codec's {CARD} is not one of the Wan family ({shown(str(error), limit=80)})"
        raise WeightsError(message(came, "the one that came with the weights")) from error


def codec_config_of(shapes: Mapping[str, Shape]) -> tuple[WanCodecConfig, Statistics]:
    """The same from the original files, which have no card: their shapes tell."""
    try:
        enter, channels = shapes["encoder.conv1.weight"], shapes["conv2.weight"][0]
        known = {16: (MEAN_21, DEVIATION_21), 48: (MEAN_22, DEVIATION_22)}
        config = WanCodecConfig(
            channels=channels,
            width=enter[0],
            decoder_width=shapes["decoder.conv1.weight"][0] // 4,
            block=round((enter[1] / 3) ** 0.5),
            shortcuts="encoder.downsamples.0.downsamples.0.residual.0.gamma" in shapes,
        )
        return config, known[channels]
    except (KeyError, IndexError, AssertionError) as error:
        came = "these are no weights of a Wan codec"
        raise WeightsError(message(came, "those of 2.1 or 2.2")) from error
