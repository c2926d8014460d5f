"""Records of a run, with every field filled."""

from __future__ import annotations

from dataclasses import asdict

from dissectreport.cache.records import LayerRecord, Record
from dissectreport.records.artifacts import ArtifactRecord, FeatureFolder
from dissectreport.records.interventions import InterventionRecord
from dissectreport.run.budgets import ARTIFACT_BUDGETS, INTERVENTION_BUDGETS
from dissectreport.run.plan import ArtifactKey, InterventionKey, Plan
from dissectreport.run.rules import RuleName
from dissectreport.vocabulary import Vocabulary

INTERVENTIONS = InterventionRecord(
    key=InterventionKey("g", "s", "layer", (1, 2), (), 3, "float32", "2"),
    budget=INTERVENTION_BUDGETS["full"],
    agreement=1.0,
    inserted=416,
    gradients="gradients",
    plan="plan",
    ablations="ablations",
    random="random",
    sampled="sampled",
    variants="variants",
    insertions="insertions",
    pictures="pictures",
    strips="strips",
    strip_groups=("concept-00-00000",),
)
ARTIFACTS = ArtifactRecord(
    key=ArtifactKey("g", "f", "r", "layer", 3, "bfloat16"),
    budget=ARTIFACT_BUDGETS["quick"],
    features="network",
    is_published=False,
    reference="words",
    drift=0.01,
    real_images=200,
    selection_images=100,
    left_out=1,
    marked=(3, 4),
    real=FeatureFolder("real", 8, 4),
    generated=FeatureFolder("generated", 8, 4),
    dissected=FeatureFolder("dissected", 8, 4),
    scored=FeatureFolder("scored", 8, 4),
    marked_scored=FeatureFolder("marked_scored", 8, 4),
    random_scored=FeatureFolder("random_scored", 8, 4),
    plan="plan",
    tests="tests",
    size_changes="size_changes",
    random_sets="random_sets",
    quality="quality",
    marked_quality="marked_quality",
    pictures="pictures",
    command="command",
)
FOLDER = "0123456789abcdef"
RECORD = Record(
    model="mine",
    rule=RuleName.CORRECTED,
    plan=asdict(Plan("g", "s")),
    samples=96,
    layers=(LayerRecord("layer", FOLDER, FOLDER, (), FOLDER),),
    pictures=FOLDER,
    vocabulary=Vocabulary.of(object=("tree", "sky")),
    generator={"name": "mine", "identity": "g"},
    segmenter={"name": "colour", "identity": "s"},
    versions={"torch": "2"},
    command="dissectreport build mine",
    folders=(FOLDER,),
    interventions=INTERVENTIONS,
    artifacts=ARTIFACTS,
    reference={"folder": "photos", "images": 3, "unreadable": 0},
    source="/home/somebody/mine.toml",
    run=2,
)
