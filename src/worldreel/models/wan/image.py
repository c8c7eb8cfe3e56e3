"""The image encoder of Wan 2.1's image-to-video networks: the picture half of CLIP ViT-H/14.

A picture is cut into patches, a learned "whole picture" token is put before them, each gets its
place, and blocks of attention follow (Radford et al. 2021; Dosovitskiy et al. 2021). The networks
were trained with the states *before* the last block, which is therefore not read at all.

How a picture becomes 224×224 pixels differs: the original code squeezes it, whatever its shape;
folders of the diffusers layout say it in preprocessor_config.json (as a rule: the shorter side
fitted, the middle cut out).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from worldreel.errors import WeightsError, message, shown
from worldreel.models.wan.files import Weights
from worldreel.models.wan.load import fill, unfilled
from worldreel.models.wan.parts import Part, Shape, Table, joined, needed, same

MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of CLIP's training pictures, in [0, 1]."""


@dataclass(frozen=True, kw_only=True)
class ViTConfig:
    """Sizes; `layers` are those that are run."""

    width: int
    hidden: int
    layers: int
    heads: int
    patch: int
    places: int
    quick: bool = False
    """Whether GELU is x·sigmoid(1.702·x), as in OpenAI's own CLIP."""
    eps: float = 1e-5

    @property
    def size(self) -> int:
        """Pixels a side of the pictures it takes."""
        return math.isqrt(self.places - 1) * self.patch


class _Block(nn.Module):
    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        width = config.width
        self.heads, self.quick = config.heads, config.quick
        self.norm1, self.norm2 = (nn.LayerNorm(width, eps=config.eps) for _ in range(2))
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.rise, self.fall = nn.Linear(width, config.hidden), nn.Linear(config.hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            y.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for y in self.qkv(self.norm1(x)).chunk(3, -1)
        )
        x = x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        y = self.rise(self.norm2(x))
        y = y * torch.sigmoid(1.702 * y) if self.quick else F.gelu(y)
        return x + self.fall(y)  # type: ignore[no-any-return]


class ViT(nn.Module):
    """Pictures `[B, 3, size, size]` → states `[B, places, width]`; see the module's docstring."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        width = config.width
        self.patches = nn.Conv2d(3, width, config.patch, stride=config.patch, bias=False)
        self.whole = nn.Parameter(torch.zeros(width))
        self.places = nn.Parameter(torch.zeros(config.places, width))
        self.norm = nn.LayerNorm(width, eps=config.eps)
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.layers))

    def forward(self, pictures: Tensor) -> Tensor:
        x = self.patches(pictures).flatten(2).transpose(1, 2)
        x = torch.cat([self.whole.expand(len(x), 1, -1), x], 1)
        x = self.norm(x + self.places)
        for block in self.blocks:
            x = block(x)
        done: Tensor = x
        return done


@dataclass(frozen=True, kw_only=True)
class _Names:
    """What a layout calls the layers; `block` is followed by the block's number."""

    whole: str
    places: str
    patches: str
    norm: str
    block: str
    qkv: tuple[str, ...]
    out: str
    norm1: str
    norm2: str
    rise: str
    fall: str


_ORIGINAL = _Names(
    whole="visual.cls_embedding",
    places="visual.pos_embedding",
    patches="visual.patch_embedding",
    norm="visual.pre_norm",
    block="visual.transformer.",
    qkv=("attn.to_qkv",),
    out="attn.proj",
    norm1="norm1",
    norm2="norm2",
    rise="mlp.0",
    fall="mlp.2",
)


def _transformers(prefix: str) -> _Names:
    """transformers' names, which have had a prefix or none from version to version."""
    return _Names(
        whole=f"{prefix}embeddings.class_embedding",
        places=f"{prefix}embeddings.position_embedding",
        patches=f"{prefix}embeddings.patch_embedding",
        norm=f"{prefix}pre_layrnorm",
        block=f"{prefix}encoder.layers.",
        qkv=tuple(f"self_attn.{name}_proj" for name in "qkv"),
        out="self_attn.out_proj",
        norm1="layer_norm1",
        norm2="layer_norm2",
        rise="mlp.fc1",
        fall="mlp.fc2",
    )


def _layout(shapes: Mapping[str, Shape]) -> _Names:
    for names in (_ORIGINAL, _transformers("vision_model."), _transformers("")):
        if names.whole in shapes:
            return names
    raise WeightsError(message("these are no weights of a CLIP image encoder", "those of ViT-H/14"))


def _config(shapes: Mapping[str, Shape], names: _Names, found: Mapping[str, Any]) -> ViTConfig:
    """Sizes; all but the heads and the activation are told by the shapes."""
    try:
        width, _, patch, _ = shapes[f"{names.patches}.weight"]
        places = shapes[names.places if names is _ORIGINAL else f"{names.places}.weight"][-2]
        start = len(names.block)
        blocks = len({n[start:].split(".")[0] for n in shapes if n.startswith(names.block)})
        activation = found.get("hidden_act", "gelu")
        if activation not in ("gelu", "quick_gelu"):
            raise ValueError(f"hidden_act {activation}")
        return ViTConfig(
            width=width,
            hidden=shapes[f"{names.block}0.{names.rise}.weight"][0],
            layers=blocks - 1,
            heads=int(found.get("num_attention_heads", 16)),
            patch=patch,
            places=places,
            quick=activation == "quick_gelu",
            eps=float(found.get("layer_norm_eps", 1e-5)),
        )
    except (KeyError, ValueError, TypeError, IndexError) as error:
        came = f"the image encoder's weights are none of CLIP ({shown(str(error), limit=80)})"
        raise WeightsError(message(came, "those that came with the model")) from error


def image_table(config: ViTConfig, names: _Names) -> Table:
    """Every tensor of the encoder but its last block."""
    return dict(_parts(config, names))


def _parts(config: ViTConfig, names: _Names) -> Iterator[tuple[str, Part]]:
    width, hidden, patch, places = config.width, config.hidden, config.patch, config.places
    original = names is _ORIGINAL
    yield "patches.weight", same(f"{names.patches}.weight", (width, 3, patch, patch))
    if original:
        yield "whole", Part(sources=((names.whole, (1, 1, width)),), make=lambda x: x[0, 0])
        source = (names.places, (1, places, width))
        yield "places", Part(sources=(source,), make=lambda x: x[0])
    else:
        yield "whole", same(names.whole, (width,))
        yield "places", same(f"{names.places}.weight", (places, width))
    yield from _both("norm", names.norm, (width,))
    for i in range(config.layers):
        ours, theirs = f"blocks.{i}", f"{names.block}{i}"
        for end, shape in (("weight", (width, width)), ("bias", (width,))):
            if original:
                three = (3 * width, *shape[1:])
                yield f"{ours}.qkv.{end}", same(f"{theirs}.{names.qkv[0]}.{end}", three)
            else:
                sources = ((f"{theirs}.{name}.{end}", shape) for name in names.qkv)
                yield f"{ours}.qkv.{end}", joined(*sources)
        for layer, name, shape in (
            ("norm1", names.norm1, (width,)),
            ("norm2", names.norm2, (width,)),
            ("out", names.out, (width, width)),
            ("rise", names.rise, (hidden, width)),
            ("fall", names.fall, (width, hidden)),
        ):
            yield from _both(f"{ours}.{layer}", f"{theirs}.{name}", shape)


def _both(ours: str, theirs: str, shape: Shape) -> Iterator[tuple[str, Part]]:
    yield f"{ours}.weight", same(f"{theirs}.weight", shape)
    yield f"{ours}.bias", same(f"{theirs}.bias", shape[:1])


class ImageReader:
    """Looks at pictures; everything is checked when it is made, weights come when needed."""

    def __init__(
        self,
        weights: Weights,
        card: Mapping[str, Any],
        fitting: Mapping[str, Any] | None,
        *,
        dtype: torch.dtype,
        device: str | torch.device = "cpu",
    ) -> None:
        """`card` is the encoder's config.json if there is one, `fitting` its
        preprocessor_config.json; without one pictures are squeezed, as the original code does it.

        Raises `WeightsError` if anything is missing or fits no such encoder.
        """
        names = _layout(weights.shapes)
        self.config = _config(weights.shapes, names, card)
        self.table = image_table(self.config, names)
        for name, shape in needed(self.table):  # more may be there: the text half, the last block
            if weights.shapes.get(name) != shape:
                came = f"the image encoder's {shown(name, limit=80)} is {weights.shapes.get(name)}"
                raise WeightsError(message(came, f"{shape} is needed"))
        self.weights, self.fitting = weights, fitting
        self.dtype, self.device = dtype, torch.device(device)

    @property
    def parameters(self) -> int:
        """How many, of what is read."""
        return sum(math.prod(shape) for _, shape in needed(self.table))

    @torch.no_grad()
    def look(self, pictures: Sequence[Tensor]) -> Tensor:
        """States `[1, M, width]` of pictures, uint8 `[H, W, 3]`, one after another."""
        network = self._network
        fitted = torch.stack([self._fitted(picture) for picture in pictures])
        return network(fitted.to(self.device, self.dtype)).flatten(0, 1)[None]  # type: ignore[no-any-return]

    @cached_property
    def _network(self) -> ViT:
        """Read when it is first needed, and kept: every window of a long video is looked at."""
        with unfilled():
            network = ViT(self.config)
        fill(network, self.weights, self.table, dtype=self.dtype, device=self.device)
        return network

    def _fitted(self, picture: Tensor) -> Tensor:
        """`[3, size, size]` around 0."""
        if self.fitting is None:
            signed = picture.permute(2, 0, 1)[None].float() / 127.5 - 1
            size = (self.config.size, self.config.size)
            fitted = F.interpolate(signed, size, mode="bicubic", align_corners=False)[0]
            fitted = fitted * 0.5 + 0.5
        else:
            image = _cropped(Image.fromarray(picture.cpu().numpy()), self.fitting, self.config.size)
            fitted = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
        told = self.fitting or {}
        mean = torch.tensor(told.get("image_mean", MEAN), device=fitted.device)[:, None, None]
        deviation = torch.tensor(told.get("image_std", DEVIATION), device=fitted.device)
        return (fitted - mean) / deviation[:, None, None]


def _cropped(image: Image.Image, fitting: Mapping[str, Any], size: int) -> Image.Image:
    """A picture as its card says: the shorter side fitted and the middle cut out, or squeezed."""
    wanted = fitting.get("size", {"shortest_edge": size})
    if isinstance(wanted, int):
        wanted = {"shortest_edge": wanted}
    if "shortest_edge" in wanted:
        short, (width, height) = int(wanted["shortest_edge"]), image.size
        if width <= height:
            shape = (short, int(short * height / width))
        else:
            shape = (int(short * width / height), short)
    else:
        shape = (int(wanted["width"]), int(wanted["height"]))
    image = image.resize(shape, Image.Resampling(int(fitting.get("resample", 3))))
    if not fitting.get("do_center_crop", True):
        return image
    left, top = (shape[0] - size) // 2, (shape[1] - size) // 2
    return image.crop((left, top, left + size, top + size))
