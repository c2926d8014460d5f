"""The network that a description names, with its weights or with random ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dissectreport.checkpoints import reporting
from dissectreport.checkpoints.file_type import REMEDY
from dissectreport.checkpoints.model_files import open_model_file
from dissectreport.checkpoints.names import StateDict
from dissectreport.checkpoints.parts import Place, places_of
from dissectreport.checkpoints.state_dicts import load_exactly, load_from, select_tensors
from dissectreport.checkpoints.weight_files import read_checkpoint
from dissectreport.errors import ModelError, WeightsError, answered
from dissectreport.files import sha256
from dissectreport.models.described_values import inputs_of, sampling_of, with_stride
from dissectreport.models.description import Description, WeightFile
from dissectreport.models.families.opening import OpenedNetwork, open_found
from dissectreport.models.families.recognition import find
from dissectreport.models.own_code import checked_network, has_sizes
from dissectreport.networks.latents import latents
from dissectreport.run.surroundings import surroundings_kept


def _say_average(content: Mapping[str, Any], network: nn.Module, given: Place) -> None:
    """Say that a file has the moving average of the network that is read from it, if another part was named."""
    places = [] if given.averaged else places_of(content, network.state_dict(keep_vars=True))
    if places and places[0].averaged:
        reporting.say(f"the weights have a moving average too, which makes better images: set {places[0]}")


@dataclass(frozen=True)
class NetworkBuilder:
    """Makes the network that a file describes, with its weights or with random ones."""

    description: Description
    resolve: Callable[[str], object]
    """Imports what an address such as package.module:function refers to."""
    weights: tuple[WeightFile, ...]
    """The files of weights; () if the function loads its own."""

    def trained(self) -> nn.Module:
        """The network with its weights."""
        if not self.weights:
            return self.without_weights()
        if self.recognised:
            return self.recognised.module
        contents = [self._content(file) for file in self.weights]
        text = self.description.text
        place, ignore = Place(text("part"), text("prefix")), self.description.names("ignore")
        network = self.without_weights()
        if len(contents) == 1 and not self.weights[0].prefix:
            load_from(network, contents[0], place, type(network).__name__, ignore)
            _say_average(contents[0], network, place)
        else:
            joined = self._joined([select_tensors(content, place.part, place.prefix) for content in contents])
            load_exactly(network, joined, type(network).__name__, ignore)
        return network

    def _content(self, file: WeightFile) -> Mapping[str, Any]:
        return read_checkpoint(file.path, file.sha256, self._remedy(file)).content

    def _remedy(self, file: WeightFile) -> str:
        return f"give the file with the sha256 of {self.description.path.name}" if file.sha256 else REMEDY

    def _joined(self, tensors: Sequence[StateDict]) -> StateDict:
        """The tensors of several files; a WeightsError if two files have the same name."""
        joined, versions = dict[str, Tensor](), dict[str, Any]()
        origin = dict[str, str]()
        for file, table in zip(self.weights, tensors, strict=True):
            for name, value in table.items():
                if (whole := file.prefix + name) in joined:
                    first, second = origin[whole], file.path.name
                    raise WeightsError(
                        f"{first} and {second} both have {whole}; say which part of the network each belongs to: "
                        f"weights = {{ 'first.' = '{first}', 'second.' = '{second}' }}"
                    )
                joined[whole], origin[whole] = value, file.path.name
            versions |= {(file.prefix + name).rstrip("."): value for name, value in (table.versions or {}).items()}
        return StateDict.of(joined, versions or None)

    def without_weights(self) -> nn.Module:
        """What the function returns, uncompiled."""
        function, name = self.resolve(self.address), f"network {self.address!r}"
        if not callable(function):
            raise self.description.problem(f"{name} is a {type(function).__name__}; it should be a function or class")
        arguments = self.description.table("arguments")
        who = (
            f"{self.description.path.name}: {self.description.text('network')} failed with "
            f"{f'arguments {arguments}' if arguments else 'no arguments'}"
        )
        with surroundings_kept():
            returned = answered(ModelError, who, lambda: function(**arguments))
            return checked_network(returned, f"{self.description.path.name}: {name}")

    @cached_property
    def recognised(self) -> OpenedNetwork | None:
        """The network of a family, recognised in its file; None for other networks."""
        description = self.description
        family = description.text("family")
        if not family:
            return None
        (weights,) = self.weights
        file = open_model_file(weights.path, weights.sha256, self._remedy(weights))
        place = Place(description.text("part"), description.text("prefix"))
        found = find(file, place, family, description.names("ignore"))
        return open_found(with_stride(found, description), sampling_of(description))

    @property
    def reinitialise(self) -> Callable[[int], nn.Module] | None:
        """Makes the network with random weights; None if the function may load trained weights."""
        if self.recognised:
            return self.recognised.reinitialise
        return self._random if self.weights and self.description.text("network") else None

    def _random(self, seed: int) -> nn.Module:
        """The network with the random weights that its own code gives it."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = self.without_weights()
            if not has_sizes(network):
                self._run_once(network)
            return network

    def _run_once(self, network: nn.Module) -> None:
        """Run a network, so that lazy modules learn their sizes."""
        network.eval()
        with torch.no_grad():
            if "images" in self.description.content:
                network(torch.zeros(2, 3, *self.description.table("images")["size"]))
                return
            inputs = inputs_of(self.description)
            positional, keywords = inputs.arguments_from(latents(0, 0, 2, inputs.latent_shape))
            network(*positional, **keywords)

    @property
    def address(self) -> str:
        """The network's address; ./file.py is relative to the description's folder."""
        module, colon, name = self.description.text("network").rpartition(":")
        file = self.description.path.parent / module
        return f"{file}:{name}" if module.endswith(".py") else f"{module}{colon}{name}"

    def code_digest(self) -> str:
        """The SHA-256 of what images depend on besides the weights: address, arguments, and the file with the code.

        '' for a family, which its weights determine.
        """
        if self.description.text("family"):
            return ""
        module = self.address.rpartition(":")[0]
        file = sha256(Path(module), links=True) if module.endswith(".py") else ""
        parts = [self.description.text("network"), self.description.table("arguments"), file]
        return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()
