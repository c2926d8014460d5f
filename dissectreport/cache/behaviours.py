"""The behaviour of networks that were measured before, by which a changed network is recognised."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, count
from pathlib import Path
from typing import Any

from dissectreport.cache.reader import is_intact, read, save
from dissectreport.cache.store import Say, Store
from dissectreport.records.behaviour import Behaviour

FOLDER = "behaviours"
"""The part of the cache that keeps them."""


def behaviour_name(cache: Path, say: Say, network: str, facts: Mapping[str, Any], seen: Behaviour) -> str:
    """The name of what a network of these facts does, given when it was first seen.

    A network that does something else than those of the same facts before is reported.
    """
    store = Store.open(cache / FOLDER, {"kind": "behaviour", **facts}, say)
    others = [name for name in store.names() if is_intact(store, name, say)]
    for name in others:
        known = read(store, Behaviour, name)
        if known.agrees(seen):
            if set(seen.values) - set(known.values):
                save(store, known.joined(seen), name)
            return name
    if others:
        say(f"{network} does something else than before: its code has changed, and it is measured anew")
    name = next(name for name in chain([seen.name], (f"{seen.name}-{n}" for n in count(2))) if name not in others)
    save(store, seen, name)
    return name
