"""Layers that change images at random in training, and let them through otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastweights import _check
from fastweights.layers.noise import Noise
from fastweights.layers.ops import Value, op
from fastweights.layers.windows import (
    INTERPOLATIONS,
    axes_of,
    check_interpolation,
    refuse_channels_first,
)

Factor = float | Sequence[float]

#: What stands beyond the edges of an image, by what the kernels know it by.
FILL_MODES = {"constant": 0, "nearest": 1, "reflect": 2, "wrap": 3}

#: Which of columns and lines change their order.
FLIPS = {"horizontal": (1, 0), "vertical": (0, 1), "horizontal_and_vertical": (1, 1)}

#: Channels that a colour may be given for.
COLOURS = 3


def _several(argument: str, got: Any, count: int, **bounds: float) -> tuple[float, ...]:
    """So many numbers within bounds."""
    if not isinstance(got, (list, tuple)) or len(got) != count:
        raise TypeError(_check.refusal(argument, _check.shown(got), f"{count} numbers"))
    return tuple(_check.number(argument, number, **bounds) for number in got)


def _factor(argument: str, got: Any, **bounds: float) -> float | tuple[float, float]:
    """One number, or a pair, the smaller one first."""
    if isinstance(got, (list, tuple)):
        least, most = sorted(_several(argument, got, 2, **bounds))
        return least, most
    return _check.number(argument, got, **bounds)


def _around(factor: float | tuple[float, float]) -> tuple[float, float]:
    """From where to where is drawn: one number is as much to both sides."""
    return factor if isinstance(factor, tuple) else (-abs(factor), abs(factor))


def _from_zero(factor: float | tuple[float, float]) -> tuple[float, float]:
    """The same where nothing is below 0."""
    return factor if isinstance(factor, tuple) else (0.0, factor)


class _Augmentation(Noise):
    """Base of these layers: what they draw for each row, and how they see it.

    A row is an image ``(height, width, channels)``. Everything is drawn once a row.
    """

    def _applied(
        self, kind: str, x: Value, sizes: Sequence[int] = (), options: Sequence[float] = ()
    ) -> Value:
        height, _ = axes_of(type(self).__name__, x.shape, 2)
        own = (self._own_seed(), x.features, *sizes)
        return op(kind, x, lines=height, sizes=own, options=options)


class RandomFlip(_Augmentation):
    """Turns images left to right, upside down or both, half of them, in training.

    Parameters
    ----------
    mode : {"horizontal_and_vertical", "horizontal", "vertical"}
        By the first one an image is turned both ways or not at all, as in Keras 3; one layer
        behind the other draws for each of the two.
    seed : int, optional
        As for `Dropout`.
    data_format : {"channels_last"}, optional
    name : str, optional
        Name in the model.
    """

    def __init__(
        self,
        mode: str = "horizontal_and_vertical",
        seed: int | None = None,
        data_format: str | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(seed, name)
        refuse_channels_first(data_format)
        _check.choice("mode", mode, FLIPS)
        self.mode = mode

    def ops(self, x: Value) -> Value:
        nearest = (FILL_MODES["nearest"], INTERPOLATIONS["nearest"])
        return self._applied("flip", x, (*nearest, *FLIPS[self.mode]), (0.0,))

    def config(self) -> dict[str, Any]:
        return {"mode": self.mode, "seed": self.seed, "name": self.name}


class _Warp(_Augmentation):
    """Base of the layers that take each pixel from somewhere between others."""

    def __init__(
        self,
        fill_mode: str,
        interpolation: str,
        seed: int | None,
        fill_value: float,
        data_format: str | None,
        name: str | None,
    ) -> None:
        super().__init__(seed, name)
        refuse_channels_first(data_format)
        _check.choice("fill_mode", fill_mode, FILL_MODES)
        self.fill_mode, self.interpolation = fill_mode, check_interpolation(interpolation)
        self.fill_value = _check.number("fill_value", fill_value)

    def _warped(
        self, kind: str, x: Value, *factors: tuple[float, float], sizes: Sequence[int] = ()
    ) -> Value:
        filling = (FILL_MODES[self.fill_mode], INTERPOLATIONS[self.interpolation])
        bounds = [bound for factor in factors for bound in factor]
        made = self._applied(kind, x, (*filling, *sizes), (self.fill_value, *bounds))
        return made if any(bounds) else x

    def config(self) -> dict[str, Any]:
        return {
            "fill_mode": self.fill_mode,
            "interpolation": self.interpolation,
            "seed": self.seed,
            "fill_value": self.fill_value,
            "name": self.name,
        }


class RandomTranslation(_Warp):
    """Moves images down and to the right by a random share of their size, in training.

    Parameters
    ----------
    height_factor, width_factor : float or (float, float)
        From which share to which, from -1 to 1; of one number from minus that on. Less than 0 is
        up, and left.
    fill_mode : {"reflect", "constant", "nearest", "wrap"}
        What comes in over the edges: ``c b a | a b c | c b a``, ``k k k | a b c | k k k``,
        ``a a a | a b c | c c c`` or ``a b c | a b c | a b c``.
    interpolation : {"bilinear", "nearest"}
        What stands between pixels. "nearest" moves by whole pixels; a half goes to the next one.
    seed : int, optional
        As for `Dropout`.
    fill_value : float
        What "constant" fills with.
    data_format : {"channels_last"}, optional
    name : str, optional
        Name in the model.
    """

    def __init__(
        self,
        height_factor: Factor,
        width_factor: Factor,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, name)
        self.height_factor = _factor("height_factor", height_factor, minimum=-1, maximum=1)
        self.width_factor = _factor("width_factor", width_factor, minimum=-1, maximum=1)

    def ops(self, x: Value) -> Value:
        factors = _around(self.height_factor), _around(self.width_factor)
        return self._warped("translate", x, *factors)

    def config(self) -> dict[str, Any]:
        factors = {"height_factor": self.height_factor, "width_factor": self.width_factor}
        return {**factors, **super().config()}


class RandomRotation(_Warp):
    """Turns images about their middle, in training.

    Parameters
    ----------
    factor : float or (float, float)
        From which share of a full turn to which, from -1 to 1; of one number from minus that on.
        More than 0 is against the clock.
    fill_mode, interpolation, seed, fill_value, data_format, name
        As for `RandomTranslation`.
    """

    def __init__(
        self,
        factor: Factor,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, name)
        self.factor = _factor("factor", factor, minimum=-1, maximum=1)

    def ops(self, x: Value) -> Value:
        return self._warped("rotate", x, _around(self.factor))

    def config(self) -> dict[str, Any]:
        return {"factor": self.factor, **super().config()}


class RandomZoom(_Warp):
    """Makes what images show smaller or larger about their middle, in training.

    Parameters
    ----------
    height_factor : float or (float, float)
        By which share more of the height is seen, from above -1 to 1; of one number from minus
        that on. More than 0 is zooming out.
    width_factor : float or (float, float), optional
        The same of the width. By default what is drawn for the height.
    fill_mode, interpolation, seed, fill_value, data_format, name
        As for `RandomTranslation`.
    """

    def __init__(
        self,
        height_factor: Factor,
        width_factor: Factor | None = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, name)
        self.height_factor = _factor("height_factor", height_factor, above=-1, maximum=1)
        self.width_factor = (
            None
            if width_factor is None
            else _factor("width_factor", width_factor, above=-1, maximum=1)
        )

    def ops(self, x: Value) -> Value:
        height = _around(self.height_factor)
        width = height if self.width_factor is None else _around(self.width_factor)
        return self._warped("zoom", x, height, width, sizes=(int(self.width_factor is not None),))

    def config(self) -> dict[str, Any]:
        factors = {"height_factor": self.height_factor, "width_factor": self.width_factor}
        return {**factors, **super().config()}


class _Colouring(_Augmentation):
    """Base of the layers that change pixels within a range of values."""

    def __init__(
        self,
        factor: Factor,
        least: float,
        value_range: Sequence[float],
        seed: int | None,
        name: str | None,
    ) -> None:
        super().__init__(seed, name)
        self.factor = _factor("factor", factor, minimum=least, maximum=1)
        self.value_range = tuple(sorted(_several("value_range", value_range, 2)))

    def config(self) -> dict[str, Any]:
        return {
            "factor": self.factor,
            "value_range": self.value_range,
            "seed": self.seed,
            "name": self.name,
        }


class RandomContrast(_Colouring):
    """Takes pixels further from the mean of their channel, or nearer to it, in training.

    ``y = mean + c (x - mean)`` within `value_range`, with one c for an image.

    Parameters
    ----------
    factor : float or (float, float)
        A pair (lower, upper), the smaller one first: c is drawn from ``1 - lower`` to
        ``1 + upper``. One number is (0, upper), as in Keras 3, whose description says otherwise:
        ``(f, f)`` is as much to both sides. From 0 to 1.
    value_range : (float, float)
        What pixels may be.
    seed : int, optional
        As for `Dropout`.
    name : str, optional
        Name in the model.
    """

    def __init__(
        self,
        factor: Factor,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(factor, 0, value_range, seed, name)

    def ops(self, x: Value) -> Value:
        lower, upper = _from_zero(self.factor)
        return self._applied("contrast", x, (), (1.0 - lower, 1.0 + upper, *self.value_range))


class RandomBrightness(_Colouring):
    """Adds one random number to all pixels of an image, in training.

    The result stays within `value_range`.

    Parameters
    ----------
    factor : float or (float, float)
        From which share of the range to which, from -1 to 1; of one number from minus that on.
    value_range : (float, float)
        What pixels may be.
    seed : int, optional
        As for `Dropout`.
    name : str, optional
        Name in the model.
    """

    def __init__(
        self,
        factor: Factor,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(factor, -1, value_range, seed, name)

    def ops(self, x: Value) -> Value:
        least, most = self.value_range
        bounds = [share * (most - least) for share in _around(self.factor)]
        return self._applied("brightness", x, (), (*bounds, least, most))


class RandomErasing(_Colouring):
    """Puts something else in the place of a random rectangle of images, in training.

    The sides of the rectangle are the roots of two shares that are drawn by themselves, times
    those of the image.

    Parameters
    ----------
    factor : float or (float, float)
        From which chance to which an image has one that is erased, from 0 to 1; each image has a
        chance of its own, which for one number is drawn from 0 on, as in Keras 3. ``(1, 1)`` is
        always.
    scale : float or (float, float)
        From which share of an image to which is erased, from 0 to 1; of one number from 0 on.
    fill_value : float or three floats, optional
        What is put there, for all channels or for each of three, within `value_range`. By default
        normally distributed numbers of mean 0, with the upper end of the range as their deviation.
    value_range : (float, float)
        What pixels may be.
    seed : int, optional
        As for `Dropout`.
    data_format : {"channels_last"}, optional
    name : str, optional
        Name in the model.

    References
    ----------
    Z. Zhong et al., "Random erasing data augmentation" (AAAI 2020).
    """

    def __init__(
        self,
        factor: Factor = 1.0,
        scale: Factor = (0.02, 0.33),
        fill_value: float | Sequence[float] | None = None,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(factor, 0, value_range, seed, name)
        refuse_channels_first(data_format)
        self.scale = _factor("scale", scale, minimum=0, maximum=1)
        self.fill_value: float | tuple[float, ...] | None
        if isinstance(fill_value, (list, tuple)):
            self.fill_value = _several("fill_value", fill_value, COLOURS)
        elif fill_value is None:
            self.fill_value = None
        else:
            self.fill_value = _check.number("fill_value", fill_value)

    def ops(self, x: Value) -> Value:
        least, most = self.value_range
        values = self.fill_value
        if isinstance(values, tuple) and x.shape[-1] != COLOURS:
            got = f"{COLOURS} numbers for rows of shape {x.shape}"
            raise ValueError(_check.refusal("fill_value", got, "one number, or 3 channels"))
        if values is None:
            values = (least, most, 0.0)
        else:
            values = values if isinstance(values, tuple) else (values,) * COLOURS
            values = tuple(min(max(value, least), most) for value in values)
        options = (*_from_zero(self.factor), *_from_zero(self.scale), *values)
        return self._applied("erase", x, (int(self.fill_value is None),), options)

    def config(self) -> dict[str, Any]:
        own = {"scale": self.scale, "fill_value": self.fill_value}
        return {**super().config(), **own}
