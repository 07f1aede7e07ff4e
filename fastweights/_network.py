"""A network of layers over one flat vector: its names, shapes, weights and description."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np

from fastweights import _advice, _check
from fastweights._building import Built, Fill, Weight, drawing
from fastweights._core import philox
from fastweights._homes import Assignment, Home, assign, family_of, refuse_taken
from fastweights._rows import Rows, each
from fastweights._sealed import Sealed
from fastweights._sharing import keeping, refuse_unfit, share
from fastweights._topology import Topology, told_apart
from fastweights._turns import Turn
from fastweights.layers import Layer
from fastweights.layers.base import is_same_memory
from fastweights.layers.ops import Shape

if TYPE_CHECKING:
    from fastweights.models import Model


def snake_case(name: str) -> str:
    """As Keras names layers after their classes: ``LeakyReLU`` is ``leaky_re_lu``."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def name_layers(layers: Sequence[Layer], home: Home) -> None:
    """Gives each layer that has no name of its own one that is free.

    Those that have weights in another model keep theirs, unless two have the same.
    """
    known = [layer for layer in layers if layer._built is not None and layer._home is not home]
    ids = {id(layer) for layer in known}
    new = [layer for layer in layers if id(layer) not in ids]
    given = [layer._given_name for layer in new if layer._given_name is not None]
    repeated = [name for name, times in Counter(given).items() if times > 1]
    repeated += [str(layer.name) for layer in known if layer.name in set(given)]
    if repeated:
        got = f"the name {_check.shown(repeated[0])} twice"
        raise ValueError(_check.refusal("layers", got, "different names"))
    unnamed = [layer for layer in new if layer._given_name is None]
    kept = told_apart([str(layer.name) for layer in known], given)
    stems = [snake_case(type(layer).__name__) for layer in unnamed]
    found = told_apart(stems, (*given, *kept))
    named = zip((*known, *unnamed), (*kept, *found), strict=True)
    assign((layer, "_name", name) for layer, name in named)


class Network(Sealed):
    """What a model is before it is compiled.

    Parameters
    ----------
    topology : Topology
        Which layer reads what.
    dtype, seed
        As `fastweights.Model` takes them.
    """

    def __init__(self, topology: Topology, dtype: str | np.dtype, seed: int | None) -> None:
        self._dtype = _check.dtype("dtype", dtype)
        if seed is None:
            seed = int.from_bytes(os.urandom(8), "little")
        self._seed = _check.whole("seed", seed, 0, maximum=philox.MAX_SEED)
        self._home = Home(cast("Model", self))
        #: Calls that train, the one whose turn it is first.
        self._turns: list[Turn] = []
        #: Counts until the model is built.
        self._planned = topology
        self._input_names: tuple[str, ...] = ("input",)
        if not self._shares:
            refuse_taken(self._layers, self._home)
        name_layers(self._layers, self._home)

    # ---- what it is made of ----------------------------------------------------------------------

    #: Whether it may have layers of other models.
    _shares: ClassVar[bool] = True

    _fixed: ClassVar[dict[str, str]] = {
        **dict.fromkeys(
            ("layers", "dtype", "seed", "input_shape", "output_shape"),
            "is fixed; make a new model, and set_weights() if it is to have the same",
        ),
        "weights": "is a tuple of views; call set_weights(...), or write weights[i][...] = ...",
    }

    @property
    def layers(self) -> tuple[Layer, ...]:
        return self._layers

    @property
    def _topology(self) -> Topology:
        """Which layer reads what."""
        built = self._built
        return self._planned if built is None else built.topology

    @property
    def _layers(self) -> tuple[Layer, ...]:
        return self._topology.layers

    @property
    def trainable(self) -> bool:
        """Whether training moves all layers' weights; setting it sets that of each layer."""
        return all(layer.trainable for layer in self._layers)

    @trainable.setter
    def trainable(self, trainable: bool) -> None:
        flag = _check.flag("trainable", trainable)
        assign((layer, "_trainable", flag) for layer in self._layers)

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of this name, or the one of this number in `layers`."""
        if (name is None) == (index is None):
            got = "neither name nor index" if name is None else "both name and index"
            raise ValueError(_check.refusal("get_layer", got, "one of them"))
        if index is not None:
            count = len(self._layers)
            if not count:
                raise ValueError(_check.refusal("get_layer", "a model without layers", "one with"))
            return self._layers[_check.whole("index", index, -count, maximum=count - 1)]
        if not isinstance(name, str):
            expected = f"a name; for number {name!r} write get_layer(index={name!r})"
            raise TypeError(_check.refusal("name", _check.kind_of(name), expected))
        return _check.choice("name", name, {str(layer.name): layer for layer in self._layers})

    @property
    def dtype(self) -> np.dtype:
        return self._dtype

    @property
    def seed(self) -> int:
        return self._seed

    @property
    def input_names(self) -> tuple[str, ...]:
        """By which a dict of arrays names the inputs."""
        return self._input_names

    @property
    def input_shape(self) -> Shape | tuple[Shape, ...] | None:
        built = self._built
        if built is None:
            return None
        shapes = built.input_shapes
        return shapes[0] if len(shapes) == 1 else shapes

    # ---- building --------------------------------------------------------------------------------

    def _build_alone(self, shapes: Sequence[Shape]) -> None:
        """Builds a new model; where that fails its layers are free for another one."""
        try:
            with Turn(self._turns, "build"):
                self._build(shapes)
        except BaseException:
            self._home.built = None
            raise

    def _build(self, shapes: Sequence[Shape], fill: Fill | None = None) -> None:
        """Builds the model, whose turn this is, for checked shapes; draws unless filled."""
        built = Built(self._topology, shapes, self.dtype)
        found = (family_of(layer, apart_from=self._home) for layer in built.layers)
        families = list({id(family): family for family in found if family is not None}.values())
        if families and not self._shares:
            refuse_taken(built.layers, self._home)
        refuse_unfit(built, self._home)
        fill = keeping(built, self._home, fill or drawing(self.seed))
        if not families:
            built.allocate(fill)
            self._take_on(built)
            return
        _advice.about_layers(built)
        share(built, self._home, families, fill)

    def _take_on(self, built: Built, *besides: Assignment) -> None:
        _advice.about_layers(built)
        self._home.take_on(built, *besides)

    @property
    def _built(self) -> Built | None:
        return self._home.built

    def _built_or_refused(self) -> Built:
        built = self._built
        if built is None:
            raise ValueError(
                "input_shape: got none, expected one: give it to Sequential, build or fit first"
            )
        return built

    def _built_for(self, rows: Rows) -> Built:
        """Builds a model that has no shape yet for these rows."""
        if self._built is None:
            self._build([part.shape[1:] for part in each(rows)])
        return self._built_or_refused()

    @property
    def output_shape(self) -> Shape | tuple[Shape, ...]:
        shapes = self._built_or_refused().output_shapes
        return shapes[0] if len(shapes) == 1 else shapes

    @property
    def parameters(self) -> np.ndarray:
        return self._built_or_refused().parameters

    @parameters.setter
    def parameters(self, value: Any) -> None:
        self._refuse_new("parameters", value, self.parameters)

    @property
    def gradients(self) -> np.ndarray:
        built = self._built_or_refused()
        built.lock.show_gradients()
        return built.gradients

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

    @property
    def state(self) -> np.ndarray:
        return self._built_or_refused().state

    @state.setter
    def state(self, value: Any) -> None:
        self._refuse_new("state", value, self.state)

    def count_params(self) -> int:
        """Number of parameters, and of numbers that layers remember, but for those of rows."""
        return sum(weight.size for weight in self.weights)

    def get_weights(self) -> list[np.ndarray]:
        """Copies of all `weights`, in order."""
        return self._built_or_refused().copies()

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Sets all `weights`, in order; nothing is changed unless all of them fit."""
        self._built_or_refused().write(weights)

    # ---- showing and describing ------------------------------------------------------------------

    def summary(self) -> None:
        """Prints a table: layer, output shape, weights, biases; total parameters and bytes.

        Layers that are not trainable, and have something to train, are called frozen.
        """
        built = self._built_or_refused()
        header: tuple[str, ...] = ("Layer", "Output shape", "Weights", "Biases")
        lines: list[tuple[str, ...]] = []
        seen: set[int] = set()
        calls = built.topology.calls
        for (layer, *_), made in zip(calls, built.topology.made(), strict=True):
            biases = sum(w.size for name, w in layer.weights.items() if name.endswith("bias"))
            weights = sum(w.size for w in layer.weights.values()) - biases
            figures = ("shared", "") if id(layer) in seen else (f"{weights:,}", f"{biases:,}")
            seen.add(id(layer))
            is_frozen = layer.weights and not layer.trainable
            title = f"{layer.name} ({type(layer).__name__}{', frozen' if is_frozen else ''})"
            shapes = ", ".join(str((None, *built.shapes[number])) for number in made)
            lines.append((title, shapes, *figures))
        if not built.topology.is_chain:
            header = (*header, "Reads")
            read = self._reads()
            inputs = zip(self.input_names, built.input_shapes, strict=True)
            lines = [
                *((f"{name} (Input)", str((None, *shape)), "", "", "") for name, shape in inputs),
                *((*line, ", ".join(names)) for line, names in zip(lines, read, strict=True)),
            ]
        widths = [max(len(line[i]) for line in [header, *lines]) for i in range(len(header))]

        def row(line: tuple[str, ...]) -> str:
            left, right = (f"{line[i]:<{widths[i]}}" for i in (0, 1)), (2, 3)
            cells = [*left, *(f"{line[i]:>{widths[i]}}" for i in right), *line[4:]]
            return "  ".join(cells).rstrip()

        rule = "-" * (sum(widths) + 2 * len(widths) - 2)
        print(row(header), rule, *map(row, lines), rule, sep="\n")
        total = self.count_params()
        print(f"Total parameters: {total:,} ({total * self.dtype.itemsize:,} bytes, {self.dtype})")
        moving = sum(weight.size for weight in built.moving_weights())
        if moving < built.size:
            print(f"Trained parameters: {moving:,}")

    def _reads(self) -> list[tuple[str, ...]]:
        """By name what each call of a layer reads."""
        topology = self._topology
        names = [*self.input_names]
        for call, made in zip(topology.calls, topology.made(), strict=True):
            name = str(call.layer.name)
            names += [name, *(f"{name}[{place}]" for place in range(1, len(made)))]
        return [tuple(names[number] for number in call.reads) for call in topology.calls]
