"""How to cite: the papers whose method this is, and this program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dissectreport.version import __version__

_PAPERS = """@inproceedings{bau2019gandissection,
  title = {{GAN} Dissection: Visualizing and Understanding Generative Adversarial Networks},
  author = {Bau, David and Zhu, Jun-Yan and Strobelt, Hendrik and Zhou, Bolei and Tenenbaum, Joshua B. and
            Freeman, William T. and Torralba, Antonio},
  booktitle = {International Conference on Learning Representations},
  year = {2019}
}

@article{bau2020units,
  title = {Understanding the role of individual units in a deep neural network},
  author = {Bau, David and Zhu, Jun-Yan and Strobelt, Hendrik and Lapedriza, Agata and Zhou, Bolei and
            Torralba, Antonio},
  journal = {Proceedings of the National Academy of Sciences},
  volume = {117},
  number = {48},
  pages = {30071--30078},
  year = {2020},
  doi = {10.1073/pnas.1907375117}
}
"""


def bibtex() -> str:
    """Entries for the two papers and for this program in its version."""
    program = (
        "@misc{dissectreport,\n"
        "  title = {dissectreport: network dissection of image generators as a static site},\n"
        "  author = {{The dissectreport authors}},\n"
        f"  note = {{Version {__version__}}}\n"
        "}\n"
    )
    return f"{_PAPERS}\n{program}"


def licence_of(facts: Mapping[str, Any]) -> str:
    """The licence in a model's facts or its card; '' where there is none."""
    card = facts.get("card")
    sources = [source for source in (facts, card) if isinstance(source, Mapping)]
    licences = [source.get(name) for source in sources for name in ("licence", "license")]
    return next((str(licence) for licence in licences if licence), "")
