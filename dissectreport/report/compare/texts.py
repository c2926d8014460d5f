"""The headings and explanations of a comparison, one source for the live page and the fixed pages."""

from __future__ import annotations

from dataclasses import dataclass

from dissectreport.report.compare.sentences import INTERVALS


@dataclass(frozen=True)
class Texts:
    """What stands around the figures; names in braces are filled in by what arranges a page."""

    summary: str = "Summary"
    intervals: str = INTERVALS
    twice: str = "The same layer of one model is chosen twice, so there is nothing to compare between these two."
    one_model: str = "There is one model on this site, so two of its layers are compared."
    concepts: str = "Units per concept"
    concepts_lede: str = (
        "Units by their label within each category. Line and sign: share of the layer's units; pale: 95% interval;"
        " tick: chance level. At the right: the difference from the first model, in bold where it is significant."
    )
    concepts_chart: str = "A row for each concept and a lane for each model; the table has the numbers."
    no_concepts: str = "No shared concept has units."
    more_concepts: str = "Further concepts are in the table."
    depth: str = "By layer"
    depth_units: str = "Interpretable units by layer"
    depth_labels: str = "Different labels by layer"
    depth_caption: str = "95% intervals; dots: chance level."
    depth_chart: str = "A line for each model over its layers; the table has the numbers."
    vocabularies: str = "The vocabularies differ: each model is counted by its own concepts."
    first: str = "first layer"
    last: str = "last layer"
    trend: str = "Over training"
    trend_units: str = "Interpretable units over training"
    trend_labels: str = "Different labels over training"
    trend_caption: str = "Checkpoints of one training; 95% intervals; dots: chance level."
    trend_chart: str = "A point for each checkpoint; the table has the numbers."
    match: str = "Match with labels and causal effects"
    heaps: str = "IoU of units with their labels"
    heaps_caption: str = (
        "Units by IoU; faint: not interpretable; grey, downwards: chance level of the same units. The line is the"
        " median of the interpretable ones."
    )
    heaps_chart: str = "A histogram for each model, its chance level below; the table has quantiles."
    causes: str = "Causal effects"
    causes_caption: str = (
        "Share of a concept's area that is removed when its most causal units are ablated; tick: random units. At the"
        " right: the difference from the first model in how much more than random units they remove, in points."
    )
    causes_chart: str = "A row for each concept and a lane for each model; the table has the numbers."
    quality: str = "Image quality"
    best: str = "Strongest unit per concept"
    best_lede: str = "The images in which each unit is most active. Bright, inside the yellow line: where it is on."
    best_plain: str = "Below: the same images without the mask."
    weak: str = "not interpretable for this concept"
    lift_title: str = "IoU divided by the chance level"
    latents: str = "Images from the same latents"
    latents_lede: str = "Checkpoints or variants of one training: the images of a column come from the same latent."
    keep: str = "Keep this page"
    keep_lede: str = "One file that needs neither this site nor scripts, for a supplement:"
    concept_head: str = "concept"
    model_head: str = "model"
    layer_head: str = "layer"
    measure_head: str = "measure"
    chance_head: str = "chance level"
    area_head: str = "area"
    random_head: str = "against random units"
    ranking_head: str = "ranking method"
    mean_corrected_iou_head: str = "mean chance-corrected IoU − {first}"
    difference_head: str = "{other} − {first}"
    points_head: str = "{head}, points"
    pair_heading: str = "{other} against {first}"
    not_measured: str = "not measured"
    no_unit_in: str = "no unit matches in {layer}"
    unit_name: str = "{layer} unit {unit}"
    image_name: str = "{label}, image {number}"
    no_layer: str = "There is no layer {layer} on the pages of {model}; {shown} is shown."
    no_model: str = "There is no model {model} on this site."
    too_many: str = "{count} models were asked for; these are the first {most}."
