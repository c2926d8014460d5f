"""The same network in fewer operations: a factor and a summand behind a convolution become its weight and bias."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissectreport.onnx_files.small_weights import replace_values

CONVOLUTIONS = ("Conv", "ConvTranspose")


def rewrite(model: Any) -> None:
    """Rewrite the graph of an ONNX model in place."""
    graph = _Graph.of(model.graph)
    for node in list(graph.nodes):
        if node.op_type in CONVOLUTIONS:
            graph.fold_factor(node)
            graph.fold_summand(node)
    replace_values(model.graph.node, graph.nodes)
    used = {name for node in graph.nodes for name in node.input}
    weights = [*model.graph.initializer, *graph.made]
    changed = {weight.name: weight for weight in weights}
    replace_values(model.graph.initializer, [weight for name, weight in changed.items() if name in used])


@dataclass
class _Graph:
    """Nodes in the order in which they run, and the values that are known."""

    nodes: list[Any]
    values: dict[str, NDArray[Any]]
    outputs: frozenset[str]
    made: list[Any] = field(default_factory=list)
    """Tensors that were added or changed."""

    @classmethod
    def of(cls, graph: Any) -> _Graph:
        """The graph of a model."""
        from onnx import numpy_helper

        values = {weight.name: numpy_helper.to_array(weight) for weight in graph.initializer}
        return cls(list(graph.node), values, frozenset(one.name for one in graph.output))

    def fold_factor(self, node: Any) -> None:
        """Make a factor behind a convolution without bias a part of its weight."""
        from onnx import helper

        behind = self._only_user(node, "Mul")
        factor = None if behind is None else self._other(behind, node.output[0])
        if factor is None or factor.size != 1 or len(node.input) > 2:
            return
        name = f"{node.output[0]}.weight"
        if node.input[1] in self.values:
            self._keep(name, self.values[node.input[1]] * factor.reshape(()))
        else:
            self._keep(f"{name}.factor", factor.reshape(()))
            product = helper.make_node("Mul", [node.input[1], f"{name}.factor"], [name])
            self.nodes.insert(self.nodes.index(node), product)
        node.input[1] = name
        self._take_over(node, behind)

    def fold_summand(self, node: Any) -> None:
        """Make a summand of each channel behind a convolution without bias its bias."""
        behind = self._only_user(node, "Add")
        summand = None if behind is None else self._other(behind, node.output[0])
        if summand is None or len(node.input) > 2 or not _is_per_channel(summand):
            return
        name = f"{node.output[0]}.bias"
        self._keep(name, summand.reshape(-1))
        node.input.append(name)
        self._take_over(node, behind)

    def _only_user(self, node: Any, operation: str) -> Any:
        """The only node that uses what a node gives, if it has this operation; else None."""
        name = node.output[0]
        users = [user for user in self.nodes if name in user.input]
        uses = Counter(users[0].input)[name] if len(users) == 1 else 0
        return users[0] if uses == 1 and users[0].op_type == operation and name not in self.outputs else None

    def _other(self, node: Any, name: str) -> NDArray[Any] | None:
        """The known operand of a node beside the one with this name; None where it is not known."""
        other = next(operand for operand in node.input if operand != name)
        return self.values.get(other)

    def _take_over(self, node: Any, behind: Any) -> None:
        """Let a node give what the one behind it gave."""
        node.output[0] = behind.output[0]
        self.nodes.remove(behind)

    def _keep(self, name: str, value: NDArray[Any]) -> None:
        from onnx import numpy_helper

        self.values[name] = value
        self.made.append(numpy_helper.from_array(np.ascontiguousarray(value), name))


def _is_per_channel(values: NDArray[Any]) -> bool:
    """Whether these are (1, channels, 1, 1) or (channels, 1, 1) numbers."""
    return values.ndim in (3, 4) and values.size == values.shape[-3] and values.size > 1
