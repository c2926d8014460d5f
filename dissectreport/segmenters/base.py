"""The protocol of a segmenter: what a plug-in of the group `dissectreport.segmenters` returns.

class Sky:
    name, identity = "sky", "sky-1"
    vocabulary = Vocabulary.of(object=("sky", "cloud"))     # concept 1 is sky, concept 2 is cloud
    ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from dissectreport.vocabulary import Concept as Concept
from dissectreport.vocabulary import Vocabulary as Vocabulary

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Segmenter(Protocol):
    """A network that labels each pixel with concepts: one concept in each of its slots.

    A segmenter has as many slots as concepts that it can give to one pixel, often one for each category. Four members
    are optional, and are looked up with getattr:

    - `probabilities(images, concepts)` returns the (n, k, h', w') probability in [0, 1] that a pixel shows each of k
      concept numbers, with gradients with respect to the images. Interventions need it to rank units by gradients. A
      concept whose probability has no gradient is measured, but not studied by interventions.
    - `features(images)` returns the (n, d) features of whole images. They are the default features for KID and FID.
    - `exportable_labels(images)` returns the same labels as a call, computed with operations that have a form in ONNX,
      so that a page can segment what is painted.
    - `facts`: plain JSON values for the report. facts["card"]["iou"] may give the IoU of each concept on held-out
      images, by name or by category and name.

    Each worker process loads the segmenter once, and calls it under `torch.no_grad()` on images of the generator's
    size; labels are compared with activations at their own resolution. The first batch is checked: a SegmenterError is
    raised if shape, type or range are wrong.
    """

    name: str
    """What the user calls the segmenter."""
    identity: str
    """Changes whenever the weights or the arithmetic change. Measured counts are kept by it: two segmenters of one
    identity share them."""
    vocabulary: Vocabulary
    """The meaning of concept numbers."""

    def __call__(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) float32 RGB in [-1, 1] -> (n, slots, h', w') int64 concept numbers; 0 is nothing.

        The label of an image must not depend on the other images of the batch.
        """

    def confidence(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) in [-1, 1] -> (n, h', w') probability of the label in the first slot, in [0, 1]."""

    def to(self, device: torch.device) -> Segmenter:
        """The same segmenter on `device`. The network itself may be moved."""
