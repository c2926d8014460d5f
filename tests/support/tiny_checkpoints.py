"""Checkpoints of real networks of transformers in miniature: random weights, in folders like those of the hub."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when the library is imported: no test waits for a network

import pytest
import torch

transformers = pytest.importorskip("transformers", reason="the extra [segmenters] is not installed")

ADE = ("wall", "building;edifice", "sky", "tree, plant", "door;double door", "door, screen door")
STAGES = {"depths": [1, 1, 1, 1], "out_features": ["stage1", "stage2", "stage3", "stage4"]}
SWIN = {"image_size": 32, "embed_dim": 8, "num_heads": [1, 1, 2, 2], "window_size": 4, **STAGES}
SMALL = {"encoder_feedforward_dim": 32, "dim_feedforward": 32, "encoder_layers": 1, "num_attention_heads": 2}
QUERIES = 6
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}


def labels(names: tuple[str, ...] = ADE) -> dict[str, Any]:
    return {"id2label": dict(enumerate(names)), "label2id": {name: number for number, name in enumerate(names)}}


def segformer(**more: Any) -> Any:
    sizes = {"hidden_sizes": [8, 8, 16, 16], "num_attention_heads": [1, 1, 2, 2], "decoder_hidden_size": 16}
    config = transformers.SegformerConfig(depths=[1, 1, 1, 1], **(sizes | labels() | more))
    return transformers.SegformerForSemanticSegmentation(config)


def upernet() -> Any:
    backbone = transformers.ConvNextConfig(hidden_sizes=[8, 8, 16, 16], **STAGES)
    heads = {"hidden_size": 16, "auxiliary_in_channels": 16, "auxiliary_channels": 8}
    return transformers.UperNetForSemanticSegmentation(
        transformers.UperNetConfig(backbone_config=backbone, **heads, **labels())
    )


def dpt() -> Any:
    sizes = {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 16}
    neck = {"backbone_out_indices": [0, 1, 2, 3], "neck_hidden_sizes": [8, 8, 16, 16], "fusion_hidden_size": 16}
    config = transformers.DPTConfig(image_size=64, patch_size=16, **sizes, **neck, **labels())
    return transformers.DPTForSemanticSegmentation(config)


def mobilevit() -> Any:
    sizes = {"hidden_sizes": [8, 8, 16], "neck_hidden_sizes": [8, 8, 8, 8, 8, 8, 16], "num_attention_heads": 2}
    config = transformers.MobileViTConfig(image_size=64, aspp_out_channels=8, mlp_ratio=1.0, **sizes, **labels())
    return transformers.MobileViTForSemanticSegmentation(config)


def maskformer() -> Any:
    sizes = {"encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "d_model": 16}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "num_queries": QUERIES}
    config = transformers.MaskFormerConfig(
        backbone_config=transformers.SwinConfig(**SWIN),
        decoder_config=transformers.DetrConfig(**sizes, **heads),
        fpn_feature_size=32,
        mask_feature_size=32,
        **labels(),
    )
    return transformers.MaskFormerForInstanceSegmentation(config)


def mask2former() -> Any:
    sizes = {"feature_size": 32, "mask_feature_size": 32, "hidden_dim": 32, "decoder_layers": 3, **SMALL}
    config = transformers.Mask2FormerConfig(
        backbone_config=transformers.SwinConfig(**SWIN), num_queries=QUERIES, **sizes, **labels()
    )
    return transformers.Mask2FormerForUniversalSegmentation(config)


def oneformer() -> Any:
    sizes = {"hidden_dim": 32, "conv_dim": 32, "mask_dim": 32, "decoder_layers": 3, **SMALL}
    config = transformers.OneFormerConfig(
        backbone_config=transformers.SwinConfig(**SWIN), num_queries=QUERIES, task_seq_len=20, **sizes, **labels()
    )
    return transformers.OneFormerForUniversalSegmentation(config)


def clipseg() -> Any:
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
    text = {**sizes, "vocab_size": VOCABULARY, "max_position_embeddings": 60, "eos_token_id": VOCABULARY - 1}
    config = transformers.CLIPSegConfig(
        text_config={**text, "bos_token_id": VOCABULARY - 2, "pad_token_id": VOCABULARY - 1},
        vision_config={**sizes, "image_size": 64, "patch_size": 16},
        projection_dim=16,
        reduce_dim=8,
        extract_layers=[0, 1, 2],
        decoder_num_attention_heads=2,
        decoder_intermediate_size=16,
        use_complex_transposed_convolution=True,
    )
    return transformers.CLIPSegForImageSegmentation(config)


def side(size: int) -> dict[str, int]:
    return {"shortest_edge": size, "longest_edge": 4 * size}


BUILT: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    # What the processors of well known checkpoints are told, at another size.
    "segformer": (
        segformer,
        {"feature_extractor_type": "SegformerFeatureExtractor", "size": 64, "reduce_labels": True},
    ),
    "upernet": (upernet, {"image_processor_type": "SegformerImageProcessor", "size": {"height": 64, "width": 64}}),
    "dpt": (dpt, {"image_processor_type": "DPTImageProcessor", "size": {"height": 64, "width": 64}}),
    "mobilevit": (
        mobilevit,
        {"feature_extractor_type": "MobileViTFeatureExtractor", "size": 72, "crop_size": 64, "do_center_crop": True}
        | {"do_flip_channel_order": True, "do_normalize": False},
    ),
    "maskformer": (maskformer, {"image_processor_type": "MaskFormerImageProcessor", "size": side(64)}),
    "mask2former": (mask2former, {"image_processor_type": "Mask2FormerImageProcessor", "size": side(64)}),
    "oneformer": (
        oneformer,
        {
            "image_processor_type": "OneFormerImageProcessor",
            "size": side(64),
            "class_info_file": "ade20k_panoptic.json",
        },
    ),
    "clipseg": (clipseg, {"image_processor_type": "ViTImageProcessor", "size": {"height": 64, "width": 64}}),
}


def byte_alphabet() -> list[str]:
    """The 256 characters that stand for bytes in CLIP's vocabulary."""
    from tokenizers.pre_tokenizers import ByteLevel

    return sorted(ByteLevel.alphabet())


VOCABULARY = 2 * 256 + 2


def save_tokenizer(folder: Path) -> None:
    """CLIP's way to read text with a vocabulary of single letters."""
    alphabet = byte_alphabet()
    tokens = [*alphabet, *(f"{letter}</w>" for letter in alphabet), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "CLIPTokenizer"}')


SEEDS = {"maskformer": 4, "mask2former": 9, "oneformer": 19}
"""Seeds with which several queries lead somewhere; for most, one leads everywhere."""


def lively(build: Callable[[], Any], seed: int = 0) -> Any:
    """A network with larger random weights: as it is initialised, one this small says the same of every pixel."""
    torch.manual_seed(seed)
    made = build()
    for name, module in made.named_modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.constant_(module.weight, 1.6)
        if isinstance(module, torch.nn.Embedding):
            torch.nn.init.normal_(module.weight, std=3.0)
        if isinstance(module, torch.nn.Linear):
            classes = name.startswith("class_predictor") or "class_embed" in name
            torch.nn.init.normal_(module.weight, std=1.0 if classes else 0.2)
            if classes:
                module.bias.data[-1] = -4.0  # hardly ever no object
    return made


def save(kind: str, folder: Path, network: Any = None) -> Path:
    """A folder with a network of one kind, its image processor's settings and, where it reads text, a tokenizer."""
    build, settings = BUILT[kind]
    made = network or lively(build, SEEDS.get(kind, 0))
    transformers.utils.logging.disable_progress_bar()
    made.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(IMAGENET | settings))
    if kind in ("oneformer", "clipseg"):
        save_tokenizer(folder)
    return folder


def pictures(count: int = 2, height: int = 48, width: int = 48, seed: int = 1) -> torch.Tensor:
    """(count, 3, height, width) smooth random images in [-1, 1] whose pixels are whole bytes."""
    drawn = torch.randn(count, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    large = torch.nn.functional.interpolate(drawn, (height, width), mode="bicubic")
    return (large.sigmoid() * 255).round() / 127.5 - 1
