"""Where every page and file of a model lies in the site."""

from __future__ import annotations

from dataclasses import dataclass

from dissectreport.analysis.dissection import Dissection
from dissectreport.report.names import safe_name, safe_names

TAKEN = ("data", "img", "index.html", "concepts.html", "lookup.html", "trust.html", "methods.html", "lookup")
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

    @classmethod
    def of(cls, dissection: Dissection, occupied: tuple[str, ...] = ()) -> Places:
        """The places of a model, where other models have `occupied` some folders."""
        home = safe_name(dissection.model, [*FIRST_OF_SITE, *occupied])
        return cls(home, safe_names([layer.name for layer in dissection.layers], TAKEN))

    def page(self, name: str) -> str:
        """A page of the model, e.g. 'methods'."""
        return f"{self.home}/{name}.html"

    def layer(self, layer: str) -> str:
        """The page of a layer."""
        return f"{self.home}/{self.layers[layer]}/index.html"

    def layer_table(self, layer: str) -> str:
        """The page with all numbers of a layer."""
        return f"{self.home}/{self.layers[layer]}/table.html"

    def unit(self, layer: str, unit: int) -> str:
        """The page of a unit."""
        return f"{self.home}/{self.layers[layer]}/unit-{unit}.html"

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

    def lookup(self, layer: str, sample: int) -> str:
        """The script with every unit's map over one image."""
        return f"{self.home}/lookup/{self.layers[layer]}-{sample}.js"

    def data(self, name: str, kind: str, layer: str | None = None) -> str:
        """A download."""
        stem = f"{self.layers[layer]}-{name}" if layer is not None else name
        return f"{self.home}/data/{stem}.{kind}"
