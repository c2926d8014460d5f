"""Where every page and file of a model lies in the site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dissectreport.analysis.results.dissection import Dissection
from dissectreport.report.html.names import safe_name, safe_names

Files = dict[str, bytes]
"""Contents by their address from the top of the site."""
SEARCH = "search.js"
"""The search index of a model, or of the models of a site, within its folder."""
PAGES = (
    *("index", "concepts", "causes", "classes", "map", "artifacts", "lookup", "paint", "real", "trust", "preference"),
    *("replication", "methods"),
)
CARD = "card.jpg"
"""The preview picture of a model on other sites."""
CARD_ENDS = ("index.html#u=", "")
"""The text before and after a unit's number in the address of its card, within the layer's folder."""
TAKEN = (
    "data",
    CARD,
    SEARCH,
    "img",
    "lookup",
    "concepts",
    "classes",
    "paint",
    "manifest.json",
    *(f"{page}.html" for page in PAGES),
)
"""Names in a model's folder that no layer can have."""
COMPARE, COMPARING, COMPARISONS = "compare", "compare.html", "compare"
"""The file of each model for comparisons, the live page, and the folder of fixed pages and of the live page's data."""
OLD = "dissect.json"
"""What stands for the rule of imported results."""
FIRST_OF_SITE = (
    *("assets", "favicon.ico", "index.html", "manifest.json", "sitemap.xml", SEARCH),
    COMPARING,
    COMPARISONS,
)
"""Names at the top of a site that no model can have."""


@dataclass(frozen=True)
class Places:
    """The addresses of one model's files, from the top of the site."""

    home: str
    """The model's folder."""
    layers: dict[str, str]
    """The folder of each layer within it."""
    concepts: dict[str, str] = field(default_factory=dict)
    """The name of the page of each concept: those whose causal effects were measured, and all others that occur."""
    unit_pages: bool = True
    """Whether every unit has a page of its own; without, its card on the page of its layer stands for it."""
    studied: tuple[str, ...] = ()
    """The concepts whose causal effects were measured."""

    @classmethod
    def of(cls, dissection: Dissection, occupied: Mapping[str, str] | None = None, unit_pages: bool = True) -> Places:
        """The places of a model, where others have `occupied` some folders: folder -> the model that has it.

        A model that exists under another rule gets a second folder, named after the model and the rule; a model of
        another file that has the same name gets one named after its source too.
        """
        taken, facts = occupied or {}, dissection.provenance
        name = dissection.model
        if taken.get(safe_name(name, FIRST_OF_SITE)) == name:
            name = f"{name}-{facts.rule}"
        if safe_name(name, FIRST_OF_SITE) in taken:
            name = f"{name}-{facts.source[:6] or 'catalogue'}"
        home = safe_name(name, [*FIRST_OF_SITE, *taken])
        causes = dissection.interventions
        studied = () if causes is None else tuple(str(concept) for concept in causes.concepts["concept"])
        every = dict.fromkeys([*studied, *map(str, dissection.concepts["concept"])])
        layers = safe_names([layer.name for layer in dissection.layers], TAKEN)
        return cls(home, layers, safe_names(every), unit_pages, studied)

    def page(self, name: str) -> str:
        """A page of the model, e.g. 'methods'."""
        return f"{self.home}/{name}.html"

    def layer(self, layer: str) -> str:
        """The page of a layer."""
        return f"{self.home}/{self.layers[layer]}/index.html"

    def layer_table(self, layer: str) -> str:
        """The page with all numbers of a layer."""
        return f"{self.home}/{self.layers[layer]}/table.html"

    def review(self, layer: str) -> str:
        """The contact sheet on which a layer's units are marked by hand."""
        return f"{self.home}/{self.layers[layer]}/review.html"

    @property
    def edits_marked(self) -> str:
        """The units that a person marked, as a file of edits."""
        return f"{self.home}/edits-marked.json"

    @property
    def edits(self) -> str:
        """The repair as a file of edits."""
        return f"{self.home}/edits.json"

    def unit(self, layer: str, unit: int) -> str:
        """The page of a unit, or its card."""
        return f"{self.home}/{self.layers[layer]}/{str(unit).join(self.unit_ends)}"

    @property
    def unit_ends(self) -> tuple[str, str]:
        """The text before and after a unit's number in its address within the layer's folder."""
        return ("unit-", ".html") if self.unit_pages else CARD_ENDS

    def concept(self, concept: str) -> str:
        """The page of a concept that occurs or was studied."""
        return f"{self.home}/concepts/{self.concepts[concept]}.html"

    def concept_mask(self, concept: str, group: int) -> str:
        """The see-through overlay of where the segmenter sees a concept in example images of one kind."""
        return f"{self.home}/concepts/img/{self.concepts[concept]}-seen-{group}.png"

    def class_image(self, sample: int) -> str:
        """A held-out image on the page of classes."""
        return f"{self.home}/classes/{sample}.webp"

    def attacked(self, sample: int) -> str:
        """The same image after an attack."""
        return f"{self.home}/classes/{sample}-attacked.webp"

    def paint_part(self, name: str, number: int) -> str:
        """A script with a part of a file of the network that a page runs."""
        return f"{self.home}/paint/{name}-{number}.js"

    def painted(self, sample: int) -> str:
        """An image of the gallery of the Paint page; photos have the numbers -1, -2 and so on."""
        return f"{self.home}/paint/{sample}.webp" if sample >= 0 else f"{self.home}/paint/inverted{-sample}.webp"

    def painted_photo(self, number: int) -> str:
        """A photo of that gallery, from 1 on, as it was before it was inverted."""
        return f"{self.home}/paint/photo{number}.webp"

    def original(self, sample: int) -> str:
        """One image without edit, next to those with ablated or inserted units."""
        return f"{self.home}/concepts/img/{sample}.webp"

    def changed(self, concept: str, at: int, kind: str, suffix: str = "webp") -> str:
        """A picture of one concept: `kind` of picture number `at`."""
        return f"{self.home}/concepts/img/{self.concepts[concept]}-{at}-{kind}.{suffix}"

    def unit_changed(self, layer: str, unit: int, at: int, kind: str) -> str:
        """A picture made without one unit: `kind` of picture number `at`."""
        return f"{self.home}/{self.layers[layer]}/img/{unit}-{at}-{kind}.webp"

    def alone(self, layer: str, unit: int, kind: str) -> str:
        """Small images, side by side, with one unit ablated alone ('off'), or what that changes ('difference')."""
        return f"{self.home}/{self.layers[layer]}/img/{unit}-alone-{kind}.webp"

    def alone_before(self, concept: str) -> str:
        """The same small images without edit, those of all units that are shown on images of a concept."""
        return f"{self.home}/concepts/img/{self.concepts[concept]}-alone.webp"

    def repaired(self, kind: str, at: int, part: str, suffix: str = "webp") -> str:
        """A picture of a repair: `part` of picture number `at` of the worst or random ones."""
        return f"{self.home}/img/artifact-{kind}-{at}-{part}.{suffix}"

    def strip(self, layer: str, unit: int) -> str:
        """A unit's strip of six images."""
        return f"{self.home}/{self.layers[layer]}/img/{unit}.webp"

    def veil(self, layer: str, unit: int) -> str:
        """The see-through overlay of all of a unit's examples, side by side."""
        return f"{self.home}/{self.layers[layer]}/img/{unit}.png"

    def picture(self, sample: int) -> str:
        """One generated image."""
        return f"{self.home}/img/{sample}.webp"

    def image(self, name: str) -> str:
        """Another image of the model."""
        return f"{self.home}/img/{name}.webp"

    @property
    def search(self) -> str:
        """The script with the search index of this model."""
        return f"{self.home}/{SEARCH}"

    @property
    def card(self) -> str:
        """The preview picture of this model on other sites."""
        return f"{self.home}/{CARD}"

    def blind(self, name: str) -> str:
        """A picture of the preference page, by a name that does not reveal which picture it is."""
        return f"{self.home}/img/pair-{name}.webp"

    def lookup(self, layer: str, sample: int) -> str:
        """The script with every unit's map over one image."""
        return f"{self.home}/lookup/{self.layers[layer]}-{sample}.js"

    def data(self, name: str, kind: str, layer: str | None = None) -> str:
        """A download."""
        stem = f"{self.layers[layer]}-{name}" if layer is not None else name
        return f"{self.home}/data/{stem}.{kind}"
