"""The claims of a run, and what the results of a second measurement on new latents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import pandas as pd


class ClaimKind(StrEnum):
    """What a claim says."""

    LABEL = "label"
    """A unit matches a concept: it is interpretable with that label."""
    CAUSAL_SET = "causal set"
    """Ablating some units removes more of a concept than ablating as many random ones."""
    ARTIFACT_UNIT = "artifact unit"
    """Ablating a unit alone brings images closer to real ones."""
    REPAIR = "repair"
    """Ablating the units of the repair brings images closer to real ones."""


MEASURES: Mapping[ClaimKind, str] = {
    ClaimKind.LABEL: "chance-corrected IoU",
    ClaimKind.CAUSAL_SET: "share of the concept removed",
    ClaimKind.ARTIFACT_UNIT: "decrease of KID",
    ClaimKind.REPAIR: "decrease of KID",
}
"""What is measured of each kind of claim."""

RULES: Mapping[ClaimKind, str] = {
    ClaimKind.LABEL: "the unit is interpretable again, with the same label (or a twin of it) in its category",
    ClaimKind.CAUSAL_SET: "the same units remove significantly more than one more random set would have removed in the "
    "first run (upper end of its 95% prediction interval)",
    ClaimKind.ARTIFACT_UNIT: "ablating the unit alone lowers KID significantly",
    ClaimKind.REPAIR: "ablating the same units lowers KID significantly",
}
"""When a claim of each kind is replicated."""

COLUMNS: Mapping[str, str] = {
    "claim": "kind of claim: label, causal set, artifact unit or repair",
    "claim_units": "units that the claim is about, separated by spaces",
    "first": "what the first run measured: chance-corrected IoU of a label, share of the concept removed by a causal "
    "set, decrease of KID by an artifact unit or a repair",
    "first_low": "lower end of its 95% interval",
    "first_high": "upper end of its 95% interval",
    "again": "the same in the second measurement; empty where it was not measured",
    "again_low": "lower end of its 95% interval",
    "again_high": "upper end of its 95% interval",
    "replicated": "whether the second measurement finds the claim too: 'yes', 'no', or 'untested' if it could not be "
    "tested",
}
"""What every column of the table of claims means, where `dissection.COLUMNS` does not say."""


@dataclass(frozen=True)
class Replication:
    """A second measurement of the claims of a run."""

    claims: pd.DataFrame
    """One row per claim: claim, layer, claim_units, concept, category, first*, again*, replicated."""
    digest: str
    """The SHA-256 of the claims, fixed before they were measured again."""
    is_current: bool
    """Whether the run still makes these claims, and no others."""
    seed: int
    samples: int
    segmenter: str
    features: str
    """'' where no images were compared with real ones."""
