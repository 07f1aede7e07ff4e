"""Layers that tell steps of a series apart by where they are."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from fastweights import _check, initializers
from fastweights.layers.base import Layer, Variable
from fastweights.layers.ops import Shape, Value, op


def _series(layer: Layer, x: Value) -> tuple[int, int]:
    """Steps and features of what a layer reads."""
    if len(x.shape) != 2:
        got = f"rows of shape {x.shape}"
        raise ValueError(
            _check.refusal(f"input of {type(layer).__name__}", got, "rows of (steps, features)")
        )
    return x.shape[0], x.shape[1]


#: Places are counted in 32 bits.
MOST = 2**31 - 1


def _place(start_index: int) -> int:
    return _check.whole("start_index", start_index, 0, maximum=MOST)


def _ratio(max_wavelength: float, columns: int) -> float:
    """``max_wavelength ** (-2 / columns)``, the same number on every machine."""
    return float(Decimal(max_wavelength) ** (Decimal(-2) / Decimal(columns)))


class PositionEmbedding(Layer):
    """A learned vector for each place in a series, to be added to what is there.

    Parameters
    ----------
    sequence_length : int
        How many places there are; series may be shorter.
    initializer : str or Initializer
        How the vectors start.
    name : str, optional
        Name in the model.

    Attributes
    ----------
    position_embeddings : ndarray (sequence_length, features)
        View of the model's parameters, once the model is built.

    Notes
    -----
    Input ``(rows, steps, features)``, of which the shape alone counts; output of the same shape,
    as in Keras Hub. It is called as ``layer(x, start_index=0)``: the first step is at that place.

    Examples
    --------
    >>> x = layers.Embedding(80, 32)(fw.Input(64))
    >>> placed = layers.Add()([x, layers.PositionEmbedding(64)(x)])
    """

    supports_masking = True

    def __init__(
        self,
        sequence_length: int,
        initializer: str | initializers.Initializer = "glorot_uniform",
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.sequence_length = _check.whole("sequence_length", sequence_length, 1)
        self.initializer = initializers.get(initializer, argument="initializer")

    def most_steps(self, **settings: Any) -> int | None:
        return self.sequence_length - int(settings.get("start_index", 0))

    def variables(self, input_shape: Shape) -> list[Variable]:
        shape = (self.sequence_length, input_shape[-1])
        return [Variable("position_embeddings", shape, self.initializer, *shape)]

    def ops(self, x: Value, *, start_index: int = 0) -> Value:
        steps, _ = _series(self, x)
        first = _place(start_index)
        if first + steps > self.sequence_length:
            got = f"{steps} steps from place {first} on"
            expected = f"at most {self.sequence_length} places, the sequence_length"
            raise ValueError(_check.refusal("input of PositionEmbedding", got, expected))
        return op(
            "learned_positions",
            x,
            lines=steps,
            variables=("position_embeddings",),
            sizes=(first,),
        )

    def config(self) -> dict[str, Any]:
        return {
            "sequence_length": self.sequence_length,
            "initializer": self.initializer.config(),
            "name": self.name,
        }


class SinePositionEncoding(Layer):
    """Sines and cosines of the place in a series, to be added to what is there: at place t columns
    ``2 i`` and ``2 i + 1`` are sine and cosine of ``t / max_wavelength ** (2 i / features)``.

    Parameters
    ----------
    max_wavelength : float
        At least 1.
    name : str, optional
        Name in the model.

    Notes
    -----
    Input ``(rows, steps, features)``, of which the shape alone counts; output of the same shape,
    as in Keras Hub. It is called as ``layer(x, start_index=0)``: the first step is at that place.

    References
    ----------
    A. Vaswani et al., "Attention is all you need" (NeurIPS 2017), section 3.5.
    """

    supports_masking = True

    def __init__(self, max_wavelength: float = 10000, name: str | None = None) -> None:
        super().__init__(name)
        self.max_wavelength = _check.number("max_wavelength", max_wavelength, minimum=1)

    def ops(self, x: Value, *, start_index: int = 0) -> Value:
        steps, features = _series(self, x)
        first = _place(start_index)
        options = (_ratio(self.max_wavelength, features), 1.0)
        return op("sine_positions", x, lines=steps, sizes=(first,), options=options)

    def config(self) -> dict[str, Any]:
        return {"max_wavelength": self.max_wavelength, "name": self.name}


class RotaryEmbedding(Layer):
    """Turns pairs of features by angles that grow with the place in a series: products of two
    vectors then depend on how far apart their places are.

    At place t feature i and the one half the features behind it are turned as a point of the plane,
    by ``t / scaling_factor / max_wavelength ** (2 i / features)``.

    Parameters
    ----------
    max_wavelength : float
        At least 1.
    scaling_factor : float
        By which places are divided, above 0.
    sequence_axis : int
        The axis of the steps: 1.
    feature_axis : int
        That of the features: -1.
    name : str, optional
        Name in the model.

    Notes
    -----
    Input ``(rows, steps, ..., features)`` with an even number of features, such as the heads of
    queries or keys; output of the same shape, as in Keras Hub. It is called as
    ``layer(x, start_index=0)``: the first step is at that place.

    References
    ----------
    J. Su et al., "RoFormer: enhanced transformer with rotary position embedding" (Neurocomputing
    568, 2024).
    """

    supports_masking = True

    def __init__(
        self,
        max_wavelength: float = 10000,
        scaling_factor: float = 1.0,
        sequence_axis: int = 1,
        feature_axis: int = -1,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.max_wavelength = _check.number("max_wavelength", max_wavelength, minimum=1)
        self.scaling_factor = _check.number("scaling_factor", scaling_factor, minimum=1e-6)
        self.sequence_axis = _only("sequence_axis", sequence_axis, 1)
        self.feature_axis = _only("feature_axis", feature_axis, -1)

    def ops(self, x: Value, *, start_index: int = 0) -> Value:
        if len(x.shape) < 2 or x.features % 2:
            expected = "rows of (steps, ..., features), an even number of features"
            raise ValueError(
                _check.refusal("input of RotaryEmbedding", f"rows of shape {x.shape}", expected)
            )
        together = x.lines // x.shape[0]
        first = _place(start_index)
        options = (_ratio(self.max_wavelength, x.features), 1.0 / self.scaling_factor)
        return op("rotary", x, lines=x.lines, sizes=(together, first), options=options)

    def config(self) -> dict[str, Any]:
        return {
            "max_wavelength": self.max_wavelength,
            "scaling_factor": self.scaling_factor,
            "sequence_axis": self.sequence_axis,
            "feature_axis": self.feature_axis,
            "name": self.name,
        }


def _only(argument: str, got: Any, known: int) -> int:
    """A setting that knows one axis."""
    if _check.whole(argument, got, -64, 64) != known:
        expected = f"{known}; Permute brings another axis there"
        raise ValueError(_check.refusal(argument, got, expected))
    return known
