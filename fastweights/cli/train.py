"""Train a network on a CSV table, report on rows it has not seen, and write the model to a file."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from typing import Any

import fastweights as fw
from fastweights import _check, callbacks, layers, optimizers
from fastweights.cli.layers_spec import parse_layers
from fastweights.cli.modelfile import save_model
from fastweights.cli.output import Output, add_json, count, check_writable
from fastweights.cli.prepare import Data, prepare
from fastweights.cli.progress import progress
from fastweights.cli.report import report
from fastweights.table import score


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``fastweights train``."""
    parser.add_argument(
        "table", metavar="TABLE.csv", help="the table; its first line names columns"
    )
    parser.add_argument("--target", required=True, metavar="COLUMN", help="the column to predict")
    parser.add_argument(
        "--task",
        choices=("regression", "classification"),
        help="what the target is; found from its cells unless given",
    )
    parser.add_argument(
        "--log-target",
        action="store_true",
        help="learn the logarithm of the target, which must be above 0: for prices and the like",
    )
    results = parser.add_argument_group("results")
    results.add_argument(
        "--out",
        default="model.safetensors",
        metavar="FILE",
        help="the model (default: %(default)s)",
    )
    results.add_argument(
        "--plot", metavar="FILE.png", help="draw learning curves and predictions (needs matplotlib)"
    )
    results.add_argument("--quiet", action="store_true", help="show no progress")
    add_json(results)
    _add_network_arguments(parser)
    _add_training_arguments(parser)


def _add_network_arguments(parser: argparse.ArgumentParser) -> None:
    network = parser.add_argument_group("network")
    network.add_argument(
        "--layers",
        default="64,32",
        metavar="SPEC",
        help="hidden layers, each UNITS or UNITS:ACTIVATION (default: %(default)s)",
    )
    network.add_argument(
        "--activation",
        default="tanh",
        metavar="NAME",
        help="activation of layers that name none (default: %(default)s)",
    )
    network.add_argument(
        "--dtype", default="float32", choices=("float32", "float64"), help="(default: %(default)s)"
    )


def _add_training_arguments(parser: argparse.ArgumentParser) -> None:
    training = parser.add_argument_group("training")
    training.add_argument(
        "--loss",
        default="mean_absolute_error",
        metavar="NAME",
        help="of a regression (default: %(default)s); classes have the crossentropy",
    )
    training.add_argument(
        "--epochs",
        type=int,
        default=100,
        help="passes over the rows, at most (default: %(default)s)",
    )
    training.add_argument(
        "--patience",
        type=int,
        default=15,
        metavar="EPOCHS",
        help="stop after so many epochs in which the validation loss has not improved, and go back "
        "to the best; 0 never stops (default: %(default)s)",
    )
    training.add_argument(
        "--batch-size", type=int, default=32, metavar="ROWS", help="(default: %(default)s)"
    )
    training.add_argument(
        "--optimizer", default="adam", choices=("adam", "sgd"), help="(default: %(default)s)"
    )
    training.add_argument(
        "--learning-rate",
        type=float,
        metavar="RATE",
        help="(default: 0.001 for adam, 0.01 for sgd)",
    )
    training.add_argument(
        "--momentum", type=float, metavar="SHARE", help="momentum of sgd (default: 0.9)"
    )
    training.add_argument(
        "--test-fraction",
        type=float,
        default=0.2,
        metavar="SHARE",
        help="share of the rows held out for the report (default: %(default)s)",
    )
    training.add_argument(
        "--validation-fraction",
        type=float,
        default=0.1,
        metavar="SHARE",
        help="share of the others that says when to stop; 0 trains on them too "
        "(default: %(default)s)",
    )
    training.add_argument(
        "--seed",
        type=int,
        default=0,
        help="fixes held-out rows, initial weights and shuffling (default: %(default)s)",
    )
    training.add_argument(
        "--threads", type=int, metavar="N", help="threads to use at most (default: all CPUs)"
    )


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
