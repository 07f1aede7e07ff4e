"""The model that is a stack of layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastweights import _check, _feeding
from fastweights._architecture import (
    batch_size_in_config,
    described,
    is_flags_of,
    layers_of,
    topology_of,
)
from fastweights._building import Built, drawing
from fastweights._homes import Assignment, assign, refuse_taken
from fastweights._network import name_layers
from fastweights._tensors import Tensor, row_shape
from fastweights._topology import Topology
from fastweights._turns import Turn
from fastweights.layers import Layer, Variable
from fastweights.layers.ops import Shape
from fastweights.models import Model


class Sequential(Model):
    """A stack of layers, each of which reads what the one before it made.

    Parameters
    ----------
    layers : sequence of Layer, optional
        From input to output. The first entry may be an `fastweights.Input`.
    input_shape : int or tuple of int, optional
        Shape of one row of input. Without it the model is built at the first rows it is trained on.
    dtype, seed, matmul_precision, name
        As for `Model`, whose attributes and methods it has.

    Examples
    --------
    >>> model = Sequential([layers.Dense(16, "relu"), layers.Dense(1)], seed=0)
    >>> model.compile(optimizer="adam", loss="mse")
    >>> history = model.fit(x, y, epochs=20)
    """

    __module__ = "fastweights"
    _shares = False

    def __init__(
        self,
        layers: Sequence[Layer | Tensor] | None = None,
        input_shape: int | Shape | None = None,
        dtype: str | np.dtype = "float32",
        seed: int | None = None,
        matmul_precision: str | None = None,
        name: str | None = None,
    ) -> None:
        stack: Any = () if layers is None else layers
        row = None if input_shape is None else row_shape("input_shape", input_shape)
        self._is_flags, self._batch_size = False, None
        if isinstance(stack, (list, tuple)) and stack and isinstance(stack[0], Tensor):
            row = self._row_of(stack[0], row)
            self._is_flags, self._batch_size = stack[0]._is_flags, stack[0]._batch_size
            stack = stack[1:]
        chain = tuple(_layers_in("layers", stack))
        self._row = row
        self._begin(self._stacked(chain), [None], dtype, seed, matmul_precision, name)
        if chain and (first := row or chain[0]._input_row) is not None:
            self._build_alone([first])

    @staticmethod
    def _row_of(tensor: Tensor, row: Shape | None) -> Shape:
        """The shape of rows that an Input at the begin of a stack says."""
        if tensor._made_by is not None:
            raise ValueError(_check.refusal("layers", repr(tensor), "an fw.Input, and layers"))
        if row is not None and row != tensor._row:
            raise ValueError(
                _check.refusal("input_shape", f"{row}", f"{tensor._row}, as the Input says")
            )
        return tensor._row

    @property
    def input_shape(self) -> Shape | None:
        built = self._built
        return self._row if built is None else built.input_shapes[0]

    def build(self, input_shape: int | Shape) -> None:
        """Fixes the shape of the input, allocates the flat vector, draws the initial weights."""
        row = row_shape("input_shape", input_shape)
        with Turn(self._turns, "build"):
            if self._built is not None:
                got = f"a model that is built for {self.input_shape}"
                raise ValueError(_check.refusal("build", got, "a model that is not built yet"))
            self._build([row])

    def add(self, layer: Layer | Tensor) -> None:
        """Puts one more layer on the stack, or at its begin an `fastweights.Input`.

        Layers that are there keep their weights. What was compiled stays, and the optimizer
        remembers nothing.
        """
        with Turn(self._turns, "add"):
            chain = self._layers_to_change("add")
            if isinstance(layer, Tensor) and not chain:
                self._row = self._row_of(layer, self._row)
                self._is_flags, self._batch_size = layer._is_flags, layer._batch_size
            else:
                self._restack((*chain, *_layers_in("layer", [layer])))

    def pop(self) -> Layer:
        """Takes the last layer off the stack, and returns it; all else is as for `add`."""
        with Turn(self._turns, "pop"):
            chain = self._layers_to_change("pop")
            if not chain:
                raise ValueError(_check.refusal("pop", "a model without layers", "one with some"))
            self._restack(chain[:-1])
            return chain[-1]

    def _layers_to_change(self, call: str) -> tuple[Layer, ...]:
        """The layers, unless other models have them too."""
        if len(self._home.family.models()) > 1:
            got = "a model whose layers another one has too"
            expected = "one that has them for itself, such as model.copy()"
            raise ValueError(_check.refusal(call, got, expected))
        return self._layers

    def _stacked(self, chain: tuple[Layer, ...]) -> Topology:
        """These layers, behind the stack's own input."""
        return _chained(chain, (0,) if self._is_flags else (), self._batch_size)

    def _restack(self, chain: tuple[Layer, ...]) -> None:
        """Other layers; weights that are there already stay."""
        topology, before = self._stacked(chain), self._built
        refuse_taken(chain, self._home)
        # Tensors that were made of the layers were those of another stack.
        self._ends = None
        assign((layer, "_first_made", None) for layer in chain)
        row = self.input_shape or (chain[0]._input_row if chain else None)
        features = self._names.features if chain else (None,)
        # Plans, what the optimizer remembers and columns of targets are of what was there.
        follows: list[Assignment] = [
            (self, "_compiled", self._compiled.anew()),
            (self, "_names", _feeding.Names(features, None)),
        ]
        if not chain or row is None:
            self._rename(chain, topology)
            self._planned = topology
            assign([(self._home, "built", None), *follows])
            return
        draw, built = drawing(self.seed), Built(topology, [row], self.dtype)

        def fill(index: int, variable: Variable, view: np.ndarray) -> None:
            layer = built.owned[index][0]
            if before is None or not before.has(layer):
                draw(index, variable, view)
            else:
                view[...] = before.views_of(layer)[variable.name]

        built.allocate(fill)
        self._rename(chain, topology)
        if before is None:
            self._planned = topology
        self._take_on(built, *follows)

    def _rename(self, chain: tuple[Layer, ...], topology: Topology) -> None:
        name_layers(chain, self._home)
        self._output_names = topology.output_names(self._input_names)

    def config(self) -> dict[str, Any]:
        """The architecture, as JSON can hold it."""
        built = self._built
        return {
            "layers": described(self.layers if built is None else built.layers),
            "input_shape": self._row if built is None else built.input_shapes[0],
            **({"input_dtype": "bool"} if self._is_flags else {}),
            "dtype": self.dtype.name,
            "seed": self.seed,
            **batch_size_in_config(self._topology),
        }

    @classmethod
    def _unbuilt(
        cls,
        chain: Sequence[Layer],
        dtype: Any,
        seed: Any,
        is_flags: bool,
        batch_size: int | None,
    ) -> Sequential:
        model = cls.__new__(cls)
        model._row, model._is_flags, model._batch_size = None, is_flags, batch_size
        model._begin(model._stacked(tuple(chain)), [None], dtype, seed)
        vars(model).update(_is_seed_given=False, _sealed=True)
        return model


def _layers_in(argument: str, entries: Any) -> list[Layer]:
    """The entries of a stack, but for an Input at its begin."""
    for entry in entries if isinstance(entries, (list, tuple)) else ():
        if isinstance(entry, Tensor):
            expected = "layers, and an Input before all of them"
            raise ValueError(_check.refusal(argument, "a tensor among layers", expected))
        if isinstance(entry, Model):
            expected = "layers; it can be called on a tensor instead, and be part of an fw.Model"
            raise TypeError(_check.refusal(argument, "a model among layers", expected))
    return _check.instances(argument, entries, Layer)


def _chained(chain: tuple[Layer, ...], flags: tuple[int, ...], batch_size: int | None) -> Topology:
    """A chain of layers, each of which may stand in it once."""
    if len({id(layer) for layer in chain}) < len(chain):
        repeated = next(a for a in chain if sum(a is b for b in chain) > 1)
        raise ValueError(
            _check.refusal("layers", f"{repeated!r} twice", "a layer of its own in each place")
        )
    for layer in chain:
        if (count := layer.results()) > 1:
            got = f"{layer!r}, which makes {count} values"
            expected = "layers that make one; an fw.Model has any"
            raise ValueError(_check.refusal("layers", got, expected))
    return Topology.chain(chain, flags, batch_size)


def unbuilt(
    config: Mapping[str, Any], custom_objects: Any = None
) -> tuple[Model, list[Shape] | None]:
    """A model of the architecture that `config` described, and the shapes to build it for."""
    is_graph = isinstance(config, Mapping) and not {"inputs", "calls", "outputs"}.isdisjoint(config)
    own = {"inputs", "calls", "outputs"} if is_graph else {"input_shape"}
    own |= {"layers", "dtype", "seed"}
    besides = {"batch_size"} if is_graph else {"input_dtype", "batch_size"}
    if not isinstance(config, Mapping) or set(config) - besides != own:
        expected = "what a model's config() returned"
        raise ValueError(_check.refusal("config", _check.shown(config), expected))
    batch_size = config.get("batch_size")
    if batch_size is not None:
        batch_size = _check.whole("batch_size", batch_size, 1)
    stack = layers_of(config["layers"], custom_objects)
    if not is_graph:
        shape = config["input_shape"]
        is_flags = is_flags_of("input_dtype", config.get("input_dtype"))
        chain = Sequential._unbuilt(stack, config["dtype"], config["seed"], is_flags, batch_size)
        return chain, None if shape is None else [row_shape("input_shape", shape)]
    topology, inputs = topology_of(config, stack, batch_size)
    model = Model.__new__(Model)
    keys = tuple(config["outputs"]) if isinstance(config["outputs"], Mapping) else None
    names = [name for name, _ in inputs]
    model._begin(topology, names, config["dtype"], config["seed"], output_keys=keys)
    vars(model).update(_is_seed_given=False, _sealed=True)
    return model, [shape for _, shape in inputs]
