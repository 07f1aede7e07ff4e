"""Train a network on a CSV table, report on rows it has not seen, and write the model to a file.

Ctrl-C ends the training; the best epoch so far is reported and written all the same.
"""

from __future__ import annotations

import argparse
import functools
import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

import fastweights as fw
from fastweights import _check, activations, callbacks, layers, losses, optimizers, saving
from fastweights._core import philox
from fastweights.cli import INTERRUPTED
from fastweights.cli.layers_spec import parse_layers, refuse_huge_networks
from fastweights.cli.modelfile import save_model
from fastweights.cli.output import (
    Group,
    Output,
    add_json,
    check_writable,
    count,
    naming_options,
    note,
)
from fastweights.cli.prepare import Data, prepare
from fastweights.cli.progress import progress
from fastweights.cli.report import report
from fastweights.table import score
from fastweights.table.preprocessing import TARGETS

#: The losses for any numbers, which a regression may choose from.
LOSSES = {
    name: kind
    for name, kind in losses.LOSSES.items()
    if kind in (losses.MeanSquaredError, losses.MeanAbsoluteError, losses.Huber, losses.LogCosh)
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``fastweights train``."""
    option = functools.partial(_add_option, parser)
    parser.add_argument("table", metavar="TABLE.csv", help="a table whose first line names columns")
    parser.add_argument("--target", required=True, metavar="COLUMN", help="the column to predict")
    option("--task", "what the target is; found from its cells unless given", choices=TARGETS)
    parser.add_argument(
        "--log-target",
        action="store_true",
        help="learn the logarithm of the target, which must be above 0: for prices and the like",
    )

    results = parser.add_argument_group("results")
    option = functools.partial(_add_option, results)
    option("--out", "the model", "model.safetensors", metavar="FILE")
    option("--plot", "draw learning curves and predictions; needs matplotlib", metavar="FILE.png")
    results.add_argument("--quiet", action="store_true", help="show no progress")
    add_json(results)

    option = functools.partial(_add_option, parser.add_argument_group("network"))
    option("--layers", "hidden layers, each UNITS or UNITS:ACTIVATION", "64,32", metavar="SPEC")
    option("--activation", "of layers that name none", "tanh", metavar="NAME")
    option("--dtype", "of weights and arithmetic", "float32", choices=_check.FLOATS)
    _add_training_options(parser.add_argument_group("training"))


def _add_training_options(group: Group) -> None:
    option = functools.partial(_add_option, group)
    option(
        "--loss",
        "what a regression makes small (default: mean_absolute_error); classes always have the "
        "crossentropy",
        metavar="NAME",
    )
    option("--epochs", "passes over the rows, at most", 100, metavar="N")
    option(
        "--patience",
        "stop when the validation loss has not improved for so many epochs, and go back to the "
        "best; 0 never stops",
        15,
        metavar="N",
    )
    option("--batch-size", "rows a step", 32, metavar="ROWS")
    option("--optimizer", "how gradients move the weights", "adam", choices=("adam", "sgd"))
    option("--learning-rate", "default: 0.001 for adam, 0.01 for sgd", kind=float, metavar="RATE")
    option("--momentum", "of sgd; default: 0.9", kind=float, metavar="SHARE")
    option("--test-fraction", "share of the rows held out for the report", 0.2, metavar="SHARE")
    option(
        "--validation-fraction",
        "share of the other rows that says when to stop; 0 trains on all of them",
        0.1,
        metavar="SHARE",
    )
    option("--seed", "fixes held-out rows, initial weights and shuffling", 0, metavar="N")
    option("--threads", "to use at most; default: as many as CPUs", kind=int, metavar="N")


def _add_option(
    group: Group, name: str, words: str, default: Any = None, kind: type = str, **more: Any
) -> None:
    """Adds an option; its type is that of its default, which the help tells."""
    if default is not None:
        kind, words = type(default), f"{words} (default: {default})"
    group.add_argument(name, default=default, type=kind, help=words, **more)


def run(args: argparse.Namespace) -> int:
    """Runs ``fastweights train``."""
    output = Output(args)
    check_options(args)
    if args.threads is not None:
        fw.set_num_threads(args.threads)
    data = prepare(args, output)
    model = build(args, data)
    training = fit(args, model, data)
    save_model(args.out, model, data.preprocessor)
    output.say(training.summary())

    target = data.preprocessor.target
    x, truth = data.rows(data.test)
    predictions = data.preprocessor.inverse_transform(model.predict(x))
    figures = score(target, truth, predictions)
    output.say("\n" + report(target, figures, count(len(truth), "unseen row")))
    output.say(f"\nmodel: {args.out}")
    if args.plot:
        from fastweights.cli.plot import draw

        draw(args.plot, target, training.history, training.best_epoch, truth, predictions, figures)
        output.say(f"picture: {args.plot}")
    output.result(
        {
            **data.figures(),
            **training.figures(),
            **figures,
            "seed": args.seed,
            "model": args.out,
            "plot": args.plot,
        }
    )
    output.finish()
    return INTERRUPTED if training.interrupted else 0


def check_options(args: argparse.Namespace) -> None:
    """Refuses what is wrong with the options whatever the table holds, before it is read."""
    check_writable("--out", args.out, [args.table])
    saving.refuse_other_formats("--out", args.out)
    if args.plot:
        from fastweights.cli.plot import check_format

        check_format(args.plot)
        check_writable("--plot", args.plot, [args.table, args.out])
    with naming_options("activation", "learning_rate", "momentum"):
        activations.get(args.activation)
        _optimizer(args)
    hidden = parse_layers(args.layers, args.activation)
    refuse_huge_networks([1, *(units for units, _ in hidden)], args.dtype)
    if args.loss is not None:
        if args.task == "classification":
            _refuse_a_loss(args)
        _check.choice("--loss", args.loss.lower(), LOSSES)
    _check.whole("--epochs", args.epochs, 1)
    _check.whole("--patience", args.patience, 0)
    _check.whole("--batch-size", args.batch_size, 1)
    _check.number("--test-fraction", args.test_fraction, above=0.0, below=1.0)
    _check.number("--validation-fraction", args.validation_fraction, minimum=0.0, below=1.0)
    _check.whole("--seed", args.seed, 0, philox.MAX_SEED)
    if args.threads is not None:
        _check.whole("--threads", args.threads, 1)


def _refuse_a_loss(args: argparse.Namespace) -> None:
    got = f"{args.loss} for the classes of column {args.target!r}"
    raise ValueError(_check.refusal("--loss", got, "none: classes always have the crossentropy"))


def build(args: argparse.Namespace, data: Data) -> fw.Sequential:
    """The network that the arguments describe, ready to be fitted."""
    classes = data.preprocessor.target.task == "classification"
    if classes and args.loss is not None:
        _refuse_a_loss(args)
    hidden = parse_layers(args.layers, args.activation)
    widths = [data.x.shape[1], *(units for units, _ in hidden), data.preprocessor.target.outputs]
    refuse_huge_networks(widths, args.dtype)
    stack = [layers.Dense(units, activation=activation) for units, activation in hidden]
    stack.append(
        layers.Dense(data.preprocessor.target.outputs, activation="softmax" if classes else None)
    )
    model = fw.Sequential(stack, input_shape=data.x.shape[1:], dtype=args.dtype, seed=args.seed)
    model.compile(
        optimizer=_optimizer(args),
        loss="sparse_categorical_crossentropy" if classes else args.loss or "mean_absolute_error",
    )
    return model


def _optimizer(args: argparse.Namespace) -> optimizers.Optimizer:
    if args.learning_rate is not None:
        _check.number("--learning-rate", args.learning_rate, above=0.0)
    if args.optimizer == "adam":
        if args.momentum is not None:
            raise ValueError(
                _check.refusal("--momentum", f"{args.momentum:g}", "--optimizer sgd beside it")
            )
        return optimizers.Adam(0.001 if args.learning_rate is None else args.learning_rate)
    return optimizers.SGD(
        0.01 if args.learning_rate is None else args.learning_rate,
        0.9 if args.momentum is None else args.momentum,
    )


@dataclass(frozen=True)
class Training:
    """What a fit was like."""

    history: dict[str, list[float]]
    best_epoch: int
    seconds: float
    parameters: int
    interrupted: bool

    @property
    def epochs(self) -> int:
        """How many epochs were run."""
        return len(self.history["loss"])

    def summary(self) -> str:
        """The fit in words."""
        losses = ", ".join(f"{k} {v[self.best_epoch]:.4g}" for k, v in self.history.items())
        return (
            f"{self.parameters:,} parameters trained for {count(self.epochs, 'epoch')} in "
            f"{self.seconds:.1f} s; kept epoch {self.best_epoch + 1}: {losses}"
        )

    def figures(self) -> dict[str, Any]:
        """What ``--json`` tells about the fit."""
        return {
            "epochs": self.epochs,
            "interrupted": self.interrupted,
            "best_epoch": self.best_epoch + 1,
            "seconds": self.seconds,
            "parameters": self.parameters,
            **{key: values[self.best_epoch] for key, values in self.history.items()},
        }


def fit(args: argparse.Namespace, model: fw.Sequential, data: Data) -> Training:
    """Trains the model, stopping early where validation rows or Ctrl-C say so."""
    stops_early = bool(len(data.validation) and args.patience)
    best = Best("val_loss" if stops_early else None)
    listeners: list[callbacks.Callback] = [best]
    if not args.quiet:
        listeners.append(progress())
    if stops_early:
        listeners.append(
            callbacks.EarlyStopping(patience=args.patience, restore_best_weights=False)
        )
    began = time.perf_counter()
    interrupted = False
    try:
        model.fit(
            *data.learnable(data.train),
            batch_size=args.batch_size,
            epochs=args.epochs,
            verbose=0,
            callbacks=listeners,
            validation_data=data.learnable(data.validation) if len(data.validation) else None,
        )
    except KeyboardInterrupt:
        if best.kept is None:
            raise
        interrupted = True
        note("interrupted: going on with what was learnt so far (Ctrl-C again ends at once)")
    seconds = time.perf_counter() - began
    return Training(best.history(), best.bring_back(), seconds, model.count_params(), interrupted)


class Best(callbacks.Callback):
    """Keeps the weights of the best finished epoch; without a figure to go by, of the last."""

    def __init__(self, monitor: str | None) -> None:
        self.monitor = monitor
        #: The figure, the epoch and its weights, in one value that an interrupt leaves whole.
        self.kept: tuple[float, int, np.ndarray] | None = None
        self._logs: list[callbacks.Logs] = []

    def on_epoch_end(self, epoch: int, logs: callbacks.Logs) -> None:
        self._logs.append(logs)
        figure = -epoch if self.monitor is None else logs[self.monitor]
        if math.isnan(figure):
            figure = math.inf
        if self.kept is None or figure < self.kept[0]:
            self.kept = figure, epoch, self.model.parameters.copy()

    def history(self) -> dict[str, list[float]]:
        """Each figure, epoch by epoch."""
        return {key: [logs[key] for logs in self._logs] for key in self._logs[0]}

    def bring_back(self) -> int:
        """Gives the model the weights that were kept and returns their epoch, from 0."""
        assert self.kept is not None
        _, epoch, self.model.parameters[:] = self.kept
        return epoch
