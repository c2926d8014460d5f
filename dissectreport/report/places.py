"""Where every page and file of a model lies in the site."""

from __future__ import annotations

from dataclasses import dataclass, field

from dissectreport.analysis.dissection import Dissection
from dissectreport.report.names import safe_name, safe_names

PAGES = ("index", "concepts", "causes", "lookup", "real", "trust", "preference", "methods")
TAKEN = ("data", "img", "lookup", "concepts", *(f"{page}.html" for page in PAGES))
"""Names in a model's folder that no layer can have."""
FIRST_OF_SITE = ("assets", "index.html")
"""Names at the top of a site that no model can have."""


@dataclass(frozen=True)
class Places:
    """The addresses of one model's files, from the top of the site."""

    home: str
    """The model's folder."""
    layers: dict[str, str]
    """The folder of each layer within it."""
    concepts: dict[str, str] = field(default_factory=dict)
    """The name of the page of each concept that was studied by turning units off and on."""

    @classmethod
    def of(cls, dissection: Dissection, occupied: tuple[str, ...] = ()) -> Places:
        """The places of a model, where other models have `occupied` some folders."""
        home = safe_name(dissection.model, [*FIRST_OF_SITE, *occupied])
        found = dissection.interventions
        studied = [] if found is None else [str(concept) for concept in found.concepts["concept"]]
        return cls(home, safe_names([layer.name for layer in dissection.layers], TAKEN), safe_names(studied))

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
        """The contact sheet on which a layer's units are marked by eye."""
        return f"{self.home}/{self.layers[layer]}/review.html"

    def unit(self, layer: str, unit: int) -> str:
        """The page of a unit."""
        return f"{self.home}/{self.layers[layer]}/unit-{unit}.html"

    def concept(self, concept: str) -> str:
        """The page of a concept that was studied."""
        return f"{self.home}/concepts/{self.concepts[concept]}.html"

    def original(self, sample: int) -> str:
        """One image as the model makes it, beside those that are made with units off or on."""
        return f"{self.home}/concepts/img/{sample}.webp"

    def changed(self, concept: str, at: int, kind: str, suffix: str = "webp") -> str:
        """A picture of one concept: `kind` of picture number `at`."""
        return f"{self.home}/concepts/img/{self.concepts[concept]}-{at}-{kind}.{suffix}"

    def unit_changed(self, layer: str, unit: int, at: int, kind: str) -> str:
        """A picture made without one unit: `kind` of picture number `at`."""
        return f"{self.home}/{self.layers[layer]}/img/{unit}-{at}-{kind}.webp"

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

    def blind(self, name: str) -> str:
        """A picture of the preference page, by a name that tells nothing."""
        return f"{self.home}/img/pair-{name}.webp"

    def lookup(self, layer: str, sample: int) -> str:
        """The script with every unit's map over one image."""
        return f"{self.home}/lookup/{self.layers[layer]}-{sample}.js"

    def data(self, name: str, kind: str, layer: str | None = None) -> str:
        """A download."""
        stem = f"{self.layers[layer]}-{name}" if layer is not None else name
        return f"{self.home}/data/{stem}.{kind}"
