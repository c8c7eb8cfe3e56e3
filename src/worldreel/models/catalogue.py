"""Open weights that we know by name: what each does, where it is, what it may be used for.

Sizes are computed, not copied: a network of the Wan family is told by a handful of numbers, and
its parameters follow from them (`Network.parameters`). With L layers of width D and hidden width F
that is about L · (8D² + 2DF), and 2 bytes of memory each in bf16. Nothing here imports torch.

Weights that may not be used commercially have no short name: who names them by their hub id is
told so.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ENTRIES", "Entry", "Memory", "Network", "by_id", "by_name", "licence_of", "told"]

TEXT = 5_680_910_336
"""Parameters of the text encoder that all have (UMT5-XXL)."""
IMAGE = 630_766_080
"""Parameters of the image encoder that 2.1's image-to-video networks have (CLIP ViT-H/14)."""
CODECS = {"2.1": 126_892_531, "2.2": 704_688_668}
APACHE, SKYREELS = "Apache-2.0", "Skywork community licence"
NEGATIVE = ("non-commercial", "noncommercial", "research")
"""Parts of licences' names that forbid commercial use."""
PERMISSIVE = ("apache", "mit", "bsd")


@dataclass(frozen=True, kw_only=True)
class Network:
    """Sizes of a transformer. `image`: it attends to an image's states; `places`: to those of two
    images, each with a place of its own; `rates`: it is told the frame rate."""

    width: int
    layers: int
    hidden: int
    inputs: int = 16
    outputs: int = 16
    image: bool = False
    places: bool = False
    rates: bool = False

    @property
    def block(self) -> int:
        """Parameters of one block."""
        d, f = self.width, self.hidden
        square = d * d + d
        attention = 4 * square + 2 * d
        image = 2 * square + d if self.image else 0
        return 6 * d + attention + attention + image + 2 * d + (f * d + f) + (d * f + d)

    @property
    def parameters(self) -> int:
        """Of the whole network."""
        d, text, frequencies, states, patch = self.width, 4096, 256, 1280, 4
        square = d * d + d
        around = patch * self.inputs * d + d + (text * d + d + square) + (frequencies * d + d)
        around += square + 6 * square + 2 * d + (d + 1) * patch * self.outputs
        if self.image:
            around += 2 * states + states * (states + 1) + (states + 1) * d + 2 * d
            around += 514 * states if self.places else 0
        if self.rates:
            around += 2 * d + square + 6 * square
        return around + self.layers * self.block


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes: `device` with the networks there, `offload` with the transformer's blocks brought in
    one by one, and `main` memory, where they then wait."""

    device: int
    offload: int
    main: int


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Open weights. `name` is short, or "" if they have none; `id` is the repository on the hub.

    `does` says for which tasks the weights were trained; `stored` is how many bytes a parameter
    takes in the hub's files (transformer, text encoder). If `pickle` is set, the transformer is in
    that file of the repository, and all else in the repository `base`. `few` names the way in which
    weights for few steps are sampled. The native `size` is in pixels and `frames`.
    """

    name: str
    id: str
    does: tuple[str, ...]
    network: Network
    size: tuple[int, int]
    frames: int
    licence: str = APACHE
    commercial: bool = True
    experts: int = 1
    codec: str = "2.1"
    stored: tuple[int, int] = (4, 4)
    base: str = ""
    pickle: str = ""
    few: str = ""

    @property
    def parameters(self) -> int:
        """Of everything."""
        image = IMAGE if self.network.image else 0
        return self.experts * self.network.parameters + TEXT + CODECS[self.codec] + image

    @property
    def bytes(self) -> int:
        """On the disk, about."""
        image = 4 * IMAGE if self.network.image else 0
        transformer = self.experts * self.network.parameters * self.stored[0]
        return transformer + TEXT * self.stored[1] + 4 * CODECS[self.codec] + image

    @property
    def memory(self) -> Memory:
        """For a clip of native size in bf16 (the codec in fp32), about.

        The text is read before there is anything else in memory, so of the text encoder and the
        rest the larger counts.
        """
        network = self.network
        image = 2 * IMAGE if network.image else 0
        rest = 4 * CODECS[self.codec] + image + self._working
        transformers = 2 * self.experts * network.parameters
        around = 2 * (network.parameters - network.layers * network.block)
        streamed = around + 3 * 2 * network.block
        return Memory(
            device=max(2 * TEXT, transformers + rest),
            offload=streamed + rest,
            main=max(2 * TEXT, transformers) + 4 * 2**30,
        )

    @property
    def _working(self) -> int:
        """Activations: those of one block, or of the codec's last level, whichever are more."""
        pixels = 16 if self.codec == "2.1" else 32
        patches = ((self.frames - 1) // 4 + 1) * (self.size[0] // pixels) * (self.size[1] // pixels)
        block = patches * (2 * self.network.hidden + 26 * self.network.width)
        channels = 96 if self.codec == "2.1" else 64
        decoder = 4 * 4 * self.size[0] * self.size[1] * channels * 4
        return max(2 * block, decoder)


SMALL = Network(width=1536, layers=30, hidden=8960)
LARGE = Network(width=5120, layers=40, hidden=13824)
MIDDLE = Network(width=3072, layers=30, hidden=14336, inputs=48, outputs=48)
IMAGES = Network(width=5120, layers=40, hidden=13824, inputs=36, image=True)
ENDS = Network(width=5120, layers=40, hidden=13824, inputs=36, image=True, places=True)
BESIDE = Network(width=5120, layers=40, hidden=13824, inputs=36)
RATES = Network(width=1536, layers=30, hidden=8960, rates=True)
P480, P544, P704, P720 = (832, 480), (960, 544), (1280, 704), (1280, 720)
_BASE = "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"

ENTRIES = (
    Entry(name="wan2.1-1.3b", id=_BASE, does=("t2v",), network=SMALL, size=P480, frames=81),
    Entry(name="wan2.1-14b", id="Wan-AI/Wan2.1-T2V-14B-Diffusers", does=("t2v",),
          network=LARGE, size=P720, frames=81),
    Entry(name="wan2.1-i2v-480p", id="Wan-AI/Wan2.1-I2V-14B-480P-Diffusers", does=("i2v",),
          network=IMAGES, size=P480, frames=81),
    Entry(name="wan2.1-i2v-720p", id="Wan-AI/Wan2.1-I2V-14B-720P-Diffusers", does=("i2v",),
          network=IMAGES, size=P720, frames=81),
    Entry(name="wan2.1-flf2v", id="Wan-AI/Wan2.1-FLF2V-14B-720P-diffusers",
          does=("i2v", "flf2v"), network=ENDS, size=P720, frames=81),
    Entry(name="wan2.2-t2v", id="Wan-AI/Wan2.2-T2V-A14B-Diffusers", does=("t2v",),
          network=LARGE, experts=2, size=P720, frames=81, stored=(4, 2)),
    Entry(name="wan2.2-i2v", id="Wan-AI/Wan2.2-I2V-A14B-Diffusers", does=("i2v",),
          network=BESIDE, experts=2, size=P720, frames=81, stored=(4, 2)),
    Entry(name="wan2.2-5b", id="Wan-AI/Wan2.2-TI2V-5B-Diffusers", does=("t2v", "i2v"),
          network=MIDDLE, codec="2.2", size=P704, frames=121, stored=(4, 2)),
    Entry(name="skyreels-1.3b", id="Skywork/SkyReels-V2-DF-1.3B-540P-Diffusers",
          does=("t2v", "i2v", "long"), network=RATES, size=P544, frames=97, licence=SKYREELS),
    Entry(name="skyreels-14b", id="Skywork/SkyReels-V2-DF-14B-540P-Diffusers",
          does=("t2v", "i2v", "long"), network=LARGE, size=P544, frames=97, licence=SKYREELS),
    Entry(name="skyreels-14b-720p", id="Skywork/SkyReels-V2-DF-14B-720P-Diffusers",
          does=("t2v", "i2v", "long"), network=LARGE, size=P720, frames=121, licence=SKYREELS),
    Entry(name="fastwan-5b", id="FastVideo/FastWan2.2-TI2V-5B-FullAttn-Diffusers",
          does=("t2v", "i2v"), network=MIDDLE, codec="2.2", size=P704, frames=121,
          stored=(2, 2), few="dmd"),
    Entry(name="rcm-1.3b", id="worstcoder/rcm-Wan", base=_BASE, does=("t2v",), network=SMALL,
          size=P480, frames=77, stored=(2, 4), few="rcm",
          pickle="rCM_Wan2.1_T2V_1.3B_480p.pt"),
    Entry(name="rcm-14b", id="worstcoder/rcm-Wan", base=_BASE, does=("t2v",), network=LARGE,
          size=P480, frames=77, stored=(2, 4), few="rcm",
          pickle="rCM_Wan2.1_T2V_14B_480p.pt"),
    Entry(name="rcm-14b-720p", id="worstcoder/rcm-Wan", base=_BASE, does=("t2v",), network=LARGE,
          size=P720, frames=77, stored=(2, 4), few="rcm",
          pickle="rCM_Wan2.1_T2V_14B_720p.pt"),
    Entry(name="", id="gdhe17/Self-Forcing", base=_BASE, does=("t2v", "long"), network=SMALL,
          size=P480, frames=81, stored=(4, 4), few="self-forcing", commercial=False,
          licence="non-commercial (CC BY-NC-SA 4.0)", pickle="checkpoints/self_forcing_dmd.pt"),
)  # fmt: skip


def by_name(name: str) -> Entry | None:
    """The weights of that short name."""
    return next((entry for entry in ENTRIES if entry.name and entry.name == name.lower()), None)


def by_id(name: str) -> Entry | None:
    """The weights of that hub id, whatever its capitals; of several in one repository the first."""
    return next((entry for entry in ENTRIES if entry.id.lower() == name.lower()), None)


def licence_of(told: str | None) -> tuple[str, bool | None]:
    """A licence as the hub tells it, and whether it allows commercial use; None: read it."""
    if not told or told in ("other", "unknown"):
        return "a licence of its own", None
    words = told.lower().replace("_", "-")
    if "nc" in words.split("-") or any(part in words for part in NEGATIVE):
        return told, False
    return told, True if words.split("-")[0] in PERMISSIVE else None


def told(size: int) -> str:
    """Bytes as people say them: "5.7 GB"."""
    if size >= 1e8:
        return f"{size / 1e9:.1f} GB"
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
