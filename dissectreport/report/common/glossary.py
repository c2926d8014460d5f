"""The glossary of a model's pages: what each term means, where it is used."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dissectreport.report.common.model import Site

_DISSECTION = {
    "unit": "One channel of a layer. It has a value at every cell of the layer's grid.",
    "threshold": "The activation above which a unit counts as on.",
    "on-fraction": "The share of all pixels in which a unit is on.",
    "concept": "Something that the segmenter labels, in a category: an object, part, material or colour.",
    "label": "The concept that a unit matches best.",
    "IoU": "Intersection over union of a unit's on-pixels and a concept's pixels. 1 is perfect.",
    "chance level": "The IoU expected if the masks belonged to other images.",
    "chance-corrected IoU": "(IoU − chance level) / (1 − chance level): 0 is chance, 1 is perfect.",
    "lift": "IoU divided by the chance level; not given (–) where too little overlap is expected by chance.",
    "position-only baseline": "The IoU of the best mask that ignores the image.",
    "image level": "The IoU expected from position and from how active the unit is in each image: each image's masks "
    "are compared with the activations of another image in which the unit is about as active.",
    "kind": "Which part of a unit's match is largest: object (it shows where the concept is within an image), scene "
    "(it shows which images have the concept) or place (it shows the usual position).",
    "twins": "Concepts that cover almost the same pixels (Jaccard index of their masks above 0.8); they count as one "
    "concept.",
}
_FORMULAS = {
    "formula": "Two or three concepts joined by OR, AND or AND NOT, as a description of a unit.",
}
_WORDS = {
    "word": "A word of a list that describes the images in which a unit is most active, by CLIP.",
}
_CONTROLS = {
    "random directions": "A control: the same layer, its units divided by their standard deviation, in several random "
    "bases. If single units were no better than any direction, as many random directions as units would be "
    "interpretable.",
    "unit of its own": "A concept has one if its best unit matches it significantly better than the best of as many "
    "random directions.",
    "privileged": "Of the units of a layer: over all concepts, their best matches are significantly better than "
    "those of "
    "random directions.",
    "untrained network": "A control: the same architecture with random weights.",
    "chance level of a count": "The number of units that the rule would call interpretable if the masks of every "
    "image were those of another image.",
}
_HELD_OUT = {
    "selection and held-out images": "Images on which something is chosen, and the other images, on which it is "
    "scored.",
}
_CAUSES = {
    "ablation": "Setting units to zero at every cell, and measuring what is removed.",
    "insertion": "Setting units to a high activation at one patch, and measuring what is added.",
    "context": "The concept that a patch shows before the insertion.",
    "most causal units": "The first units of the ranking that removes most of a concept.",
    "gradient × activation": "A first-order estimate of the effect of ablating a unit, as if the rest of the "
    "generator were linear.",
    "difference from random units": "The share removed by the chosen units, minus the share removed by random units "
    "of about the same mean activation, on the same images.",
    "prediction interval": "The interval that would contain the result of one more random set with a probability of "
    "95%.",
    "noise ceiling": "An estimate of the largest rank correlation that can be reached, because measured effects are "
    "noisy.",
}
_CLASSES = {
    "class": "One of the categories of images for which the classifier computes a score.",
    "balanced accuracy": "(recall + 1 − false positives) / 2 of one class against all others: 0.5 is chance.",
    "recall, false positives": "The share of the images of a class, and of all other images, that the classifier "
    "assigns to the class.",
    "leading units of a class": "The units whose ablation lowers the balanced accuracy of the class most.",
}
_ARTIFACTS = {
    "artifact unit": "A unit whose ablation alone brings images significantly closer to real ones.",
    "repair": "The set of units that is recommended for ablation.",
    "KID, FID": "Kernel and Fréchet distance between two sets of images, in the features of a network.",
    "realism score": "How much closer an image is to real images than to generated ones; higher is better.",
}


def glossary(site: Site) -> Mapping[str, str]:
    """Every term that the pages of a model use, and its meaning, in the order in which readers meet them."""
    causes = site.dissection.interventions is not None
    classes = site.dissection.classes is not None
    artifacts = site.dissection.artifacts is not None
    return {
        **_DISSECTION,
        "interpretable unit": site.wording.interpretable,
        **(_FORMULAS if any(layer.formulas is not None for layer in site.dissection.layers) else {}),
        **(_WORDS if site.dissection.words is not None else {}),
        **_CONTROLS,
        **(_HELD_OUT if site.wording.untested or causes or classes or artifacts else {}),
        **(_CAUSES if causes else {}),
        **(_CLASSES if classes else {}),
        **(_ARTIFACTS if artifacts else {}),
    }


def term_anchor(term: str) -> str:
    """The anchor of a term on the methods page.

    >>> term_anchor("chance-corrected IoU")
    'term-chance-corrected-iou'
    """
    return "term-" + re.sub(r"[^a-z0-9]+", "-", term.lower()).strip("-")
