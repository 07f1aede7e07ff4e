"""Layers whose forward and backward are written in NumPy: slow, for trying things out."""

from __future__ import annotations

import inspect
import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from fastweights import _check, _tensors
from fastweights.layers.base import Layer, takes
from fastweights.layers.ops import Op, Shape, Value

#: Arrays of parameters that one op may have.
MAX_VARIABLES = 8


class NumpyLayer(Layer):
    """A layer of your own, written in NumPy.

    A subclass writes `forward` and `backward`, and what it needs of `variables`, `output_shape` and
    `config`. It is trained beside compiled layers, checked by `fastweights.check_gradients` and,
    once it is registered by `fastweights.register_layer`, copied, saved and loaded as they are.

    Parameters
    ----------
    name : str, optional
        Name in the model.

    Notes
    -----
    All arrays that the functions get are copies of their own, in the model's dtype; what they give
    is copied and converted to it. A batch comes whole in training. Elsewhere rows come some at a
    time, so what a row becomes should not depend on the others. An exception ends the call that
    it happened in, before the step, and is raised there. The layer's own model is busy meanwhile:
    calling it from these functions is refused.

    Examples
    --------
    >>> @fw.register_layer("my_package")
    ... class Scale(layers.NumpyLayer):
    ...     def variables(self, input_shape):
    ...         return [layers.Variable("factor", input_shape, "ones")]
    ...
    ...     def forward(self, x, factor):
    ...         return x * factor, (x, factor)
    ...
    ...     def backward(self, dy, kept):
    ...         x, factor = kept
    ...         return dy * factor, (dy * x).sum(axis=0)
    """

    @abstractmethod
    def forward(self, *arrays: Any) -> Any:
        """What the layer makes of a batch, and what `backward` is to have.

        Parameters
        ----------
        *arrays : ndarray
            ``(rows, *shape)`` of each value that the layer reads, then its variables in their
            order. A function that has an argument ``training`` gets True there in training.

        Returns
        -------
        y : ndarray (rows, *output_shape)
        kept : object
            Anything, also None. Outside training nobody asks for it.
        """

    @abstractmethod
    def backward(self, dy: Any, kept: Any) -> Any:
        """The gradients of the loss, from the one by what `forward` made.

        Parameters
        ----------
        dy : ndarray (rows, *output_shape)
        kept : object
            As `forward` returned it.

        Returns
        -------
        ndarray or tuple of ndarray
            By each value that the layer reads, then by each variable (the sum over the rows), in
            the order in which `forward` has them.
        """

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Shape of one row of output for one row of each input: that of the first, by default."""
        return input_shapes[0]

    def _refuse(self, name: str) -> NoReturn:
        try:
            super()._refuse(name)
        except AttributeError as error:
            hint = "; what backward needs is returned by forward: y, kept"
            raise AttributeError(f"{error}{hint}") from None

    def ops(self, *values: Value) -> Value:
        calls = Calls(self, [value.shape for value in values])
        names = [variable.name for variable in calls.variables]
        outputs = math.prod(calls.output_shape)
        made = Op("numpy", [value.op for value in values], 1, outputs, names, calls=calls)
        return Value(made, calls.output_shape)


class Calls:
    """The functions of a NumpyLayer as a plan calls them: on rows and parameters without shapes.

    What the functions give is checked here, since nobody else sees it before kernels read it.
    """

    def __init__(self, layer: NumpyLayer, input_shapes: Sequence[Shape]) -> None:
        kind = type(layer).__name__
        self.layer, self.input_shapes = layer, tuple(input_shapes)
        for name in ("variables", "output_shape"):
            if not takes(getattr(layer, name), input_shapes):
                count = len(input_shapes)
                got = f"{count} value{'s' * (count != 1)}"
                expected = f"as many as its {name} takes shapes"
                raise ValueError(_check.refusal(f"inputs of {kind}", got, expected))
        self.variables = layer._declared("variables", input_shapes)
        if len(self.variables) > MAX_VARIABLES:
            got = f"{len(self.variables)} arrays"
            raise ValueError(_check.refusal(f"variables of {kind}", got, f"up to {MAX_VARIABLES}"))
        if layer.states(*input_shapes):
            got = f"some for {kind}"
            raise ValueError(_check.refusal("states", got, "none: a NumpyLayer remembers nothing"))
        made = layer.output_shape(*input_shapes)
        self.output_shape = _tensors.row_shape(f"output_shape of {kind}", made)
        #: By what gradients are made, in the words of messages.
        self.names = [f"input {number}" for number in range(len(input_shapes))]
        self.names = self.names if len(self.names) > 1 else ["x"]
        self.names += [variable.name for variable in self.variables]
        self.shapes = [*self.input_shapes, *(variable.shape for variable in self.variables)]
        self.has_training = "training" in inspect.signature(layer.forward).parameters
        self._expect("forward", self.names, self._settings(False))
        self._expect("backward", ["dy", "kept"], {})

    def _expect(self, name: str, given: Sequence[str], settings: Mapping[str, Any]) -> None:
        """Raises TypeError unless the layer's function of this name takes as much."""
        function = getattr(self.layer, name)
        if not takes(function, given, settings):
            got, expected = f"one of {inspect.signature(function)}", f"one of {', '.join(given)}"
            raise TypeError(_check.refusal(f"{name} of {type(self.layer).__name__}", got, expected))

    def _settings(self, training: bool) -> dict[str, bool]:
        return {"training": training} if self.has_training else {}

    def forward(
        self, values: Sequence[np.ndarray], weights: np.ndarray, training: bool
    ) -> tuple[np.ndarray, Any]:
        """y of rows of each value, and what is to be kept."""
        count, real = len(values[0]), weights.dtype
        pairs = zip(values, self.input_shapes, strict=True)
        given = [rows.reshape(count, *shape) for rows, shape in pairs]
        ends = np.cumsum([variable.size for variable in self.variables])
        parts = np.split(weights.reshape(-1), ends[:-1]) if self.variables else []
        given += [
            part.reshape(variable.shape)
            for part, variable in zip(parts, self.variables, strict=True)
        ]
        made = self.layer.forward(*given, **self._settings(training))
        name = self._function("forward")
        if not isinstance(made, tuple) or len(made) != 2:
            expected = "a pair: y, and what backward is to have (None for nothing)"
            raise TypeError(_check.refusal(name, _summary(made), expected))
        return self._array(f"y of {name}", made[0], (count, *self.output_shape), real), made[1]

    def backward(self, dy: np.ndarray, kept: Any) -> tuple[list[np.ndarray], np.ndarray]:
        """The gradient by each value, and that by all parameters in a row."""
        count, name = len(dy), self._function("backward")
        made = self.layer.backward(dy.reshape(count, *self.output_shape), kept)
        # A list of arrays is several gradients; one of numbers is an array in writing.
        is_several = isinstance(made, tuple) or (
            isinstance(made, list) and any(isinstance(part, np.ndarray) for part in made)
        )
        found = tuple(made) if is_several else (made,)
        if len(found) != len(self.names):
            expected = f"{len(self.names)}, by {', '.join(self.names)}"
            raise ValueError(_check.refusal(name, f"{len(found)} gradients", expected))
        reads = len(self.input_shapes)
        gradients = []
        for number, (by, shape, array) in enumerate(
            zip(self.names, self.shapes, found, strict=True)
        ):
            whole = (count, *shape) if number < reads else shape
            gradients.append(self._array(f"gradient by {by} of {name}", array, whole, dy.dtype))
        own = [gradient.reshape(-1) for gradient in gradients[reads:]]
        return gradients[:reads], np.concatenate([np.empty(0, dy.dtype), *own])

    def _function(self, name: str) -> str:
        return f"{name} of {self.layer.name!r}, {type(self.layer).__name__}"

    @staticmethod
    def _array(name: str, got: Any, shape: Shape, real: np.dtype) -> np.ndarray:
        """What a function gave, as the plan takes it."""
        array = _check.numeric_array(name, got)
        if array.shape != shape:
            raise ValueError(_check.refusal(name, f"shape {array.shape}", f"shape {shape}"))
        return _check.contiguous(array, real)


def _summary(made: Any) -> str:
    """What a function gave in place of a pair."""
    return f"a tuple of {len(made)}" if isinstance(made, tuple) else _check.kind_of(made)
