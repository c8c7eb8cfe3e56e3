"""Tiny pipelines of every kind of open weights, in both layouts, for tests/test_open.py."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor, nn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("diffusers")
    from diffusers import (
        AutoencoderKLWan,
        FlowMatchEulerDiscreteScheduler,
        SkyReelsV2DiffusionForcingPipeline,
        SkyReelsV2Transformer3DModel,
        UniPCMultistepScheduler,
        WanImageToVideoPipeline,
        WanPipeline,
        WanTransformer3DModel,
    )
    from diffusers.pipelines.skyreels_v2 import pipeline_skyreels_v2_diffusion_forcing
    from diffusers.pipelines.wan import pipeline_wan_i2v
    from transformers import (
        CLIPVisionConfig,
        CLIPVisionModel,
        PreTrainedTokenizerFast,
        UMT5Config,
        UMT5EncoderModel,
    )
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

KINDS = ("t2v", "t2v-euler", "t2v-experts", "i2v", "flf2v", "i2v-experts", "ti2v", "df")
IMAGE = ("i2v", "flf2v", "i2v-experts")
TEXT, PICTURE, SIDE = 24, 32, 28
WORDS = ["a", "red", "fox", "runs", "over", "the", "snow", "blurred", "grey", "still"]


def scramble(module: nn.Module, seed: int) -> Any:
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            fan = parameter[0].numel() if parameter.ndim > 1 else 4
            noise = torch.randn(parameter.shape, generator=g) * fan**-0.5
            grows = name.endswith("gamma") or ("norm" in name and name.endswith("weight"))
            parameter.copy_(1 + 0.2 * noise if grows else noise)
    return module.eval()


def tokenizer() -> PreTrainedTokenizerFast:
    words = ["<pad>", "</s>", "<unk>", *WORDS]
    made = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def text_encoder() -> UMT5EncoderModel:
    sizes = UMT5Config(
        vocab_size=20, d_model=TEXT, d_kv=8, d_ff=40, num_layers=2, num_heads=3,
        feed_forward_proj="gated-gelu", relative_attention_num_buckets=8,
        relative_attention_max_distance=128,
    )  # fmt: skip
    return scramble(UMT5EncoderModel(sizes), 1)


def image_encoder() -> CLIPVisionModel:
    sizes = CLIPVisionConfig(
        hidden_size=PICTURE, intermediate_size=48, num_hidden_layers=3, num_attention_heads=16,
        image_size=SIDE, patch_size=14, hidden_act="gelu",
    )  # fmt: skip
    return scramble(CLIPVisionModel(sizes), 2)


def codec(kind: str) -> AutoencoderKLWan:
    sizes: dict[str, Any] = {"base_dim": 4, "z_dim": 16}
    if kind == "ti2v":
        sizes |= {
            "decoder_base_dim": 4, "z_dim": 48, "is_residual": True, "in_channels": 12,
            "out_channels": 12, "patch_size": 2, "scale_factor_spatial": 16,
        }  # fmt: skip
    from worldreel.models.wan.cards import DEVIATION_21, DEVIATION_22, MEAN_21, MEAN_22

    mean, deviation = (MEAN_22, DEVIATION_22) if kind == "ti2v" else (MEAN_21, DEVIATION_21)
    sizes |= {"latents_mean": list(mean), "latents_std": list(deviation)}
    return scramble(AutoencoderKLWan(**sizes), 3)


def transformer(kind: str, seed: int) -> WanTransformer3DModel:
    channels = 48 if kind == "ti2v" else 16
    sizes: dict[str, Any] = {
        "num_attention_heads": 2, "attention_head_dim": 12, "in_channels": channels,
        "out_channels": channels, "text_dim": TEXT, "freq_dim": 16, "ffn_dim": 40,
        "num_layers": 2, "patch_size": (1, 2, 2),
    }  # fmt: skip
    if kind in IMAGE:
        sizes["in_channels"] = 2 * channels + 4
    if kind in ("i2v", "flf2v"):
        sizes |= {"image_dim": PICTURE, "added_kv_proj_dim": 24}
    if kind == "flf2v":
        sizes["pos_embed_seq_len"] = 2 * 5
    if kind == "df":
        return scramble(SkyReelsV2Transformer3DModel(**sizes, inject_sample_info=True), seed)
    return scramble(WanTransformer3DModel(**sizes), seed)


def pipeline(kind: str) -> Any:
    """A tiny random pipeline of theirs."""
    unipc = UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5.0
    )
    euler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    parts: dict[str, Any] = {
        "tokenizer": tokenizer(),
        "text_encoder": text_encoder(),
        "vae": codec(kind),
        "scheduler": euler if kind == "t2v-euler" else unipc,
        "transformer": transformer(kind, 4),
    }
    if kind == "ti2v":
        parts["expand_timesteps"] = True
    if kind.endswith("experts"):
        parts |= {
            "transformer_2": transformer(kind, 5),
            "boundary_ratio": 0.9 if kind in IMAGE else 0.875,
        }
    if kind in ("i2v", "flf2v"):
        size = {"height": SIDE, "width": SIDE}
        fitted = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=size)
        parts |= {"image_encoder": image_encoder(), "image_processor": fitted}
    make = WanImageToVideoPipeline if kind in IMAGE else WanPipeline
    return _quiet((SkyReelsV2DiffusionForcingPipeline if kind == "df" else make)(**parts))


def _quiet(made: Any) -> Any:
    made.set_progress_bar_config(disable=True)
    # Unguarded there, though elsewhere it need not be installed.
    for module in (pipeline_wan_i2v, pipeline_skyreels_v2_diffusion_forcing):
        module.ftfy = SimpleNamespace(fix_text=lambda text: text)  # type: ignore[attr-defined]
    return made


def with_image(pipe: Any) -> Any:
    """The same weights as the pipeline that starts from a picture."""
    names = ("tokenizer", "text_encoder", "vae", "scheduler", "transformer")
    parts = {name: pipe.components[name] for name in names}
    return _quiet(WanImageToVideoPipeline(**parts, expand_timesteps=True))


def save_original(pipe: Any, kind: str, folder: Path) -> None:
    """Writes a pipeline's weights as the original files have them."""
    pairs = [("transformer", folder)]
    if kind.endswith("experts"):
        pairs = [("transformer", folder / "high_noise_model"),
                 ("transformer_2", folder / "low_noise_model")]  # fmt: skip
    for name, place in pairs:
        place.mkdir(parents=True, exist_ok=True)
        network = pipe.components[name]
        save_file(_transformer(network, kind), place / "diffusion_pytorch_model.safetensors")
        found = network.config
        card = {
            "_class_name": "WanModel", "dim": 24, "eps": 1e-6, "ffn_dim": 40, "freq_dim": 16,
            "in_dim": found.in_channels, "out_dim": found.out_channels, "num_heads": 2,
            "num_layers": 2, "text_len": 512, "text_dim": TEXT,
            "model_type": kind.removesuffix("-euler").removesuffix("-experts"),
        }  # fmt: skip
        (place / "config.json").write_text(json.dumps(card))
    save_file(_codec(pipe.vae), folder / "vae.safetensors")
    save_file(_text(pipe.text_encoder), folder / "text_encoder.safetensors")
    if kind in ("i2v", "flf2v"):
        save_file(_image(pipe.image_encoder), folder / "image_encoder.safetensors")
    pipe.tokenizer.save_pretrained(folder / "google" / "umt5-xxl")


def _whole(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.contiguous().clone() for name, tensor in tensors.items()}


def _transformer(network: nn.Module, kind: str) -> dict[str, Tensor]:
    names = (
        ("condition_embedder.text_embedder.linear_1", "text_embedding.0"),
        ("condition_embedder.text_embedder.linear_2", "text_embedding.2"),
        ("condition_embedder.time_embedder.linear_1", "time_embedding.0"),
        ("condition_embedder.time_embedder.linear_2", "time_embedding.2"),
        ("condition_embedder.time_proj", "time_projection.1"),
        ("condition_embedder.image_embedder.norm1", "img_emb.proj.0"),
        ("condition_embedder.image_embedder.ff.net.0.proj", "img_emb.proj.1"),
        ("condition_embedder.image_embedder.ff.net.2", "img_emb.proj.3"),
        ("condition_embedder.image_embedder.norm2", "img_emb.proj.4"),
        ("condition_embedder.image_embedder.pos_embed", "img_emb.emb_pos"),
        ("fps_projection.net.0.proj", "fps_projection.0"),
        ("fps_projection.net.2", "fps_projection.2"),
        ("proj_out", "head.head"), ("attn1.", "self_attn."), ("attn2.", "cross_attn."),
        ("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "o"), ("add_k_proj", "k_img"),
        ("add_v_proj", "v_img"), ("norm_added_k", "norm_k_img"), (".norm2.", ".norm3."),
        ("ffn.net.0.proj", "ffn.0"), ("ffn.net.2", "ffn.2"),
    )  # fmt: skip
    found = {}
    for name, tensor in network.state_dict().items():
        if name == "scale_shift_table":
            name = "head.modulation"
        name = name.replace("scale_shift_table", "modulation")
        for theirs, original in names:
            name = name.replace(theirs, original)
        found[name] = tensor
    return _whole(found)


def _codec(vae: AutoencoderKLWan) -> dict[str, Tensor]:
    """By the table that tests/test_wan_codec.py proves right."""
    from worldreel.codec.wan import WanCodec
    from worldreel.models.wan.cards import codec_config
    from worldreel.models.wan.pixels import pixels

    ours = WanCodec(codec_config(dict(vae.config))[0])
    theirs, original = pixels(ours, original=False), pixels(ours, original=True)
    state = vae.state_dict()
    return _whole(
        {o[0]: state[t[0]] for n in theirs for t, o in
         zip(theirs[n].sources, original[n].sources, strict=True)}
    )  # fmt: skip


def _text(encoder: nn.Module) -> dict[str, Tensor]:
    names = (
        ("shared", "token_embedding"), ("encoder.final_layer_norm", "norm"),
        ("encoder.block.", "blocks."), ("layer.0.layer_norm", "norm1"),
        ("layer.1.layer_norm", "norm2"),
        ("layer.0.SelfAttention.relative_attention_bias", "pos_embedding.embedding"),
        ("layer.0.SelfAttention", "attn"), ("layer.1.DenseReluDense.wi_0", "ffn.gate.0"),
        ("layer.1.DenseReluDense.wi_1", "ffn.fc1"), ("layer.1.DenseReluDense.wo", "ffn.fc2"),
    )  # fmt: skip
    found = {}
    for name, tensor in encoder.state_dict().items():
        if "embed_tokens" in name:
            continue
        for theirs, original in names:
            name = name.replace(theirs, original)
        found[name] = tensor
    return _whole(found)


_LAYERS = (
    ("self_attn.out_proj", "attn.proj"),
    ("layer_norm1", "norm1"),
    ("layer_norm2", "norm2"),
    ("mlp.fc1", "mlp.0"),
    ("mlp.fc2", "mlp.2"),
)


def _image(encoder: nn.Module) -> dict[str, Tensor]:
    state = {n.removeprefix("vision_model."): t for n, t in encoder.state_dict().items()}
    found = {
        "visual.cls_embedding": state["embeddings.class_embedding"][None, None],
        "visual.patch_embedding.weight": state["embeddings.patch_embedding.weight"],
        "visual.pos_embedding": state["embeddings.position_embedding.weight"][None],
        "visual.head": torch.zeros(PICTURE, 4),
        "log_scale": torch.zeros(1),
    }
    for end in ("weight", "bias"):
        found[f"visual.pre_norm.{end}"] = state[f"pre_layrnorm.{end}"]
        found[f"visual.post_norm.{end}"] = state[f"post_layernorm.{end}"]
        for i in range(3):
            theirs, ours = f"encoder.layers.{i}", f"visual.transformer.{i}"
            qkv = [state[f"{theirs}.self_attn.{n}_proj.{end}"] for n in "qkv"]
            found[f"{ours}.attn.to_qkv.{end}"] = torch.cat(qkv)
            for a, b in _LAYERS:
                found[f"{ours}.{b}.{end}"] = state[f"{theirs}.{a}.{end}"]
    return _whole(found)
