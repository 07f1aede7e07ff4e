"""Train a network on a CSV table or on images by class, report on what it has not seen, and write
the model to a file.

Ctrl-C ends the training; the best epoch so far is reported and written all the same.
"""

from __future__ import annotations

import argparse
import functools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import fastweights as fw
from fastweights import _check, callbacks, optimizers, saving
from fastweights._core import philox
from fastweights.cli import INTERRUPTED
from fastweights.cli.kinds import Data, Kind
from fastweights.cli.modelfile import KINDS, kind_meant, save_model
from fastweights.cli.output import (
    Group,
    Output,
    add_json,
    add_option,
    check_writable,
    count,
    naming_options,
    note,
)
from fastweights.cli.progress import progress
from fastweights.cli.report import report
from fastweights.table import score


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``fastweights train``."""
    parser.add_argument(
        "data",
        metavar="DATA",
        help="a CSV table whose first line names columns; a folder of images, with a subfolder for "
        "each class, or with train, val and test and such subfolders in them; or an .npz file of "
        "images and labels",
    )
    parser.add_argument(
        "--target",
        metavar="NAME",
        help="the column of a table to predict; in an .npz file the array of labels, or those of "
        "all parts (fine for fine_train and fine_test), which are found unless told",
    )

    results = parser.add_argument_group("results")
    option = functools.partial(add_option, results)
    option("--out", "the model", "model.safetensors", metavar="FILE")
    option("--plot", "draw learning curves and predictions; needs matplotlib", metavar="FILE.png")
    results.add_argument("--quiet", action="store_true", help="show no progress")
    add_json(results)

    _add_training_options(parser.add_argument_group("training"))
    for kind in reversed(KINDS):
        kind.add_options(parser)


def _add_training_options(group: Group) -> None:
    option = functools.partial(add_option, group)
    option(
        "--epochs",
        "passes over the rows, at most; default: 100, of images 40",
        kind=int,
        metavar="N",
    )
    option(
        "--patience",
        "stop when the validation loss has not improved for so many epochs, and go back to the "
        "best; 0 never stops; default: 15, of images 0",
        kind=int,
        metavar="N",
    )
    option("--batch-size", "rows a step", 32, metavar="ROWS")
    option("--optimizer", "how gradients move the weights", "adam", choices=("adam", "sgd"))
    option(
        "--learning-rate",
        "default: 0.001 for adam, 0.01 for sgd, of images twice as much, falling to 0",
        kind=float,
        metavar="RATE",
    )
    option("--momentum", "of sgd; default: 0.9", kind=float, metavar="SHARE")
    option(
        "--test-fraction",
        "share of the rows held out for the report (default: 0.2)",
        kind=float,
        metavar="SHARE",
    )
    option(
        "--validation-fraction",
        "share of the other rows that says when to stop; 0 trains on all of them; default: 0.1, "
        "of images 0",
        kind=float,
        metavar="SHARE",
    )
    option("--dtype", "of weights and arithmetic", "float32", choices=_check.FLOATS)
    option("--seed", "fixes held-out rows, initial weights and shuffling", 0, metavar="N")
    option("--threads", "to use at most; default: as many as CPUs", kind=int, metavar="N")


def run(args: argparse.Namespace) -> int:
    """Runs ``fastweights train``."""
    output = Output(args)
    told = argparse.Namespace(**vars(args))
    kind = kind_meant(args)
    check_options(args, kind)
    if args.threads is not None:
        fw.set_num_threads(args.threads)
    data = kind.prepare(args, output)
    _refuse_idle_options(told, data, kind)
    model = build(args, kind, data)
    training = fit(args, model, data, kind.listeners(args))
    save_model(args.out, model, kind, data.preprocessor)
    output.say(training.summary())

    target = data.preprocessor.target
    x, truth = data.rows(data.test)
    predictions = data.preprocessor.inverse_transform(model.predict(x))
    figures = score(target, truth, predictions)
    output.say("\n" + report(target, figures, count(len(truth), f"unseen {kind.row}")))
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


def check_options(args: argparse.Namespace, kind: Kind) -> None:
    """Refuses what is wrong with the options whatever the data hold, before they are read."""
    check_writable("--out", args.out, [args.data])
    saving.refuse_other_formats("--out", args.out)
    if args.plot:
        from fastweights.cli.plot import check_format

        check_format(args.plot)
        check_writable("--plot", args.plot, [args.data, args.out])
    with naming_options("learning_rate", "momentum"):
        _optimizer(args, kind)
    kind.check_options(args)
    _check.whole("--epochs", args.epochs, 1)
    _check.whole("--patience", args.patience, 0)
    _check.whole("--batch-size", args.batch_size, 1)
    _check.number("--test-fraction", args.test_fraction, above=0.0, below=1.0)
    _check.number("--validation-fraction", args.validation_fraction, minimum=0.0, below=1.0)
    _check.whole("--seed", args.seed, 0, philox.MAX_SEED)
    if args.threads is not None:
        _check.whole("--threads", args.threads, 1)


def _refuse_idle_options(told: argparse.Namespace, data: Data, kind: Kind) -> None:
    """Raises ValueError for options that were given and change nothing with these data."""
    if told.patience and not len(data.validation):
        got = f"{told.patience} and no {kind.row}s that say when to stop"
        expected = "a --validation-fraction above 0 beside it"
        raise ValueError(_check.refusal("--patience", got, expected))
    for use in sorted(data.divided):
        if getattr(told, f"{use}_fraction") is not None:
            got = f"it for {told.data}, which says itself which {kind.row}s are for {use}"
            raise ValueError(_check.refusal(f"--{use}-fraction", got, "data without such a part"))


def build(args: argparse.Namespace, kind: Kind, data: Data) -> fw.Sequential:
    """The network that the arguments describe, ready to be fitted."""
    model = kind.network(args, data)
    is_regression = data.preprocessor.target.task == "regression"
    model.compile(
        optimizer=_optimizer(args, kind),
        loss=(args.loss or "mean_absolute_error")
        if is_regression
        else "sparse_categorical_crossentropy",
    )
    return model


def _optimizer(args: argparse.Namespace, kind: Kind) -> optimizers.Optimizer:
    rate = args.learning_rate
    if rate is None:
        rate = kind.learning_rates[args.optimizer]
    _check.number("--learning-rate", rate, above=0.0)
    if args.optimizer == "adam":
        if args.momentum is not None:
            raise ValueError(
                _check.refusal("--momentum", f"{args.momentum:g}", "--optimizer sgd beside it")
            )
        return optimizers.Adam(rate)
    return optimizers.SGD(rate, 0.9 if args.momentum is None else args.momentum)


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


def fit(
    args: argparse.Namespace,
    model: fw.Sequential,
    data: Data,
    listeners: Sequence[callbacks.Callback],
) -> Training:
    """Trains the model, stopping early where validation rows or Ctrl-C say so."""
    stops_early = bool(len(data.validation) and args.patience)
    best = Best("val_loss" if stops_early else None)
    listeners = [*listeners, best]
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
        #: The figure, the epoch, its weights and what its layers remember, in one value that an
        #: interrupt leaves whole.
        self.kept: tuple[float, int, np.ndarray, np.ndarray] | None = None
        self._logs: list[callbacks.Logs] = []

    def on_epoch_end(self, epoch: int, logs: callbacks.Logs) -> None:
        self._logs.append(logs)
        figure = -epoch if self.monitor is None else logs[self.monitor]
        if math.isnan(figure):
            figure = math.inf
        if self.kept is None or figure < self.kept[0]:
            numbers = self.model.parameters.copy(), self.model.state.copy()
            self.kept = (figure, epoch, *numbers)

    def history(self) -> dict[str, list[float]]:
        """Each figure, epoch by epoch."""
        return {key: [logs[key] for logs in self._logs] for key in self._logs[0]}

    def bring_back(self) -> int:
        """Gives the model the weights that were kept and returns their epoch, from 0."""
        assert self.kept is not None
        _, epoch, self.model.parameters[:], self.model.state[:] = self.kept
        return epoch
