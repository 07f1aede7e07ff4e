"""Train a network on a CSV table, report on rows it has not seen, and write the model to a file."""

from __future__ import annotations

import argparse
import functools
import time
from dataclasses import dataclass
from typing import Any

import fastweights as fw
from fastweights import _check, callbacks, layers, optimizers
from fastweights.cli.layers_spec import parse_layers
from fastweights.cli.modelfile import save_model
from fastweights.cli.output import Group, Output, add_json, check_writable, count
from fastweights.cli.prepare import Data, prepare
from fastweights.cli.progress import progress
from fastweights.cli.report import report
from fastweights.table import score
from fastweights.table.preprocessing import TARGETS


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
        "what a regression makes small; classes always have the crossentropy",
        "mean_absolute_error",
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
    check_writable("--out", args.out, [args.table])
    if args.plot:
        from fastweights.cli.plot import check_format, draw

        check_format(args.plot)
        check_writable("--plot", args.plot, [args.table, args.out])
    _check.whole("--epochs", args.epochs, 1)
    if args.threads is not None:
        fw.set_num_threads(args.threads)
    data = prepare(args, output)
    model = build(args, data)
    training = fit(args, model, data)
    output.say(training.summary())

    target = data.preprocessor.target
    x, truth = data.rows(data.test)
    predictions = data.preprocessor.inverse_transform(model.predict(x))
    figures = score(target, truth, predictions)
    output.say("\n" + report(target, figures, count(len(truth), "unseen row")))
    save_model(args.out, model, data.preprocessor)
    output.say(f"\nmodel: {args.out}")
    if args.plot:
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
    return 0


def build(args: argparse.Namespace, data: Data) -> fw.Sequential:
    """The network that the arguments describe, ready to be fitted."""
    classes = data.preprocessor.target.task == "classification"
    hidden = parse_layers(args.layers, args.activation)
    stack = [layers.Dense(units, activation=activation) for units, activation in hidden]
    stack.append(
        layers.Dense(data.preprocessor.target.outputs, activation="softmax" if classes else None)
    )
    model = fw.Sequential(stack, input_shape=data.x.shape[1:], dtype=args.dtype, seed=args.seed)
    model.compile(
        optimizer=_optimizer(args),
        loss="sparse_categorical_crossentropy" if classes else args.loss,
    )
    return model


def _optimizer(args: argparse.Namespace) -> optimizers.Optimizer:
    if args.optimizer == "adam":
        if args.momentum is not None:
            raise ValueError(_check.refusal("--momentum", "adam", "--optimizer sgd beside it"))
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
            "best_epoch": self.best_epoch + 1,
            "seconds": self.seconds,
            "parameters": self.parameters,
            **{key: values[self.best_epoch] for key, values in self.history.items()},
        }


def fit(args: argparse.Namespace, model: fw.Sequential, data: Data) -> Training:
    """Trains the model, stopping early where validation rows say so."""
    listeners: list[callbacks.Callback] = [] if args.quiet else [progress()]
    early = None
    if len(data.validation) and args.patience:
        early = callbacks.EarlyStopping(patience=args.patience)
        listeners.append(early)
    began = time.perf_counter()
    history = model.fit(
        *data.learnable(data.train),
        batch_size=args.batch_size,
        epochs=args.epochs,
        verbose=0,
        callbacks=listeners,
        validation_data=data.learnable(data.validation) if len(data.validation) else None,
    )
    seconds = time.perf_counter() - began
    best = len(history.epoch) - 1 if early is None else early.best_epoch
    return Training(history.history, best, seconds, model.count_params())
