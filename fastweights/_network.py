"""A stack of layers over one flat vector: its names, shapes, weights and description."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np

from fastweights import _advice, _check
from fastweights._building import Built, Fill, Topology, Weight, drawing
from fastweights._core import philox
from fastweights._sealed import Sealed
from fastweights._turns import Turn
from fastweights.layers import LAYERS, Layer
from fastweights.layers.base import is_same_memory
from fastweights.layers.ops import Shape

N = TypeVar("N", bound="Network")


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


class Network(Sealed):
    """What a model is before it is compiled.

    Parameters
    ----------
    layers, input_shape, dtype, seed
        As `fastweights.Sequential` takes them.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        input_shape: int | Shape | None,
        dtype: str | np.dtype,
        seed: int | None,
    ) -> None:
        self._layers = tuple(_check.instances("layers", layers, Layer))
        if not self._layers:
            raise ValueError(_check.refusal("layers", "none", "at least one layer"))
        if len({id(layer) for layer in self._layers}) < len(self._layers):
            repeated = next(a for a in self._layers if sum(a is b for b in self._layers) > 1)
            raise ValueError(
                _check.refusal("layers", f"{repeated!r} twice", "a layer of its own in each place")
            )
        for layer in self._layers:
            if layer._built is not None and layer._built.is_in_use():
                raise ValueError(
                    _check.refusal("layers", f"{layer!r} of another model", "new layers")
                )
        self._topology = Topology.chain(self._layers)
        self._dtype = _check.dtype("dtype", dtype)
        if seed is None:
            seed = int.from_bytes(os.urandom(8), "little")
        self._seed = _check.whole("seed", seed, 0, maximum=philox.MAX_SEED)
        self._building: Built | None = None
        #: Calls that train, the one whose turn it is first.
        self._turns: list[Turn] = []
        self._name_layers()
        if input_shape is not None:
            try:
                self.build(input_shape)
            except BaseException:
                # Nobody will have this model: its layers are free for another one.
                if self._building is not None:
                    self._building.is_complete = False
                raise

    # ---- what it is made of ----------------------------------------------------------------------

    _fixed: ClassVar[dict[str, str]] = {
        **dict.fromkeys(
            ("layers", "dtype", "seed", "input_shape", "output_shape"),
            "is fixed; make a new Sequential, and set_weights() if it is to have the same",
        ),
        "weights": "is a tuple of views; call set_weights(...), or write weights[i][...] = ...",
    }

    @property
    def layers(self) -> tuple[Layer, ...]:
        return self._layers

    @property
    def dtype(self) -> np.dtype:
        return self._dtype

    @property
    def seed(self) -> int:
        return self._seed

    @property
    def input_shape(self) -> Shape | None:
        return None if self._built is None else self._built.input_shape

    # ---- building --------------------------------------------------------------------------------

    def _name_layers(self) -> None:
        given = [layer._given_name for layer in self._layers if layer._given_name is not None]
        taken = set(given)
        if len(taken) < len(given):
            repeated = next(name for name in given if given.count(name) > 1)
            raise ValueError(
                _check.refusal("layers", f"the name {repeated!r} twice", "different names")
            )
        used: Counter[str] = Counter()
        for layer in self._layers:
            if layer._given_name is None:
                stem = _snake_case(type(layer).__name__)
                number = used[stem]
                while (name := f"{stem}_{number}" if number else stem) in taken:
                    number += 1
                used[stem] = number + 1
                layer._name = name
                taken.add(name)

    def build(self, input_shape: int | Shape) -> None:
        """Fixes the shape of the input, allocates the flat vector, draws the initial weights."""
        sizes = input_shape if isinstance(input_shape, Iterable) else (input_shape,)
        shape = tuple(_check.whole("input_shape", size, 1) for size in sizes)
        if not shape:
            raise ValueError(_check.refusal("input_shape", "()", "at least one dimension"))
        with Turn(self._turns, "build"):
            if self.input_shape is not None:
                got = f"a model that is built for {self.input_shape}"
                raise ValueError(_check.refusal("build", got, "a model that is not built yet"))
            self._build(shape)

    def _build(self, shape: Shape, fill: Fill | None = None) -> None:
        """Builds the model, whose turn this is, for a checked shape; draws unless filled."""
        built = Built(self._topology, (shape,), self.dtype)
        built.allocate(fill or drawing(self.seed))
        self._take_on(built)

    def _take_on(self, built: Built) -> None:
        _advice.about_single_units(self._layers, built.shapes[1:])
        self._building = built
        built.take_on(self)

    @property
    def _built(self) -> Built | None:
        building = self._building
        return building if building is not None and building.is_complete else None

    def _built_or_refused(self) -> Built:
        built = self._built
        if built is None:
            raise ValueError(
                "input_shape: got none, expected one: give it to Sequential, build or fit first"
            )
        return built

    def _built_for(self, rows: np.ndarray) -> Built:
        """Builds a model that has no shape yet for these rows."""
        if self._built is None:
            self._build(rows.shape[1:])
        return self._built_or_refused()

    @property
    def output_shape(self) -> Shape:
        return self._built_or_refused().output_shape

    @property
    def parameters(self) -> np.ndarray:
        return self._built_or_refused().parameters

    @parameters.setter
    def parameters(self, value: Any) -> None:
        self._refuse_new("parameters", value, self.parameters)

    @property
    def gradients(self) -> np.ndarray:
        return self._built_or_refused().gradients

    @gradients.setter
    def gradients(self, value: Any) -> None:
        self._refuse_new("gradients", value, self.gradients)

    def _refuse_new(self, name: str, value: Any, vector: np.ndarray) -> None:
        """Lets pass what ``model.parameters *= 0.5`` sets, which has happened in place."""
        if not is_same_memory(value, vector):
            raise AttributeError(f"{name}: is the model's own vector; write {name}[:] = ...")

    @property
    def weights(self) -> tuple[Weight, ...]:
        return self._built_or_refused().weights()

    def count_params(self) -> int:
        """Number of parameters."""
        return self.parameters.size

    def get_weights(self) -> list[np.ndarray]:
        """Copies of all `weights`, in order."""
        built, found, offset = self._built_or_refused(), [], 0
        copy = np.empty(built.size, built.dtype)
        built.lock.copy((copy,), (built.parameters,))
        for weight in self.weights:
            found.append(copy[offset : offset + weight.size].reshape(weight.shape).copy())
            offset += weight.size
        return found

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Sets all `weights`, in order; nothing is changed unless all of them fit."""
        if not isinstance(weights, Sequence):
            raise TypeError(_check.refusal("weights", type(weights).__name__, "a list of arrays"))
        built, targets = self._built_or_refused(), self.weights
        if len(weights) != len(targets):
            raise ValueError(_check.refusal("weights", f"{len(weights)} arrays", f"{len(targets)}"))
        flat, offset = np.empty(built.size, built.dtype), 0
        for target, given in zip(targets, weights, strict=True):
            array = _check.numeric_array(target.name, given)
            if array.shape != target.shape:
                raise ValueError(
                    _check.refusal(target.name, f"shape {array.shape}", f"shape {target.shape}")
                )
            flat[offset : offset + target.size] = _check.reals(
                target.name, array, built.dtype
            ).reshape(-1)
            offset += target.size
        built.lock.copy((built.parameters,), (flat,))

    # ---- showing and describing ------------------------------------------------------------------

    def summary(self) -> None:
        """Prints a table: layer, output shape, weights, biases; total parameters and bytes."""
        built = self._built_or_refused()
        header = ("Layer", "Output shape", "Weights", "Biases")
        lines = []
        for layer, shape in zip(self.layers, built.shapes[1:], strict=True):
            biases = sum(w.size for name, w in layer.weights.items() if name == "bias")
            weights = sum(w.size for w in layer.weights.values()) - biases
            title = f"{layer.name} ({type(layer).__name__})"
            lines.append((title, str((None, *shape)), f"{weights:,}", f"{biases:,}"))
        widths = [max(len(line[i]) for line in [header, *lines]) for i in range(4)]

        def row(line: tuple[str, ...]) -> str:
            return (
                f"{line[0]:<{widths[0]}}  {line[1]:<{widths[1]}}  "
                f"{line[2]:>{widths[2]}}  {line[3]:>{widths[3]}}"
            )

        rule = "-" * (sum(widths) + 6)
        print(row(header), rule, *map(row, lines), rule, sep="\n")
        total = self.count_params()
        print(f"Total parameters: {total:,} ({total * self.dtype.itemsize:,} bytes, {self.dtype})")

    def refuse_foreign(self, call: str) -> None:
        """Raises TypeError where a layer would come back as another one from its `config`."""
        for layer in self._layers:
            again = LAYERS.get(type(layer).__name__)
            fits = again is type(layer) and vars(again(**layer.config())) == {
                **vars(layer), "_given_name": layer.name, "_built": None,
            }  # fmt: skip
            if not fits:
                got = f"the layer {layer.name!r} of the class {type(layer).__qualname__}"
                expected = "layers, activations and initializers of this library"
                raise TypeError(_check.refusal(call, got, expected))

    def config(self) -> dict[str, Any]:
        """The architecture, as JSON can hold it."""
        return {
            "layers": [{"class": type(layer).__name__, **layer.config()} for layer in self.layers],
            "input_shape": self.input_shape,
            "dtype": self.dtype.name,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls: type[N], config: Mapping[str, Any]) -> N:
        """A new model of the architecture that `config` described, weights as at first."""
        model = cls._unbuilt(config)
        if config.get("input_shape") is not None:
            model.build(config["input_shape"])
        return model

    @classmethod
    def _unbuilt(cls: type[N], config: Mapping[str, Any]) -> N:
        """The same without its shape and its weights."""
        if not isinstance(config, Mapping) or not {"layers", "dtype", "seed"} <= set(config):
            expected = "what a model's config() returned"
            raise ValueError(_check.refusal("config", f"{_check.shown(config)}", expected))
        described = [dict(layer) for layer in config["layers"]]
        layers = [
            _check.choice("layer class", layer.pop("class", None), LAYERS)(**layer)
            for layer in described
        ]
        return cls(layers, None, config["dtype"], config["seed"])
