"""Budgets: how many latents, units and steps interventions and the search for artifact units may use."""

from __future__ import annotations

from dataclasses import dataclass

from dissectreport.errors import UnknownName
from dissectreport.run.plain import Plain

FEWEST_LATENTS = 128
"""Fewest latents on which an area of an intervention is measured."""
FEWEST_INSERTIONS = 30
"""Fewest insertions, each in another image, from which the gain in one context is computed."""
FEWEST_SCORED = 100
"""Fewest images on each side of a distance between sets of images."""
FEWEST_REAL = 2 * FEWEST_SCORED
"""Fewest real images for artifact units: one half is compared with the other."""


@dataclass(frozen=True)
class InterventionBudget(Plain):
    """How much is spent on interventions. Areas with the best units are measured on at least 128 latents; what is
    compared with them, on fewer."""

    name: str
    samples: int = 128
    """Held-out latents on which areas are measured."""
    gradients: int = 128
    """Selection latents for the estimates by gradient × activation."""
    search: int = 400
    """Selection latents in which patches are searched for on which the mask is learned."""
    concepts: int = 4
    """Number of concepts studied, the most common ones."""
    singles: int = 6
    """Units that are ablated one by one; 0 for all."""
    sampled: int = 16
    """Units drawn at random from all, which are ablated one by one to see how good the estimates are; 0 for none."""
    sampled_images: int = 24
    """Held-out latents on which they are."""
    strip_images: int = 8
    """Held-out latents that show, for every unit of the layer, what ablating it alone does; 0 for none."""
    sizes: tuple[int, ...] = (1, 4, 10, 20)
    """Units ablated together, ranked by gradient × activation."""
    sparse: tuple[int, ...] = (20,)
    """The same for the other ranking methods."""
    best: tuple[int, ...] = (10, 20)
    """The same for the ranking that removes most of a concept on selection latents; pages show this one first."""
    random_sizes: tuple[int, ...] = (10, 20)
    """The same for random sets."""
    random_sets: int = 20
    """Random sets of each size for each concept."""
    random_images: int = 12
    """Held-out latents that show the concept, on which random sets are ablated: many sets on few latents, because sets
    differ more than latents do."""
    variant_images: int = 40
    """Held-out latents on which the causal sets are ablated to other values than 0, and inserted everywhere; 0 for
    none."""
    confidence_images: int = 16
    """On how many of these the segmenter's confidence is measured."""
    learned: bool = True
    """Whether units are ranked by a learned mask and by greedy choice too."""
    learned_mask_tries: int = 48
    """Images in which all units are inserted, of which the best are used for learning."""
    learned_mask_patches: int = 1
    """Patches at which they are, in each image."""
    learned_mask_samples: int = 96
    """Samples with the concept, and patches for it, on which the mask is learned."""
    learned_mask_held_out: int = 16
    """The same, held out to select the penalty and to see whether learning helped."""
    learned_mask_steps: int = 32
    learned_mask_trial_steps: int = 8
    """Steps after which learning continues with the best penalty alone, where there are several."""
    learned_mask_batch: int = 4
    """Samples of each kind in a step."""
    learned_mask_rate: float = 0.06
    learned_mask_decays: bool = True
    """Whether the rate falls to 0 in equal steps, so that few steps suffice, or stays."""
    penalties: tuple[float, ...] = (0.005,)
    greedy_units: int = 10
    greedy_among: int = 5
    """Leading units by the estimate that are tried at every step."""
    greedy_images: int = 4
    inserted: int = 20
    """Units that are inserted together."""
    quantile: float = 0.995
    """The activation to which a unit is set when it is inserted: this share of its activations is lower."""
    constant: str = "quantile"
    """'quantile', or 'mean' for the mean activation where the concept is."""
    context_samples: int = 216
    context_patches: int = 2
    """Insertions, on average, in each image."""
    context_each: int = 32
    """Insertions in each context, each in another image."""
    context_random: int = 2
    """Random sets inserted at each patch, of all concepts in turn."""
    shown: int = 6
    """Images shown of each concept."""


INTERVENTION_BUDGETS = {
    budget.name: budget
    for budget in (
        InterventionBudget("default"),
        InterventionBudget(
            "quick",
            gradients=48,
            search=80,
            concepts=2,
            singles=1,
            sampled=0,
            strip_images=0,
            variant_images=0,
            sizes=(10, 20),
            sparse=(20,),
            random_sizes=(20,),
            random_images=6,
            learned=False,
            context_samples=128,
            context_random=1,
            shown=4,
        ),
        InterventionBudget(
            "full",
            samples=1000,
            concepts=8,
            gradients=500,
            search=2000,
            singles=0,
            sampled=0,
            variant_images=400,
            confidence_images=64,
            sizes=(1, 2, 4, 8, 10, 12, 20, 30),
            random_sizes=(1, 2, 4, 8, 10, 12, 20, 30),
            random_images=50,
            sparse=(1, 2, 4, 8, 10, 12, 20, 30),
            learned_mask_tries=500,
            learned_mask_samples=200,
            learned_mask_held_out=50,
            learned_mask_steps=500,
            learned_mask_trial_steps=100,
            learned_mask_batch=8,
            learned_mask_rate=0.01,
            learned_mask_decays=False,
            penalties=(0.0005, 0.005, 0.05),
            greedy_units=20,
            greedy_images=64,
            context_samples=2000,
            context_each=128,
        ),
        InterventionBudget(
            "paper",
            samples=1000,
            concepts=8,
            gradients=1000,
            search=10_000,
            singles=0,
            sampled=0,
            variant_images=1000,
            confidence_images=200,
            sizes=(1, 2, 4, 8, 10, 12, 20, 30),
            random_sizes=(1, 2, 4, 8, 10, 12, 20, 30),
            random_images=50,
            sparse=(1, 2, 4, 8, 10, 12, 20, 30),
            learned_mask_tries=10_000,
            learned_mask_patches=5,
            learned_mask_samples=1000,
            learned_mask_held_out=200,
            learned_mask_steps=500,
            learned_mask_trial_steps=500,
            learned_mask_batch=20,
            learned_mask_rate=0.01,
            learned_mask_decays=False,
            penalties=(0.0005, 0.005, 0.05),
            greedy_units=20,
            greedy_images=200,
            context_samples=10_000,
            context_patches=64,
            context_each=10_000,
            context_random=2,
        ),
    )
}
"""'quick' learns no ranking and measures on as many latents, 'full' suits an accelerator, and 'paper' has the sizes of
the two papers and takes hours."""


def budget_named(name: str) -> InterventionBudget:
    """The budget called `name`; UnknownName offers the nearest."""
    if name not in INTERVENTION_BUDGETS:
        raise UnknownName.of("budget", name, INTERVENTION_BUDGETS)
    return INTERVENTION_BUDGETS[name]


@dataclass(frozen=True)
class ArtifactBudget(Plain):
    """How much is spent on artifact units and repair."""

    name: str
    real: int = 2016
    """Real images, at most: twice as many as are scored, so that real ones are compared with as many others."""
    side: int = 480
    """Generated images that the realism score compares with."""
    dissected: int = 480
    """Images of the dissection, at most; those with a unit's highest activations are compared with real ones."""
    gradients: int = 128
    """Selection latents for the estimates by gradient × activation."""
    tested: int = 64
    """Test latents for the effect of every unit that is ablated alone."""
    retested: int = 320
    """Further test latents, for the best units on the first ones: only these decide which are artifact units."""
    finalists: int = 8
    """How many of these are tested further, besides the control and the marked units."""
    leading: int = 30
    """Leading units by gradient × activation that are ablated one by one."""
    control: int = 4
    """Control units, of similar mean activation, that are ablated one by one."""
    bottom: int = 5
    """The last units by gradient × activation, also ablated one by one: the estimate may have the wrong sign."""
    second: int = 160
    """Further test latents, on which artifact units are scored in a second feature network; 0 for none."""
    size_selection: int = 288
    """Further test latents, on which the size of the repair is selected."""
    scored: int = 1008
    """Held-out latents on which image quality is measured."""
    sizes: tuple[int, ...] = (2, 5, 10, 20)
    """Numbers of highest-ranked units that are ablated together; all candidates of a repair if there are fewer."""
    random_sets: int = 5
    """Random sets of each size."""
    random_scored: int = 128
    """Held-out latents on which random sets are measured."""
    worst: int = 12
    """Least realistic images that are shown."""
    pairs: int = 40
    """Random images that are kept before and after the repair."""


ARTIFACT_BUDGETS = {
    checkup.name: checkup
    for checkup in (
        ArtifactBudget("default"),
        ArtifactBudget(
            "quick",
            real=256,
            side=96,
            dissected=112,
            gradients=48,
            tested=48,
            retested=192,
            finalists=3,
            leading=4,
            control=2,
            bottom=1,
            second=0,
            size_selection=104,
            scored=104,
            sizes=(5,),
            random_sets=2,
            random_scored=100,
            pairs=12,
        ),
        ArtifactBudget(
            "full",
            real=10_000,
            side=2000,
            gradients=1000,
            tested=500,
            retested=1000,
            finalists=20,
            second=500,
            size_selection=1000,
            scored=5000,
            random_sets=10,
            leading=60,
        ),
        ArtifactBudget(
            "paper",
            real=20_480,
            side=5000,
            gradients=1000,
            tested=500,
            retested=1000,
            finalists=20,
            size_selection=1000,
            scored=10_240,
            random_sets=10,
            leading=60,
        ),
    )
}
"""By the names of the budgets: 'quick' takes a third of the default's time, and 'paper' scores 10,240 images,
as many as the Fréchet distance of Inception features of length 2,048 needs."""


@dataclass(frozen=True)
class ClassBudget(Plain):
    """How much is spent on the classes of a classifier."""

    name: str
    images: int = 2016
    """Images that are classified, at most: one half ranks units, the other scores."""
    classes: int = 8
    """Classes that are studied: those with most images."""
    sizes: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 256)
    """Numbers of units that are ablated together; only those below the number of units of the layer."""
    random_sets: int = 10
    """Random sets of each size for each class."""
    leading: int = 4
    """How many units count as those that matter most to a class."""
    tested: int = 512
    """Units ablated one by one; in a larger layer without a closed form, those that gradients rank first."""
    named: int = 12
    """Units of each class whose single ablation is measured on held-out images too."""
    attacked: int = 144
    """Held-out images that are attacked."""
    steps: int = 20
    """Steps of an attack."""
    shown: int = 6
    """Images shown of each class."""


CLASS_BUDGETS = {
    budget.name: budget
    for budget in (
        ClassBudget("default"),
        ClassBudget(
            "quick",
            images=384,
            classes=4,
            sizes=(1, 4, 16, 64),
            random_sets=5,
            tested=128,
            named=6,
            attacked=48,
            steps=10,
        ),
        ClassBudget(
            "full", images=10_000, classes=20, random_sets=20, tested=100_000, named=20, attacked=1000, steps=40
        ),
        ClassBudget(
            "paper", images=100_000, classes=365, random_sets=20, tested=100_000, named=20, attacked=1000, steps=40
        ),
    )
}
"""By the names of the budgets of interventions."""
