"""The families of networks that are recognised by the names of their tensors, and what is known but draws nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from dissectreport.models import proggan_names
from dissectreport.models.families import (
    autoencoder_kl,
    autoencoder_tiny,
    biggan,
    biggan_ajbrock_deep,
    biggan_deep,
    caffe_alexnet,
    classifier_names,
    cyclegan,
    dcgan,
    efficientnet_lite,
    fastgan,
    image_classifier,
    stylegan2,
    stylegan2_rosinality,
    stylegan3,
)
from dissectreport.models.families.base import Make


@dataclass(frozen=True)
class Family:
    """An architecture that is recognised by the names of its tensors."""

    name: str
    """In descriptions."""
    title: str
    """In messages."""
    marks: tuple[str, ...]
    """Ends of names; one of them shows the family, and what stands before it is a prefix."""
    names: re.Pattern[str]
    """All names that its files may have."""
    make: Make | None = None
    """None for Progressive GANs, which have their own module."""
    fits: Callable[[Mapping[str, Tensor]], bool] = bool
    """Whether tensors belong to the family, where the mark alone does not tell it."""
    beside: re.Pattern[str] | None = None
    """Names of tensors that training programs keep beside those of the network."""
    renamed: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] = dict
    """The tensors by the family's own names, where other programs have others."""


STYLEGAN_MAPPING = r"mapping\.(w_avg|(fc\d+|embed)\.(weight|bias))"
FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        Family(
            "stylegan3",
            "StyleGAN3",
            (stylegan3.MARK,),
            re.compile(
                STYLEGAN_MAPPING + r"|synthesis\.(input|L\d+_\d+_\d+)\."
                r"(weight|bias|affine\.(weight|bias)|transform|freqs|phases|magnitude_ema|(up|down)_filter)"
            ),
            stylegan3.from_tensors,
        ),
        Family(
            "stylegan2",
            "StyleGAN2",
            (stylegan2.MARK,),
            re.compile(
                STYLEGAN_MAPPING + r"|synthesis\.b\d+\.(const|resample_filter|(conv0|conv1|torgb|skip)\."
                r"(weight|bias|noise_const|noise_strength|resample_filter|affine\.(weight|bias)))"
            ),
            stylegan2.from_tensors,
        ),
        Family(
            "stylegan2-rosinality",
            "StyleGAN2 (rosinality)",
            (stylegan2_rosinality.MARK,),
            re.compile(
                r"input\.input|style\.\d+\.(weight|bias)|noises\.noise_\d+|(conv1|convs\.\d+|to_rgb1|to_rgbs\.\d+)\."
                r"(bias|conv\.weight|conv\.modulation\.(weight|bias)|noise\.weight|activate\.bias|"
                r"(conv\.blur|upsample)\.kernel)"
            ),
            stylegan2_rosinality.from_tensors,
        ),
        Family(
            "biggan-deep",
            "BigGAN-deep (Hugging Face)",
            (biggan_deep.MARK,),
            re.compile(r"embeddings\.weight|generator\.(gen_z|conv_to_rgb|bn|layers\.\d+)\..*"),
            biggan_deep.from_tensors,
        ),
        Family(
            "biggan",
            "BigGAN (ajbrock)",
            (biggan.MARK, *biggan.OTHER_MARKS),
            re.compile(
                r"shared\.weight|linear\.(weight|bias|u\d|sv\d)|output_layer\.[02]\..*|"
                r"blocks\.\d+\.[01]\.(conv1|conv2|conv_sc|bn1|bn2|gamma|theta|phi|g|o)(\..*)?"
            ),
            biggan.from_tensors,
            biggan.fits,
        ),
        Family(
            "biggan-deep-ajbrock",
            biggan_ajbrock_deep.AjbrockBigGANDeep.title,
            (biggan.MARK, *biggan.OTHER_MARKS),
            re.compile(
                r"shared\.weight|linear\.(weight|bias|u\d|sv\d)|output_layer\.[02]\..*|"
                r"blocks\.\d+\.[01]\.(conv[1-4]|bn[1-4]|gamma|theta|phi|g|o)(\..*)?"
            ),
            biggan_ajbrock_deep.from_tensors,
            biggan_ajbrock_deep.fits,
        ),
        Family(
            "autoencoder-kl",
            autoencoder_kl.AutoencoderKL.title,
            (autoencoder_kl.MARK, autoencoder_kl.OTHER_MARK),
            re.compile(
                r"(encoder|decoder)\.(conv_in|conv_norm_out|norm_out|conv_out|mid_block|mid|(down|up)(_blocks)?)\..*|"
                r"(post_)?quant_conv\.(weight|bias)"
            ),
            autoencoder_kl.from_tensors,
            beside=re.compile(r"(loss|model_ema|model|discriminator)\..*"),
        ),
        Family(
            "autoencoder-tiny",
            autoencoder_tiny.TinyAutoencoder.title,
            autoencoder_tiny.MARKS,
            re.compile(r"(encoder|decoder)\.(layers\.)?\d+\.(weight|bias|skip\.weight|(conv|pool)\.\d\.(weight|bias))"),
            autoencoder_tiny.from_tensors,
        ),
        Family(
            "resnet",
            image_classifier.ResNet.title,
            (image_classifier.RESNET_MARK, classifier_names.RESNET_MARK),
            re.compile(
                r"conv1\.weight|fc\.(weight|bias)|(layer\d\.\d+\.)?(bn\d|downsample\.1)\."
                r"(weight|bias|running_mean|running_var|num_batches_tracked)|"
                r"layer\d\.\d+\.(conv\d|downsample\.0)\.weight"
            ),
            image_classifier.resnet_from_tensors,
            image_classifier.is_resnet,
            renamed=classifier_names.resnet_of_torchvision,
        ),
        Family(
            "vgg16",
            image_classifier.VGG16.title,
            (image_classifier.LAST_MARK, classifier_names.VGG_MARK),
            re.compile(
                r"features\.\d+\.(weight|bias|running_mean|running_var|num_batches_tracked)|classifier\.[036]\.\w+|"
                r"(features\.conv\d_\d|classifier\.(fc6|fc7|fc8a))\.(weight|bias)"
            ),
            image_classifier.vgg_from_tensors,
            image_classifier.is_vgg,
            renamed=classifier_names.vgg_of_torchvision,
        ),
        Family(
            "alexnet",
            image_classifier.AlexNet.title,
            (image_classifier.LAST_MARK,),
            re.compile(r"features\.\d+\.(weight|bias)|classifier\.[146]\.(weight|bias)"),
            image_classifier.alexnet_from_tensors,
            image_classifier.is_alexnet,
        ),
        Family(
            "alexnet-caffe",
            caffe_alexnet.CaffeAlexNet.title,
            (caffe_alexnet.MARK,),
            re.compile(r"(conv[1-5]|fc[678])\.(weight|bias)"),
            caffe_alexnet.from_tensors,
            caffe_alexnet.fits,
        ),
        Family(
            "efficientnet-lite",
            efficientnet_lite.EfficientNetLite.title,
            (efficientnet_lite.MARK,),
            re.compile(
                r"(_conv_stem|_conv_head|_fc|_blocks\.\d+\._(expand|depthwise|project)_conv)\.weight|_fc\.bias|"
                r"(_blocks\.\d+\.)?_bn\d\.(weight|bias|running_mean|running_var|num_batches_tracked)"
            ),
            efficientnet_lite.from_tensors,
        ),
        Family(
            "dcgan",
            dcgan.DCGAN.title,
            (dcgan.MARK, dcgan.BARE_MARK),
            dcgan.NAME,
            dcgan.from_tensors,
            dcgan.fits,
            renamed=dcgan.with_usual_names,
        ),
        Family(
            "cyclegan", cyclegan.CycleGAN.title, (cyclegan.MARK,), cyclegan.NAME, cyclegan.from_tensors, cyclegan.fits
        ),
        Family(
            "fastgan",
            fastgan.FastGAN.title,
            (fastgan.MARK,),
            fastgan.NAME,
            fastgan.from_tensors,
            fastgan.fits,
            beside=fastgan.SMALLER_IMAGE,
        ),
        Family(
            "progressive gan",
            "Progressive GAN",
            proggan_names.FIRST,
            re.compile(
                r"(layer\d+|features\.\d+|output(_\d+x\d+)?)\.(conv\.weight|wscale\.(b|scale))|lod|"
                r"(\d+x\d+/(Dense|Conv|Conv0_up|Conv0|Conv1)|ToRGB_lod\d+)/(weight|bias)(:0)?"
            ),
        ),
    )
}
"""The families that are recognised, the most specific first, by their names in descriptions."""

STRANGERS: Mapping[str, tuple[str, ...]] = {
    "a discriminator of StyleGAN2 or StyleGAN3": ("b4.out.weight",),
    "a discriminator of rosinality's StyleGAN2": ("final_linear.1.weight",),
    "a discriminator of BigGAN": ("blocks.0.0.conv1.weight", "embed.weight"),
    "a discriminator of FastGAN": ("down_4.main.0.weight", "rf_big.0.weight"),
    "the encoder of a tiny autoencoder": (autoencoder_tiny.ENCODER_ALONE,),
}
"""What is recognised, but draws nothing; by the ends of names."""

LUCIDRAINS = """its noise is uniform and goes through a linear layer, its weights are scaled by the style plus 1,
its images are in [0, 1], and its sizes stand in .config.json beside it"""
RELATIVES: Mapping[str, tuple[str, str]] = {
    "a StyleGAN2 of lucidrains' program": ("blocks.0.to_noise1.weight", LUCIDRAINS.replace("\n", " ")),
}
"""What is near a family but computed otherwise: the end of a name that shows it, and what differs."""
