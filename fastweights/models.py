"""The model: layers over one flat vector of parameters, trained by a compiled plan."""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from fastweights import (
    _advice,
    _check,
    _feeding,
    _listening,
    _plans,
    _resuming,
    _sources_of,
    losses,
    optimizers,
    training,
)
from fastweights._architecture import batch_size_in_config, described, distinct, flags_entry
from fastweights._arguments import telling
from fastweights._building import Built
from fastweights._files import FilePath
from fastweights._loop import Loop
from fastweights._network import Network
from fastweights._objectives import objectives_of
from fastweights._plans import Compiled
from fastweights._rows import Gradients, count
from fastweights._sources import Source, Whole
from fastweights._sources_of import Given
from fastweights._tensors import Tensor, tensors_of
from fastweights._topology import Topology
from fastweights._turns import Turn
from fastweights.callbacks import Callback, History, Logs
from fastweights.config import PRECISIONS, matmul_parts
from fastweights.layers import Layer
from fastweights.metrics import Metric
from fastweights.streaming import Stream


class Model(Network):
    """Layers between inputs and outputs.

    Parameters
    ----------
    inputs : Tensor, list of Tensor or dict of Tensor
        What `fastweights.Input` made.
    outputs : Tensor, list of Tensor or dict of Tensor
        What layers made of them.
    dtype : {"float32", "float64"}
        Of parameters and arithmetic.
    seed : int, optional
        In [0, 2**64). Fixes initial weights and shuffling: one seed, one result. Drawn from the
        operating system by default.
    matmul_precision : {"highest", "high", "medium"}, optional
        This model's own, in place of that of `fastweights.set_matmul_precision`. It belongs to the
        machine rather than the model, and files do not keep it.
    name : str, optional
        Of the model; changes nothing.

    Attributes
    ----------
    parameters, gradients : ndarray (n,)
        The flat vectors, live: writing to them moves the model. In layer order, 64-byte aligned.
        A model that is made of this one and new layers has a longer vector, in which the numbers of
        both are from then on: arrays from before are of no more use.
    state : ndarray
        What layers remember that no optimizer moves, live; another flat vector.
    weights : tuple of ndarray
        Named views of both, layer by layer: ``dense/kernel`` (inputs, units), ``dense/bias``
        (units,), ...
    layers : tuple of Layer
        In the order in which they were called.
    input_names : tuple of str
        By which a dict of arrays names the inputs.
    output_names : tuple of str
        By which a dict names the outputs, and figures of a history: keys of `outputs`, or else the
        layers' names.
    input_shape, output_shape : tuple of int, or a tuple of those
        Of one row; `input_shape` is None until the model is built.
    optimizer, loss, metrics
        As `compile` took them; None, None and empty before. Of several outputs tuples with what
        each has.
    dtype : dtype
    seed : int
    epochs_trained : int
        Epochs of all fits so far; with the seed it fixes the order of the next one's rows.
    feature_names : tuple of str or None, or a tuple of those
        The columns of the frame that the model was first trained on, for each input; a frame's
        columns are taken by these names from then on, in whatever order they come.
    stop_training : bool
        Set by a callback to end the fit.

    Notes
    -----
    Several threads may `predict` and `evaluate` with one model at once, also while another one
    trains it; they see the weights of a whole step. One call at a time trains: another one waits
    for a step, and raises RuntimeError in the middle of a fit. States of `stateful` layers are
    the model's: batches of all threads go on from each other, in the order in which they come.

    Pickled, or copied by `copy.deepcopy`, a model takes all that it is made of with it, classes of
    one's own by their names, and goes on as it would have; it is a model of its own then, also
    where it has layers in common with others. A file for another version of this library is what
    `save` writes.

    Examples
    --------
    >>> inputs = fw.Input(8)
    >>> hidden = layers.Dense(16, "relu")(inputs)
    >>> both = layers.Concatenate()([inputs, hidden])
    >>> model = fw.Model(inputs, layers.Dense(1)(both), seed=0)
    """

    _uncalled: ClassVar[dict[str, str]] = dict.fromkeys(
        ("call", "train_step", "test_step", "predict_step", "compute_loss", "get_config"),
        "a model that is made of layers; for a loss or a step of your own, "
        "model.forward, model.backward and model.apply_gradients",
    )

    def __init__(
        self,
        inputs: Tensor | Sequence[Tensor] | Mapping[str, Tensor],
        outputs: Tensor | Sequence[Tensor] | Mapping[str, Tensor],
        dtype: str | np.dtype = "float32",
        seed: int | None = None,
        matmul_precision: str | None = None,
        name: str | None = None,
    ) -> None:
        tensors, keys = _named_tensors("inputs", inputs)
        names: Sequence[str | None] = (
            [tensor.name for tensor in tensors] if keys is None else [*keys]
        )
        made, output_keys = _named_tensors("outputs", outputs)
        for tensor in tensors:
            if tensor._made_by is not None:
                expected = "what fw.Input made"
                raise ValueError(_check.refusal("inputs", repr(tensor), expected))
        if len({id(tensor) for tensor in tensors}) < len(tensors):
            raise ValueError(_check.refusal("inputs", "one of them twice", "different ones"))
        topology = Topology.between(tensors, made)
        if not topology.calls:
            raise ValueError(_check.refusal("outputs", "an input", "what a layer made"))
        names = distinct("inputs", names, "input")
        if unread := topology.unread_inputs():
            got = f"{names[unread[0]]!r}, which no output needs"
            raise ValueError(_check.refusal("inputs", got, "those that the outputs are made of"))
        ends = tuple(tensors), tuple(made)
        self._begin(topology, names, dtype, seed, matmul_precision, name, ends, output_keys)
        self._build_alone([tensor._row for tensor in tensors])

    def _begin(
        self,
        topology: Topology,
        input_names: Sequence[str | None],
        dtype: str | np.dtype,
        seed: int | None,
        matmul_precision: str | None = None,
        name: str | None = None,
        ends: tuple[tuple[Tensor, ...], tuple[Tensor, ...]] | None = None,
        output_keys: Sequence[str] | None = None,
    ) -> None:
        """What makes a model that is neither built nor compiled."""
        self._compiled = Compiled()
        self._progress = training.Progress()
        #: The fit that is going on.
        self._loop: Loop | None = None
        self._names = _feeding.Names((None,) * topology.inputs, None)
        #: Whether the seed is the user's choice.
        self._is_seed_given = seed is not None
        #: Entries of other people's in the file that the model came from.
        self._metadata: dict[str, str] = {}
        self.stop_training = False
        self.matmul_precision = matmul_precision
        self._name = _check.name_or_none("name", name)
        #: Inputs and outputs, where it was made of them.
        self._ends = ends
        super().__init__(topology, dtype, seed)
        self._input_names = distinct("inputs", input_names, "input")
        #: Where a dict named the outputs; what is predicted is one then.
        self._output_keys = None if output_keys is None else tuple(output_keys)
        #: Which stay, though layers may get other names in a model that has them too.
        self._output_names = self._output_keys or topology.output_names(self._input_names)

    #: Where it is public: what is pickled by name is found there.
    __module__ = "fastweights"

    _fixed: ClassVar[dict[str, str]] = {
        **Network._fixed,
        **dict.fromkeys(
            ("optimizer", "loss", "metrics"), "is what compile took; call model.compile(...) again"
        ),
        **dict.fromkeys(("inputs", "outputs", "input", "output"), "is fixed; make a new model"),
        "epochs_trained": "is counted by fit",
        "input_names": "are those of the inputs; give them to fw.Input",
        "output_names": "are those of the layers; give them there, or a dict of outputs",
        "feature_names": "are those of the frame that the model was trained on",
    }

    @property
    def name(self) -> str | None:
        return self._name

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What `fastweights.Input` made for it."""
        return self._known_ends()[0]

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """What its last layer made."""
        return self._known_ends()[1]

    @property
    def input(self) -> Tensor | tuple[Tensor, ...]:
        """The one of `inputs`, or all of them."""
        tensors = self.inputs
        return tensors[0] if len(tensors) == 1 else tensors

    @property
    def output(self) -> Tensor | tuple[Tensor, ...]:
        """The one of `outputs`, or all of them."""
        tensors = self.outputs
        return tensors[0] if len(tensors) == 1 else tensors

    @property
    def output_names(self) -> tuple[str, ...]:
        """By which a dict names the outputs, and figures of a history."""
        return self._output_names

    def _known_ends(self) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Inputs and outputs; made by calling the layers where they were not made of tensors."""
        if self._ends is None:
            shapes, topology = self._built_or_refused().input_shapes, self._topology
            inputs = tuple(
                Tensor(
                    shape,
                    name=name,
                    is_flags=number in topology.flags,
                    batch_size=topology.batch_size,
                )
                for number, (shape, name) in enumerate(zip(shapes, self._input_names, strict=True))
            )
            self._ends = inputs, tuple(self._called_on(inputs))
        return self._ends

    def _called_on(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """What the network makes of these."""
        values = list(tensors)
        for layer, reads, settings in self._topology.calls:
            values += layer._called([values[number] for number in reads], dict(settings))
        return [values[number] for number in self._topology.outputs]

    @property
    def optimizer(self) -> optimizers.Optimizer | None:
        return self._compiled.optimizer

    @property
    def loss(self) -> losses.Loss | tuple[losses.Loss, ...] | None:
        objectives = self._compiled.objectives
        if len(objectives) < 2:
            return objectives[0].loss if objectives else None
        return tuple(one.loss for one in objectives)

    @property
    def metrics(self) -> tuple[Metric | tuple[Metric, ...], ...]:
        objectives = self._compiled.objectives
        if len(objectives) < 2:
            return objectives[0].metrics if objectives else ()
        return tuple(one.metrics for one in objectives)

    def _larger_is_better(self, key: str) -> bool:
        """Whether that is true of the figure that a history has under this key."""
        metrics = self._compiled.metrics
        names = self._compiled.log_names[-len(metrics) :] if metrics else []
        known = dict(zip(names, metrics, strict=True)).get(key.removeprefix("val_"))
        return known is not None and known.larger_is_better

    @property
    def epochs_trained(self) -> int:
        return self._progress.epochs

    @property
    def feature_names(self) -> tuple[Any, ...] | None:
        features = _feeding.known_names(self).features
        return features[0] if len(features) == 1 else features

    @property
    def stop_training(self) -> bool:
        return self._stop_training

    @stop_training.setter
    def stop_training(self, stop: bool) -> None:
        self._stop_training = _check.flag("stop_training", stop)

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

    @telling
    def compile(
        self,
        optimizer: str | optimizers.Optimizer = "sgd",
        loss: Any = "mse",
        metrics: Any = (),
        *,
        loss_weights: Any = None,
    ) -> None:
        """Says how to train.

        Parameters
        ----------
        optimizer : str or Optimizer
            ``"sgd"``, ``"adam"`` or an object of :mod:`fastweights.optimizers`.
        loss : str or Loss, or a list or dict of them
            A name such as ``"mse"`` or an object of :mod:`fastweights.losses`. Of several outputs
            each has one, in a list or in a dict by `output_names`, or all have the same.
        metrics : sequence of str or Metric, or a list or dict of those
            Names such as ``"accuracy"`` or ``"mae"``, reported beside the loss. Of several outputs
            each has its own list.
        loss_weights : list or dict of float, optional
            What each output's loss counts in the model's, which is their sum; 1 by default.
        """
        chosen_optimizer = optimizers.get(optimizer)
        objectives = objectives_of(loss, loss_weights, metrics, self.output_names)
        with Turn(self._turns, "compile"):
            if self._built is not None:
                chosen_optimizer.spans(self._built.places())  # refuses patterns of no weight
            for layer, one in zip(self._topology.last_layers, objectives, strict=True):
                _advice.about_last_activation(layer, one.loss)
            self._compiled = Compiled(chosen_optimizer, objectives)

    # ---- training --------------------------------------------------------------------------------

    @telling
    def fit(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Callback | Sequence[Callback] | None = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
        *,
        resume: FilePath | None = None,
    ) -> History:
        """Trains for a number of epochs.

        Parameters
        ----------
        x : array_like (rows, *input_shape)
            Real numbers, finite; copied only where dtype or layout ask for it, never written to.
            Memory maps, and ``.npy`` files by a path or a list of them, stay on disk where they are
            large. Or what gives batches of ``(x, y)`` or ``(x, y, weights)``, one step each, and
            is read ahead by a thread: a generator or another iterator; an iterable, such as a torch
            ``DataLoader``; an object with ``__len__`` and ``__getitem__``, such as Keras's
            ``PyDataset``, whose `on_epoch_begin` and `on_epoch_end` are called. See docs/data.md.
        y : array_like (rows, *output_shape) or (rows,), or a list or dict of those
            What the loss expects, for each output; None where x gives batches.
        batch_size : int, optional
            Rows a step, 32 by default; the last batch of an epoch may be smaller. Where a layer is
            `stateful` it is that of `fastweights.Input`, and all batches are whole.
        epochs : int
            The fit ends before the epoch of this number.
        verbose : {"auto", 0, 1, 2}
            0 is silent, 1 one line that follows the fit (with tqdm; lines without), 2 a line an
            epoch; "auto" is 1 on a terminal and in a notebook, and elsewhere at most some 20 lines:
            the first epoch's, then ever rarer ones, and the last.
        callbacks : Callback or sequence of Callback, optional
            Told what happens, see :mod:`fastweights.callbacks`.
        validation_split : float
            Part of the rows, from the end, that is held out and evaluated after each epoch.
        validation_data : tuple (x, y) or (x, y, weights), or what gives batches of those, optional
            Held out rows; takes the place of `validation_split`.
        shuffle : bool
            Whether the rows come in a new order each epoch; the batches of an object with
            ``__getitem__``. Iterators and iterables have their own order.
        class_weight : dict of int to float, or "balanced", optional
            What rows of each class count; those of a class that is left out count 1.
            ``"balanced"``: ``rows / (classes * rows of the class)``, over the classes of the rows
            to train on. For class labels, one-hot rows and one output of 0 and 1; of several
            outputs a list or dict of these, with None for some. Held out rows are not weighted by
            it. It multiplies `sample_weight`.
        sample_weight : array_like (rows,), or a list or dict of those, optional
            What each row counts, 0 or more: the loss of a batch is ``sum(w l) / sum(w)``, as if
            rows were repeated, and metrics are weighted alike. Also (rows, ...) with a weight for
            each vector along the last axis of the output, of steps say. `validation_split` holds
            out their last ones. A batch of which no row counts has a loss of 0, and its step is
            made. What layers and weights cost beside the loss, and what `BatchNormalization` knows
            of the rows, is not weighted.
        initial_epoch : int
            Number of the first epoch, for a fit that continues another.
        steps_per_epoch : int, optional
            Batches of an epoch, where x gives batches: an iterator without an end needs it, and
            goes on where the last epoch ended; by default an epoch is all that there are. An
            iterator that ends before the fit ends it, with a warning.
        validation_steps : int, optional
            The same of `validation_data`.
        validation_batch_size : int, optional
            Of what hooks hear in validation; by default that of training.
        validation_freq : int
            Every how many epochs there is a validation.
        resume : path, optional
            A file that was saved in a hook of a fit, by :class:`~fastweights.callbacks
            .ModelCheckpoint` or by ``self.model.save(path)`` in a callback of your own, or a folder
            with such files, of which the newest that is whole is taken. The model becomes what it
            was then, its seed too, callbacks remember what they did, and the fit goes on from the
            batch it had come to. Data and settings being the same it ends with the bits, and the
            history, of a fit that was never interrupted; in the middle of an epoch other data are
            refused, as far as they are arrays. Of an epoch in whose middle it goes on no
            `on_epoch_begin` is called again. Not in Keras.

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
        with Turn(self._turns, "fit", is_long=True):
            given = Given(
                x, y, sample_weight, class_weight, batch_size, steps_per_epoch,
                steps_name="steps_per_epoch",
            )  # fmt: skip
            return training.fit(
                self, given, epochs, verbose, callbacks, validation_split, validation_data,
                shuffle, initial_epoch, (validation_steps, validation_batch_size, validation_freq),
                resume,
            )  # fmt: skip

    def _restored(
        self, resume: FilePath | None, course: training.Course, source: Source
    ) -> _restoring.Found | None:
        """The file that a fit is to go on from, if there is one, checked."""
        return _restoring.restored(self, resume, course, source)

    def _place_in_fit(self) -> _resuming.Place | None:
        """Where in a fit a hook finds it."""
        loop = self._loop
        return None if loop is None else loop.place()

    @telling
    def train_on_batch(
        self,
        x: Any,
        y: Any,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> float | list[float] | dict[str, float]:
        """One step on these rows; returns loss and metrics before the step, of these rows alone.

        Parameters
        ----------
        x, y, sample_weight, class_weight
            As for `fit`, of arrays or frames.
        return_dict : bool
            Whether to name the figures.

        Returns
        -------
        float, or list of float where there are metrics, or dict with `return_dict`

        Raises
        ------
        DivergenceError
            The loss is not finite, and the step was not made; or weights would not have been finite
            after it, and it was taken back.
        """
        with Turn(self._turns, "train_on_batch"):
            compiled, return_dict = self._compiled, _check.flag("return_dict", return_dict)
            examples = _feeding.examples(self, x, y, compiled, sample_weight, class_weight)
            self._names = _feeding.names_of(self, x, y)
            return figures_of(training.step(self, compiled, examples), return_dict)

    @telling
    def test_on_batch(
        self, x: Any, y: Any, sample_weight: Any = None, return_dict: bool = False
    ) -> float | list[float] | dict[str, float]:
        """Loss and metrics on these rows alone, as `evaluate` gives them.

        Parameters
        ----------
        x, y, sample_weight
            As for `fit`, of arrays or frames.
        return_dict : bool
            Whether to name the figures.

        Returns
        -------
        float, or list of float where there are metrics, or dict with `return_dict`
        """
        compiled, return_dict = self._compiled, _check.flag("return_dict", return_dict)
        compiled.training()
        built = self._built_or_refused()
        examples = _feeding.examples(self, x, y, compiled, sample_weight)
        _feeding.refuse_other_batch(built, "x", count(examples.x))
        return figures_of(training.evaluate(self, compiled, Whole(examples)), return_dict)

    @telling
    def evaluate(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        *,
        callbacks: Callback | Sequence[Callback] | None = None,
        return_dict: bool = False,
    ) -> float | list[float] | dict[str, float]:
        """Loss and metrics on these rows, exact over all of them.

        Parameters
        ----------
        x, y
            As for `fit`.
        batch_size, verbose
            For code written for Keras: neither changes anything, and nothing is printed, but that
            hooks hear of batches of this size, 32 by default. Rows go through by batches where a
            layer is `stateful`, too, of as many as `fastweights.Input` says.
        sample_weight : array_like
            As for `fit`.
        steps : int, optional
            How many batches, where x gives batches; by default all that there are.
        callbacks : Callback or sequence of Callback, optional
            Hear `on_test_begin`, `on_test_batch_begin`, `on_test_batch_end` and `on_test_end`.
        return_dict : bool
            Whether to name the figures.

        Returns
        -------
        float, or list of float where there are metrics, or dict with `return_dict`
        """
        _check.batch_options(batch_size, verbose)
        compiled, return_dict = self._compiled, _check.flag("return_dict", return_dict)
        compiled.training()
        built = self._built_or_refused()
        _feeding.refuse_batch_size(built, batch_size)
        told = _listening.checked(callbacks)
        listeners = _listening.Listeners(told)
        with contextlib.ExitStack() as opened:
            given = Given(x, y, sample_weight, None, batch_size, steps)
            source = _sources_of.to_evaluate(self, compiled, given, opened)
            source.cut(batch_size or built.batch_rows or training.DEFAULT_BATCH)
            for callback in told:
                opened.enter_context(Turn(callback._turns, "evaluate", True, "callback"))
            listeners.join(self, source.rows, source.steps)
            logs = training.evaluate(self, compiled, source, listeners)
        return figures_of(logs, return_dict)

    @telling
    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        steps: int | None = None,
        *,
        callbacks: Callback | Sequence[Callback] | None = None,
    ) -> Any:
        """The network's output, ``(rows, *output_shape)``, in the model's dtype.

        Of several outputs it is a list of arrays, or a dict where the model was made with one.

        Parameters
        ----------
        x : array_like (rows, *input_shape)
            Or what gives batches of x or of ``(x, ...)``, of which only x is looked at.
        batch_size, verbose
            For code written for Keras: neither changes anything, and nothing is printed, but that
            hooks hear of batches of this size, 32 by default. Rows go through by batches where a
            layer is `stateful`, too, of as many as `fastweights.Input` says.
        steps : int, optional
            How many batches, where x gives batches; by default all that there are.
        callbacks : Callback or sequence of Callback, optional
            Hear `on_predict_begin`, `on_predict_batch_begin`, `on_predict_batch_end`, whose logs
            have the ``"outputs"``, and `on_predict_end`.
        """
        compiled, built = self._compiled, self._built
        plan = compiled.plans.get("infer") if built is not None and built.is_flat else None
        is_plain = batch_size is steps is callbacks is None and verbose == "auto"
        if plan is not None and is_plain:
            answer = plan.answer(x, matmul_parts[self._matmul_precision])
            if answer is not None:
                return self._predicted([answer])
        _check.batch_options(batch_size, verbose)
        built = self._built_or_refused()
        _feeding.refuse_batch_size(built, batch_size)
        told = _listening.checked(callbacks)
        listeners = _listening.Listeners(told)
        with contextlib.ExitStack() as opened:
            given = Given(x, None, None, None, batch_size, steps)
            source = _sources_of.to_predict(self, compiled, given, opened)
            source.cut(batch_size or built.batch_rows or training.DEFAULT_BATCH)
            for callback in told:
                opened.enter_context(Turn(callback._turns, "predict", True, "callback"))
            listeners.join(self, source.rows, source.steps)
            out = training.predict(self, compiled, built, source, listeners, self._predicted)
        return self._predicted(out)

    def _room(self, built: Built, rows: int) -> tuple[np.ndarray, ...]:
        """For so many rows of each output."""
        return tuple(np.empty((rows, *shape), self.dtype) for shape in built.output_shapes)

    def _predicted(self, out: Sequence[Any]) -> Any:
        """What is there of each output, as callers get it."""
        if self._output_keys is not None:
            return dict(zip(self._output_keys, out, strict=True))
        return out[0] if len(out) == 1 else list(out)

    def __call__(self, x: Any, training: bool = False) -> Any:
        """As `predict`; on tensors the network itself, which then is part of another one too.

        Its layers are layers of both models, which have their weights in common.

        Parameters
        ----------
        x : array_like, Tensor, or list of Tensor
        training : bool
            For code written for Keras: False.
        """
        if isinstance(training, Tensor):
            expected = "True or False; several inputs come in a list: model([a, b])"
            raise TypeError(_check.refusal("training", repr(training), expected))
        if _check.flag("training", training):
            expected = "False: fit, train_on_batch and forward(x, training=True) train"
            raise ValueError(_check.refusal("training", "True", expected))
        given = list(x.values()) if isinstance(x, Mapping) else x
        several = given if isinstance(given, (list, tuple)) else [given]
        if not any(isinstance(part, Tensor) for part in several):
            return self.predict(x)
        names, built = self._input_names, self._built
        if isinstance(x, Mapping):
            if set(x) != set(names):
                got, expected = f"a dict of {', '.join(map(str, x))}", f"one of {', '.join(names)}"
                raise ValueError(_check.refusal("x", got, expected))
            given = [x[name] for name in names]
        tensors = tensors_of("x", given)
        if len(tensors) != len(names):
            got, expected = f"{len(tensors)} tensors", f"{len(names)}, for {', '.join(names)}"
            raise ValueError(_check.refusal("x", got, expected))
        if not self._topology.calls:
            raise ValueError(_check.refusal("layers", "none", "at least one layer"))
        shapes = [tensor._row for tensor in tensors] if built is None else built.input_shapes
        for tensor, name, shape in zip(tensors, names, shapes, strict=True):
            if tensor._row != shape:
                got, expected = f"rows of shape {tensor._row} for {name}", f"rows of {shape}"
                raise ValueError(_check.refusal("x", got, expected))
        return self._predicted(self._called_on(tensors))

    def stream(self, rows: int = 1, longest: int | None = None) -> Stream:
        """A prediction that goes on step by step: each call has the next step of the same series.

        Parameters
        ----------
        rows : int
            How many series go on side by side.
        longest : int, optional
            How many steps there may be; attention keeps keys and values of all that have gone. By
            default as many as the layers allow.

        Returns
        -------
        Stream
            Its `step(x)` gives the output for one more step of each row.
        """
        return Stream(self, rows, longest)

    def predict_on_batch(self, x: Any) -> Any:
        """As `predict`, for one batch."""
        return self.predict(x)

    # ---- gradients -------------------------------------------------------------------------------

    @telling
    def loss_and_gradients(
        self, x: Any, y: Any, sample_weight: Any = None
    ) -> tuple[float, np.ndarray, Gradients]:
        """Loss of these rows and its gradients, without moving any weight.

        Parameters
        ----------
        x, y, sample_weight
            As for `fit`, of arrays or frames.

        Returns
        -------
        loss : float
            Mean over the rows, as they count.
        gradient : ndarray (n,)
            By `parameters`, an array of the caller's own; `gradients` holds the same.
        input_gradient : ndarray, shape of `x`, or a tuple of one for each input
            By the input; None by whole numbers.
        """
        with Turn(self._turns, "loss_and_gradients"):
            compiled = self._compiled
            examples = _feeding.examples(self, x, y, compiled, sample_weight)
            return training.gradients(self, compiled, examples)

    def forward(self, x: Any, training: bool = False) -> Any:
        """The network's output, as `predict` gives it, keeping what `backward` needs.

        Parameters
        ----------
        x : array_like (rows, *input_shape)
        training : bool
            Whether layers that act differently in training do so.
        """
        _check.flag("training", training)
        with Turn(self._turns, "forward"):
            built = self._built_or_refused()
            rows = _feeding.rows(self, x)
            last = count(rows)
            _feeding.refuse_other_batch(built, "x", last)
            out = self._room(built, last)
            stream = self._progress.next_pass() if training else 0
            _plans.plan_for(self, "keep", last).forward(rows, out, last, self.seed, stream)
            return self._predicted(out)

    def backward(self, dy: Any) -> Gradients:
        """From the gradient of your own loss by the last `forward`'s output to those of all else.

        Parameters
        ----------
        dy : array_like (rows, *output_shape), or a list or dict of one for each output

        Returns
        -------
        ndarray (rows, *input_shape), or a tuple of one for each input
            The gradient by the input, None by whole numbers; those by the parameters are in
            `gradients`.

        Raises
        ------
        ValueError
            There was no `forward` since the model was compiled, or it had other weights or another
            number of rows.
        """
        with Turn(self._turns, "backward"):
            plan = self._compiled.plans.get("keep")
            if plan is None or not plan.kept_rows:
                raise ValueError(
                    "backward: got no forward pass before it, expected model.forward(x)"
                )
            built = self._built_or_refused()
            given, rows = _feeding.output_gradients(self, dy, built), plan.kept_rows
            for array in given:
                if len(array) != rows:
                    expected = f"as many as forward had, {rows}"
                    raise ValueError(_check.refusal("dy", f"{len(array)} rows", expected))
            dx = built.input_gradients(rows)
            plan.backward(given, dx, rows)
            return dx

    def apply_gradients(self) -> None:
        """One step of the optimizer with what is in `gradients`."""
        with Turn(self._turns, "apply_gradients"):
            compiled = self._compiled
            compiled.training()
            self._built_or_refused()
            training.apply_gradients(self, compiled)

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
            ``"copies"`` (of what a step moves, to take one back that diverges), ``"arena"`` (all
            that a step needs, beside the data) and their ``"total"``.
        """
        self._built_or_refused()
        rows = _check.whole("batch_size", batch_size, 1)
        return _plans.memory(self, rows)

    def summary(self) -> None:
        """Prints a table: layer, output shape, weights, biases; parameters, bytes to train.

        Layers that are not trainable, and have something to train, are called frozen.
        """
        super().summary()
        rows = self._built_or_refused().batch_rows or training.DEFAULT_BATCH
        total = self.memory(rows)["total"]
        print(f"To train on batches of {rows}: {total:,} bytes beside the data")

    def plot_weights(self, to_file: str | os.PathLike[str] | None = None) -> np.ndarray:
        """Draws how the numbers of each weight are spread; on images, what the first layer sees.

        Of a model whose rows are images it is `fastweights.plot_filters`, unless no layer has a
        kernel on them.

        Parameters
        ----------
        to_file : path, optional
            Ends in ``.png``, ``.svg`` or ``.pdf``; the figure is written there too.

        Returns
        -------
        ndarray of matplotlib.axes.Axes
            One for each weight, up to 64, or for each filter; ``axes[0].figure`` is the figure.

        Raises
        ------
        ModuleNotFoundError
            There is no matplotlib: ``pip install 'fastweights[plot]'``.
        """
        from fastweights.plotting.weights import plot_weights

        return plot_weights(self, to_file)

    def config(self) -> dict[str, Any]:
        """The architecture, as JSON can hold it."""
        built = self._built_or_refused()
        topology = built.topology
        numbers = {id(layer): number for number, layer in enumerate(built.layers)}
        shapes = enumerate(zip(self.input_names, built.input_shapes, strict=True))
        outputs: Any = list(topology.outputs)
        if self._output_keys is not None:
            outputs = dict(zip(self._output_keys, outputs, strict=True))
        return {
            "inputs": [
                {"name": name, "shape": shape, **flags_entry(number in topology.flags)}
                for number, (name, shape) in shapes
            ],
            "layers": described(built.layers),
            "calls": [
                [numbers[id(layer)], list(reads), *([dict(settings)] if settings else [])]
                for layer, reads, settings in topology.calls
            ],
            "outputs": outputs,
            "dtype": self.dtype.name,
            "seed": self.seed,
            **batch_size_in_config(topology),
        }

    @staticmethod
    def from_config(
        config: Mapping[str, Any], custom_objects: Mapping[str, type[Layer]] | None = None
    ) -> Model:
        """A new model of the architecture that `config` described, weights as at first.

        Parameters
        ----------
        config : dict
        custom_objects : dict, optional
            As for `fastweights.load`.
        """
        model, shapes = unbuilt(config, custom_objects)
        if shapes is not None:
            model._build_alone(shapes)
        return model

    def copy(self, dtype: str | np.dtype | None = None) -> Model:
        """A model of its own that goes on as this one would; in another dtype if asked.

        It has the same weights, and is compiled alike, with an optimizer of its own that remembers
        the same.
        """
        return _copying.copy_of(self, dtype)

    def __copy__(self) -> Model:
        return copy.deepcopy(self)  # As layers are those of one model, there is no other copy.

    def __getstate__(self) -> dict[str, Any]:
        return _copying.state_of(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        _copying.take_on_state(self, state)

    @telling
    def save(
        self,
        path: str | os.PathLike[str],
        metadata: Mapping[str, str] | None = None,
        *,
        include_optimizer: bool = True,
    ) -> None:
        """Writes the model to a safetensors file, from which it goes on as it would have.

        Tensors have the names and layout of the equal torch module: ``0.weight`` (out, in),
        ``0.bias``, ... of a ``torch.nn.Sequential``, by the layers' names in any other model.
        Torch flattens images channels first: behind `Flatten` weights stand in that order there.
        The architecture is JSON in the file's metadata. The file is written whole or not at all.

        Parameters
        ----------
        path : path
        metadata : dict of str to str, optional
            Entries of your own, beside those of the file that the model was loaded from.
        include_optimizer : bool
            Whether to keep what the optimizer of a trained model remembers, as one tensor more,
            ``optimizer.state``, and how many epochs there were. Without it the tensors are those of
            the torch model and no others.
        """
        _check.flag("include_optimizer", include_optimizer)
        if not isinstance(metadata, Mapping | None):
            expected = "a dict of strings, or None"
            raise TypeError(_check.refusal("metadata", _check.shown(metadata), expected))
        saving.save(self, path, {**self._metadata, **(metadata or {})}, include_optimizer)

    @telling
    def save_weights(self, filepath: str | os.PathLike[str]) -> None:
        """Writes the weights alone to a safetensors file, named and laid out as `save` does.

        There is no architecture in it: `load_weights` reads it into a model of the same layers, and
        says where weights may stand in another order in PyTorch.
        """
        saving.save_weights(self, filepath)

    @telling
    def load_weights(
        self, filepath: str | os.PathLike[str], skip_mismatch: bool = False
    ) -> pretrained.LoadReport:
        """Takes the weights of a file, of the same layers under whatever names.

        Read are safetensors files, of this library or of a PyTorch `state_dict`; what `torch.save`
        wrote of one (``.pt``, by torch); Keras's ``.weights.h5``, ``.keras`` and ``.h5`` (by h5py:
        ``pip install 'fastweights[keras-files]'``). Layouts are turned into those of this library,
        float16, bfloat16 and float64 into the model's dtype; what optimizers remember is left
        aside, here and there.

        PyTorch flattens what convolutions and pooling make, or read, channels first: weights
        behind `Flatten`, and of a `Dense` whose units `Reshape` makes images of, are put in the
        order of this library, which is Keras's. Where other layers stand between, so that their
        order in PyTorch is not known, they are taken as they are, with a warning:
        ``layers.Permute((3, 1, 2))`` before `Flatten` does here what PyTorch does, for series
        ``(2, 1)``.

        Layers belong together where the file has the modules that `save_weights` would write, where
        somebody gave them the same name, and else where they have tensors of the same names and
        shapes: of several such layers the first is the first. Which one that is the file's order
        says (``.pt``, ``.h5``) or numbers in names; where both are silent, or disagree, nothing is
        loaded: give your layers the file's names.

        Parameters
        ----------
        filepath : path
        skip_mismatch : bool
            Whether to load the layers that fit, whole layers, and warn of the rest: all but the
            head, for fine-tuning. Otherwise all must fit, or nothing is loaded.

        Returns
        -------
        LoadReport
            Which tensor went where; as text a table.

        Raises
        ------
        ValueError
            Something does not fit, with a table of what; or the file is damaged, or has numbers
            that are not finite. No weight has changed.
        ModuleNotFoundError
            The library that reads such a file is not there.
        OSError
            The file cannot be read.
        """
        return pretrained.load_weights(self, filepath, skip_mismatch)


def figures_of(logs: Logs, return_dict: bool) -> float | list[float] | dict[str, float]:
    """Loss and metrics as `evaluate` and its like return them."""
    if return_dict:
        return logs
    values = list(logs.values())
    return values if len(values) > 1 else values[0]


def _named_tensors(argument: str, given: Any) -> tuple[list[Tensor], list[str] | None]:
    """The tensors of an argument that takes one, a list or a dict, and the keys of a dict."""
    if not isinstance(given, Mapping):
        return tensors_of(argument, given), None
    for key in given:
        _check.name(f"key of {argument}", key)
    return tensors_of(argument, list(given.values())), list(given)


# Here, as these need the model, in this order: imported within a method a fork could come between.
from fastweights._sequential import Sequential, unbuilt  # noqa: E402, I001
from fastweights import _copying, pretrained, saving, _restoring  # noqa: E402

__all__ = ["Model", "Sequential", "unbuilt"]
