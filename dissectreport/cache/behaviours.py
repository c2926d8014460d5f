"""The behaviour of networks that were measured before, by which a changed network is recognised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import Any

from dissectreport.cache.reader import is_intact, read, save
from dissectreport.cache.store import Store
from dissectreport.files import Say
from dissectreport.records.behaviour import Behaviour


@dataclass
class Recogniser:
    """Names the behaviour of networks; a behaviour that was seen before keeps its name."""

    folder: Path
    """The folder of measurements."""
    say: Say
    folders: set[str] = field(default_factory=set)
    """The names of the stores that were used."""

    def name(self, network: str, facts: Mapping[str, Any], seen: Behaviour) -> str:
        """The name of the behaviour of a network with these facts.

        If networks with the same facts gave other results before, this is reported.
        """
        store = Store.open(self.folder, {"kind": "behaviour", **facts}, self.say)
        self.folders.add(store.folder.name)
        others = [name for name in store.names() if is_intact(store, name, self.say)]
        for name in others:
            known = read(store, Behaviour, name)
            if known.agrees(seen):
                if set(seen.values) - set(known.values):
                    save(store, known.joined(seen), name)
                return name
        if others:
            self.say(f"{network} gives other results than before: its code has changed, so it is measured again")
        candidates = chain([seen.name], (f"{seen.name}-{number}" for number in count(2)))
        name = next(name for name in candidates if name not in others)
        save(store, seen, name)
        return name
