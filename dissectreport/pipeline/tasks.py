"""The tasks of a build and the numbered steps that they make up: the names used in progress reports."""

from __future__ import annotations

from enum import Enum, StrEnum


class Step(Enum):
    """The steps of a build, in order."""

    UNITS = "measuring units"
    CONTROL = "measuring the untrained control"
    IMAGES = "collecting images to show"
    RANKING = "ranking units by their effect on concepts"
    ABLATION = "ablating units"
    INSERTION = "inserting units"
    CLASSES = "ablating units of classes"
    ARTIFACTS = "finding artifact units"
    REPAIR = "scoring the repair"
    EXPORT = "exporting the network"
    SITE = "writing the site"


class Task(StrEnum):
    """What is counted one by one while it runs, in order."""

    PILOT = "finding thresholds"
    THRESHOLD_SEARCH = "searching for the best thresholds"
    COUNTING = "counting units and concepts"
    CONTROL_PILOT = "finding thresholds of the control"
    CONTROL_THRESHOLD_SEARCH = "searching for the best thresholds of the control"
    CONTROL_COUNTING = "counting units of the control"
    PICTURES = "saving images"
    REAL_CONCEPTS = "finding concepts in real images"
    WORDS = "comparing images with words"
    SEARCH = "finding concepts in generated images"
    GRADIENTS = "estimating effects by gradient × activation"
    LEARNING = "learning masks"
    COMPARING = "comparing ranking methods"
    ABLATION = "ablating sets of units"
    RANDOM = "ablating random sets of units"
    SAMPLED = "ablating units drawn at random"
    VARIANTS = "ablating units to other values"
    CONTEXTS = "finding contexts for insertions"
    INSERTION = "inserting sets of units"
    EDITED_PICTURES = "saving edited images"
    STRIPS = "ablating every unit alone"
    CLASSES = "classifying images"
    CLASS_ESTIMATES = "estimating what classes lose without each unit"
    CLASS_SINGLES = "classifying images without single units"
    CLASS_SETS = "classifying images without sets of units"
    ATTACKS = "attacking images"
    REAL_FEATURES = "computing features of real images"
    SIDE_FEATURES = "computing features of generated images"
    FEATURES = "computing features of the measured images"
    ARTIFACT_GRADIENTS = "estimating the realism of images without each unit"
    TESTING = "ablating candidates one by one"
    RETESTING = "ablating the best candidates on more images"
    SCORING = "held-out images without artifact units"
    SCORING_MARKED = "held-out images without the marked units"
    SCORING_RANDOM = "held-out images without random units"
    CHOOSING = "choosing the size of the repair"
    SECOND = "scoring artifact units in a second feature network"
    REPAIR_PICTURES = "saving repaired images"
    EXPORT = "exporting the network for the Paint page"
    ANALYSIS = "analysing the counts"
    PAGES = "rendering units"
    AGREEMENT = "comparing two segmenters"
    EDITING = "editing images"
    REPAIR = "repairing images"
    INVERSION = "inverting photos"


STEPS = {
    Step.UNITS: (Task.PILOT, Task.THRESHOLD_SEARCH, Task.COUNTING),
    Step.CONTROL: (Task.CONTROL_PILOT, Task.CONTROL_THRESHOLD_SEARCH, Task.CONTROL_COUNTING),
    Step.IMAGES: (Task.PICTURES, Task.REAL_CONCEPTS, Task.WORDS),
    Step.RANKING: (Task.SEARCH, Task.GRADIENTS, Task.LEARNING, Task.COMPARING),
    Step.ABLATION: (Task.ABLATION, Task.RANDOM, Task.SAMPLED, Task.VARIANTS),
    Step.INSERTION: (Task.CONTEXTS, Task.INSERTION, Task.EDITED_PICTURES, Task.STRIPS),
    Step.CLASSES: (Task.CLASSES, Task.CLASS_ESTIMATES, Task.CLASS_SINGLES, Task.CLASS_SETS, Task.ATTACKS),
    Step.ARTIFACTS: (
        *(Task.REAL_FEATURES, Task.SIDE_FEATURES, Task.FEATURES),
        *(Task.ARTIFACT_GRADIENTS, Task.TESTING, Task.RETESTING),
    ),
    Step.REPAIR: (
        *(Task.SCORING, Task.SCORING_MARKED, Task.SCORING_RANDOM),
        *(Task.CHOOSING, Task.SECOND, Task.REPAIR_PICTURES),
    ),
    Step.EXPORT: (Task.EXPORT,),
    Step.SITE: (Task.ANALYSIS, Task.PAGES),
}
"""Every step with its tasks, in order."""
