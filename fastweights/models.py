"""The model: layers over one flat vector of parameters, trained by a compiled plan."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastweights import _check, _dispatch, _plans, losses, metrics, optimizers, training
from fastweights._core import philox
from fastweights.callbacks import Callback, History
from fastweights.config import PRECISIONS, matmul_parts
from fastweights.layers import LAYERS, Layer, OpSpec
from fastweights.layers.base import Shape, Variable

if TYPE_CHECKING:
    from fastweights._core.plan import Plan


class Weight(np.ndarray):
    """A view of the flat vector of parameters that knows its name, such as ``dense/kernel``."""

    name: str

    def __array_finalize__(self, obj: Any) -> None:
        self.name = getattr(obj, "name", "")


def aligned_zeros(n: int, dtype: np.dtype) -> np.ndarray:
    """A vector of `n` zeros that begins on a 64-byte boundary."""
    memory = np.zeros(n * dtype.itemsize + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + n * dtype.itemsize].view(dtype)


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


class Sequential:
    """A stack of layers.

    Parameters
    ----------
    layers : sequence of Layer
        From input to output; at least one.
    input_shape : int or tuple of int, optional
        Shape of one row of input. Without it the model is built at the first data it sees.
    dtype : {"float32", "float64"}
        Of parameters and arithmetic.
    seed : int, optional
        In [0, 2**64). Fixes initial weights and shuffling: one seed, one result. Drawn from the
        operating system by default.
    matmul_precision : {"highest", "high", "medium"}, optional
        This model's own, in place of that of `fastweights.set_matmul_precision`. It belongs to the
        machine rather than the model, and files do not keep it.

    Attributes
    ----------
    parameters, gradients : ndarray (n,)
        The flat vectors, live: writing to them moves the model. In layer order, 64-byte aligned.
    weights : list of ndarray
        Named views of `parameters`: ``dense/kernel`` (inputs, units), ``dense/bias`` (units,), ...
    layers : list of Layer
    optimizer, loss, metrics
        As `compile` took them.

    Examples
    --------
    >>> model = Sequential([layers.Dense(16, "relu"), layers.Dense(1)], seed=0)
    >>> model.compile(optimizer="adam", loss="mse")
    >>> history = model.fit(x, y, epochs=20)
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        input_shape: int | Shape | None = None,
        dtype: str | np.dtype = "float32",
        seed: int | None = None,
        matmul_precision: str | None = None,
    ) -> None:
        self.layers = _check.instances("layers", layers, Layer)
        if not self.layers:
            raise ValueError(_check.refusal("layers", "none", "at least one layer"))
        for layer in self.layers:
            if layer.weights or sum(layer is other for other in self.layers) > 1:
                raise ValueError(
                    _check.refusal("layers", f"{layer!r} twice", "a layer of its own in each place")
                )
        self.dtype = _check.dtype("dtype", dtype)
        if seed is None:
            seed = int.from_bytes(os.urandom(8), "little")
        self.seed = _check.whole("seed", seed, 0, maximum=philox.MAX_SEED)
        self.matmul_precision = matmul_precision
        self.optimizer: optimizers.Optimizer | None = None
        self.loss: losses.Loss | None = None
        self.metrics: list[metrics.Metric] = []
        self.stop_training = False
        #: Epochs of shuffling so far; with the seed it fixes the next one's order.
        self.epochs_trained = 0
        self.input_shape: Shape | None = None
        self._plans: dict[str, Plan] = {}
        self._name_layers()
        if input_shape is not None:
            self.build(input_shape)

    # ---- building --------------------------------------------------------------------------------

    def _name_layers(self) -> None:
        taken = [layer.name for layer in self.layers if layer.name is not None]
        for name in taken:
            if taken.count(name) > 1:
                raise ValueError(
                    _check.refusal("layers", f"the name {name!r} twice", "different names")
                )
        for layer in self.layers:
            if layer.name is None:
                stem = _snake_case(type(layer).__name__)
                candidates = (
                    stem if i == 0 else f"{stem}_{i}" for i in range(len(self.layers) + 1)
                )
                layer.name = next(name for name in candidates if name not in taken)
                taken.append(layer.name)

    def build(self, input_shape: int | Shape) -> None:
        """Fixes the shape of the input, allocates the flat vectors, draws the initial weights."""
        sizes = input_shape if isinstance(input_shape, Iterable) else (input_shape,)
        shape = tuple(_check.whole("input_shape", size, 1) for size in sizes)
        if not shape:
            raise ValueError(_check.refusal("input_shape", "()", "at least one dimension"))
        if self.input_shape is not None:
            raise ValueError(
                _check.refusal("input_shape", shape, f"{self.input_shape}: the model is built")
            )
        shapes = self._shapes_from(shape)
        described: list[tuple[Layer, Variable]] = []
        ops: list[OpSpec] = []
        for layer, rows in zip(self.layers, shapes[:-1], strict=True):
            if layer.weights:
                raise ValueError(
                    _check.refusal(
                        "layers", f"{layer.name}, which another model built", "new layers"
                    )
                )
            described += [(layer, variable) for variable in layer.variables(rows)]
            ops += layer.ops(rows)
        width = math.prod(shapes[-1])
        self._shapes = shapes
        self._flat = len(shapes[0]) == len(shapes[-1]) == 1
        self._ops = ops or [OpSpec("activation", width, width)]
        self._allocate(described)
        self.input_shape = shape

    def _shapes_from(self, input_shape: Shape) -> list[Shape]:
        """Shape of one row before each layer, and after the last."""
        shapes = [input_shape]
        for layer in self.layers:
            shapes.append(layer.output_shape(shapes[-1]))
        return shapes

    def _allocate(self, described: list[tuple[Layer, Variable]]) -> None:
        total = sum(variable.size for _, variable in described)
        self._parameters = aligned_zeros(total, self.dtype)
        self._gradients = aligned_zeros(total, self.dtype)
        self._variables = [variable for _, variable in described]
        self._weights: list[Weight] = []
        offset = 0
        for index, (layer, variable) in enumerate(described):
            view = self._parameters[offset : offset + variable.size].reshape(variable.shape)
            variable.initializer.fill(
                view, self.seed, philox.STREAM_INIT + index, variable.fan_in, variable.fan_out
            )
            layer.weights[variable.name] = view
            weight = view.view(Weight)
            weight.name = f"{layer.name}/{variable.name}"
            self._weights.append(weight)
            offset += variable.size
        self._memory: optimizers.Memory | None = None
        self._forward_rows = 0

    def _built(self) -> None:
        if self.input_shape is None:
            raise ValueError(
                "input_shape: got none, expected one: give it to Sequential, build or fit first"
            )

    def _build_for(self, rows: np.ndarray) -> None:
        """Builds a model that has no shape yet for these rows."""
        if self.input_shape is None:
            self.build(rows.shape[1:])

    @property
    def output_shape(self) -> Shape:
        """Shape of one row of output."""
        self._built()
        return self._shapes[-1]

    @property
    def parameters(self) -> np.ndarray:
        self._built()
        return self._parameters

    @property
    def gradients(self) -> np.ndarray:
        self._built()
        return self._gradients

    @property
    def weights(self) -> list[Weight]:
        self._built()
        return list(self._weights)

    def count_params(self) -> int:
        """Number of parameters."""
        return self.parameters.size

    def get_weights(self) -> list[np.ndarray]:
        """Copies of all `weights`, in order."""
        return [np.array(weight) for weight in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Sets all `weights`, in order; nothing is changed unless all of them fit."""
        if not isinstance(weights, Sequence):
            raise TypeError(_check.refusal("weights", type(weights).__name__, "a list of arrays"))
        if len(weights) != len(self.weights):
            raise ValueError(
                _check.refusal("weights", f"{len(weights)} arrays", f"{len(self.weights)}")
            )
        checked = []
        for target, given in zip(self._weights, weights, strict=True):
            array = _check.numeric_array(target.name, given)
            if array.shape != target.shape:
                raise ValueError(
                    _check.refusal(target.name, f"shape {array.shape}", f"shape {target.shape}")
                )
            array = _check.contiguous(array, self.dtype)
            _check.finite(target.name, array)
            checked.append(array.copy())
        for target, array in zip(self._weights, checked, strict=True):
            target[...] = array

    @property
    def matmul_precision(self) -> str | None:
        """How exact float32 matrix products must be; None: as the process says."""
        return self._matmul_precision

    @matmul_precision.setter
    def matmul_precision(self, precision: str | None) -> None:
        if precision is not None:
            _check.choice("matmul_precision", precision, PRECISIONS)
        self._matmul_precision = precision

    # ---- compiling -------------------------------------------------------------------------------

    def compile(
        self,
        optimizer: str | optimizers.Optimizer = "sgd",
        loss: str | losses.Loss = "mse",
        metrics: Sequence[str | metrics.Metric] = (),
    ) -> None:
        """Says how to train.

        Parameters
        ----------
        optimizer : str or Optimizer
            ``"sgd"``, ``"adam"`` or an object of :mod:`fastweights.optimizers`.
        loss : str or Loss
            A name such as ``"mse"`` or an object of :mod:`fastweights.losses`.
        metrics : sequence of str or Metric
            Names such as ``"accuracy"`` or ``"mae"``, reported beside the loss.
        """
        from fastweights import metrics as known

        chosen_optimizer = optimizers.get(optimizer)
        chosen_loss = losses.get(loss)
        if isinstance(metrics, str):
            raise TypeError(_check.refusal("metrics", repr(metrics), f"a list: [{metrics!r}]"))
        chosen_metrics = [known.get(metric, chosen_loss) for metric in metrics]
        names = ["loss", *(metric.name for metric in chosen_metrics)]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(
                    _check.refusal("metrics", f"the name {name!r} twice", "different names")
                )
        self.metrics = chosen_metrics
        self.optimizer, self.loss = chosen_optimizer, chosen_loss
        if self.input_shape is not None:
            self._plans.clear()
            self._memory = None
            self._forward_rows = 0

    def _compiled(self) -> tuple[optimizers.Optimizer, losses.Loss]:
        if self.loss is None or self.optimizer is None:
            raise ValueError(
                "compile: got no loss yet, expected model.compile(optimizer, loss) before"
            )
        return self.optimizer, self.loss

    def _optimizer_memory(self) -> optimizers.Memory:
        if self._memory is None:
            table = _dispatch.kernels(self.dtype).table
            self._memory = optimizers.Memory(self._compiled()[0], table, self._parameters)
        return self._memory

    # ---- checked data ----------------------------------------------------------------------------

    def _rows(self, x: Any, name: str = "x") -> np.ndarray:
        return _check.rows(name, x, self.dtype, self.input_shape)

    def _checked(
        self, x: Any, y: Any, prefix: str = "", shape: Shape | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows and targets as the plan takes them; a model not built takes rows of `shape`."""
        _, loss = self._compiled()
        rows = _check.rows(prefix + "x", x, self.dtype, self.input_shape or shape)
        output_shape = self._shapes_from(rows.shape[1:])[-1]
        outputs = math.prod(output_shape)
        if len(output_shape) > 1 and np.shape(y)[1:] == output_shape:
            y = np.reshape(y, (-1, outputs))
        return rows, loss.prepare_targets(y, len(rows), outputs, self.dtype, prefix + "y")

    def _pairs(self, x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
        """As `_checked`, for a model that is then built."""
        rows, targets = self._checked(x, y)
        self._build_for(rows)
        return rows, targets

    # ---- training --------------------------------------------------------------------------------

    def fit(
        self,
        x: Any,
        y: Any,
        batch_size: int = 32,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Sequence[Callback] | None = None,
        validation_split: float = 0.0,
        validation_data: tuple[Any, Any] | None = None,
        shuffle: bool = True,
        initial_epoch: int = 0,
    ) -> History:
        """Trains for a number of epochs.

        Parameters
        ----------
        x : array_like (rows, *input_shape)
            Real numbers, finite; copied only where dtype or layout ask for it, never written to.
        y : array_like (rows, *output_shape) or (rows,)
            What the loss expects.
        batch_size : int
            Rows a step; the last batch of an epoch may be smaller.
        epochs : int
            The fit ends before the epoch of this number.
        verbose : {"auto", 0, 1, 2}
            0 is silent, 1 a progress bar (with tqdm; lines without), 2 a line an epoch; "auto" is 1
            on a terminal and 2 elsewhere.
        callbacks : sequence of Callback, optional
            Told what happens, see :mod:`fastweights.callbacks`.
        validation_split : float
            Part of the rows, from the end, that is held out and evaluated after each epoch.
        validation_data : tuple (x, y), optional
            Held out rows; takes the place of `validation_split`.
        shuffle : bool
            Whether the rows come in a new order each epoch.
        initial_epoch : int
            Number of the first epoch, for a fit that continues another.

        Returns
        -------
        History
            ``history.history["loss"]`` and so on, one value an epoch. The loss of an epoch is the
            mean over its rows as each batch was reached, as in Keras.

        Raises
        ------
        ValueError, TypeError
            An argument does not fit; the model is as before.
        DivergenceError
            The loss stopped being finite; the model has the weights of the last good epoch.
        """
        return training.fit(
            self, x, y, batch_size, epochs, verbose, callbacks,
            validation_split, validation_data, shuffle, initial_epoch,
        )  # fmt: skip

    def train_on_batch(self, x: Any, y: Any) -> float:
        """One step on these rows; returns the loss before the step.

        Raises
        ------
        DivergenceError
            The loss is not finite; the step was not made.
        """
        rows, targets = self._pairs(x, y)
        return training.step(self, rows, targets)

    def evaluate(
        self,
        x: Any,
        y: Any,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        *,
        return_dict: bool = False,
    ) -> float | list[float] | dict[str, float]:
        """Loss and metrics on these rows, exact over all of them.

        Parameters
        ----------
        x, y : array_like
            As for `fit`.
        batch_size, verbose
            For code written for Keras: neither changes anything, and nothing is printed.
        return_dict : bool
            Whether to name the figures.

        Returns
        -------
        float, or list of float where there are metrics, or dict with `return_dict`
        """
        _check.batch_options(batch_size, verbose)
        rows, targets = self._pairs(x, y)
        logs = training.evaluate(self, rows, targets)
        if return_dict:
            return logs
        values = list(logs.values())
        return values if self.metrics else values[0]

    def predict(
        self, x: Any, batch_size: int | None = None, verbose: str | int = "auto"
    ) -> np.ndarray:
        """The network's output, ``(rows, *output_shape)``, in the model's dtype.

        Parameters
        ----------
        x : array_like (rows, *input_shape)
        batch_size, verbose
            For code written for Keras: neither changes anything, and nothing is printed.
        """
        plan = self._plans.get("infer")
        if plan is not None and self._flat and batch_size is None and verbose == "auto":
            out = plan.answer(x, matmul_parts[self._matmul_precision])
            if out is not None:
                return out
        _check.batch_options(batch_size, verbose)
        self._built()
        rows = self._rows(x)
        count = len(rows)
        out = np.empty((count, *self._shapes[-1]), self.dtype)
        plan = _plans.plan_for(self, "infer", count)
        first = 0
        while first < count:
            first = plan.infer(rows, None, out, first, count, training.STRETCH_SECONDS)
        return out

    def predict_on_batch(self, x: Any) -> np.ndarray:
        """As `predict`, for one batch."""
        return self.predict(x)

    # ---- gradients -------------------------------------------------------------------------------

    def loss_and_gradients(self, x: Any, y: Any) -> tuple[float, np.ndarray, np.ndarray]:
        """Loss of these rows and its gradients, without moving any weight.

        Returns
        -------
        loss : float
            Mean over the rows.
        gradient : ndarray (n,)
            By `parameters`; `gradients` itself, live.
        input_gradient : ndarray, shape of `x`
            By the input.
        """
        rows, targets = self._pairs(x, y)
        loss, dx = training.gradients(self, rows, targets)
        return loss, self._gradients, dx

    def forward(self, x: Any, training: bool = False) -> np.ndarray:
        """The network's output, keeping what `backward` needs.

        Parameters
        ----------
        x : array_like (rows, *input_shape)
        training : bool
            Whether layers that act differently in training do so.
        """
        _check.flag("training", training)
        rows = self._rows(x)
        self._build_for(rows)
        out = np.empty((len(rows), *self._shapes[-1]), self.dtype)
        _plans.plan_for(self, "keep", len(rows)).forward(rows, out, len(rows))
        self._forward_rows = len(rows)
        return out

    def backward(self, dy: Any) -> np.ndarray:
        """From the gradient of your own loss by the last `forward`'s output to those of all else.

        Parameters
        ----------
        dy : array_like (rows, *output_shape)

        Returns
        -------
        ndarray (rows, *input_shape)
            The gradient by the input; those by the parameters are in `gradients`.
        """
        if self.input_shape is None or not self._forward_rows:
            raise ValueError("backward: got no forward pass before it, expected model.forward(x)")
        given = _check.rows("dy", dy, self.dtype, self._shapes[-1])
        if len(given) != self._forward_rows:
            raise ValueError(
                _check.refusal(
                    "dy", f"{len(given)} rows", f"as many as forward had, {self._forward_rows}"
                )
            )
        dx = np.empty((len(given), *self.input_shape), self.dtype)
        self._plans["keep"].backward(given, dx, len(given))
        return dx

    def apply_gradients(self) -> None:
        """One step of the optimizer with what is in `gradients`."""
        self._compiled()
        self._built()
        training.apply_gradients(self)

    # ---- showing and keeping ---------------------------------------------------------------------

    def memory(self, batch_size: int = 32) -> dict[str, int]:
        """Bytes that training takes, counted without allocating any of them.

        Parameters
        ----------
        batch_size : int
            As for `fit`.

        Returns
        -------
        dict
            ``"parameters"``, ``"gradients"``, ``"optimizer"`` (its state; 0 before `compile`),
            ``"arena"`` (all that a step needs, beside the data) and their ``"total"``.
        """
        self._built()
        rows = _check.whole("batch_size", batch_size, 1)
        return _plans.memory(self, rows)

    def summary(self) -> None:
        """Prints a table: layer, output shape, weights, biases; total parameters and bytes."""
        self._built()
        header = ("Layer", "Output shape", "Weights", "Biases")
        lines = []
        for layer, shape in zip(self.layers, self._shapes[1:], strict=True):
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
        print(f"To train on batches of 32: {self.memory(32)['total']:,} bytes beside the data")

    def config(self) -> dict[str, Any]:
        """The architecture, as JSON can hold it."""
        return {
            "layers": [{"class": type(layer).__name__, **layer.config()} for layer in self.layers],
            "input_shape": self.input_shape,
            "dtype": self.dtype.name,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Sequential:
        """A new model of the architecture that `config` described, weights as at first."""
        described = [dict(layer) for layer in config["layers"]]
        layers = [
            _check.choice("layer class", layer.pop("class"), LAYERS)(**layer) for layer in described
        ]
        return cls(layers, config["input_shape"], config["dtype"], config["seed"])

    def copy(self, dtype: str | np.dtype | None = None) -> Sequential:
        """A model of its own with the same weights, compiled alike; in another dtype if asked."""
        self._built()
        twin = Sequential.from_config({**self.config(), "dtype": dtype or self.dtype})
        twin.parameters[:] = self.parameters
        twin.matmul_precision = self.matmul_precision
        if self.loss is not None:
            twin.optimizer, twin.loss, twin.metrics = self.optimizer, self.loss, self.metrics
        return twin

    def __reduce__(self) -> Any:
        # The default would tear the views of weights and layers from the flat vector.
        raise TypeError("pickle or copy: got a Sequential, expected model.copy(), or save and load")

    def save(self, path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None) -> None:
        """Writes the model to a safetensors file.

        Tensors have the names and layout of the equal ``torch.nn.Sequential`` (``0.weight`` (out,
        in), ``0.bias``, ...), the architecture is JSON in the file's metadata. The file is written
        whole or not at all.

        Parameters
        ----------
        path : path
        metadata : dict of str to str, optional
            Entries of your own.
        """
        from fastweights import saving

        self._built()
        saving.save(self, path, metadata or {})
