"""The words for indoor rooms."""

OBJECTS = (
    *("wall", "floor", "ceiling", "window", "curtain", "door", "picture"),
    *("rug", "bed", "sofa", "table", "chair", "lamp"),
)
PARTS = (
    *("pane", "window frame", "door leaf", "door frame", "picture frame"),
    *("headboard", "pillow", "blanket", "cushion"),
    *("table top", "table leg", "chair back", "chair seat", "chair leg", "lamp shade", "lamp stand"),
)
MATERIALS = (
    *("plaster", "paper", "brick", "wood", "tile", "carpet"),
    *("fabric", "leather", "glass", "metal"),
)
LEARNED = {"object": OBJECTS, "part": PARTS, "material": MATERIALS}
