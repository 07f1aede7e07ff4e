"""Check every gradient of a network against central finite differences, in float64.

The exit code is 0 where all are right and 1 where one is wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import math
from typing import Any

import numpy as np

import fastweights as fw
from fastweights import _check, activations, layers, losses
from fastweights._core import philox
from fastweights.cli.layers_spec import parse_layers, refuse_huge_networks
from fastweights.cli.modelfile import read_model
from fastweights.cli.output import Output, add_json, naming_options, note
from fastweights.gradient_check import Report

SPEC = "INPUTS,UNITS[:ACTIVATION],..."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``fastweights gradcheck``."""
    parser.add_argument(
        "model", nargs="?", metavar="MODEL", help="a model file (or say --layers instead)"
    )
    parser.add_argument(
        "--layers", metavar="SPEC", help=f"a network of dense layers, {SPEC}: 8,16:relu,4:tanh,3"
    )
    parser.add_argument(
        "--loss",
        metavar="NAME",
        help="any of fastweights.losses, mse for example (default: the model's, or mse)",
    )
    parser.add_argument(
        "--rows", type=int, default=5, help="random rows to check on (default: %(default)s)"
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=1e-7,
        help="largest error that passes (default: %(default)s)",
    )
    parser.add_argument(
        "--dtype",
        default="float64",
        choices=("float32", "float64"),
        help="float32 compares that dtype's gradient as well (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of weights and rows (default: %(default)s)"
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Runs ``fastweights gradcheck``."""
    output = Output(args)
    rows = _check.whole("--rows", args.rows, 1)
    rng = np.random.default_rng(_check.whole("--seed", args.seed, 0, philox.MAX_SEED))
    model, loss = _model_and_loss(args)
    x = rng.normal(size=(rows, *(model.input_shape or ())))
    y = _targets(loss, rng, rows, math.prod(*model._built_or_refused().output_shapes))
    with naming_options("loss", "tolerance"):
        report = fw.check_gradients(model, x, y, tolerance=args.tolerance)
    if not math.isfinite(report.loss):
        expected = "a last activation that suits the loss, such as softplus for poisson"
        raise ValueError(_check.refusal("--loss", f"{report.loss} on random rows", expected))
    output.say(str(report))
    output.result(_figures(report))
    output.finish()
    return 0 if report.passed else 1


def _model_and_loss(args: argparse.Namespace) -> tuple[fw.Model, losses.Loss]:
    """The model of the file or of the spec, compiled, and its loss."""
    if (args.model is None) == (args.layers is None):
        both = "none" if args.model is None else "both"
        raise ValueError(_check.refusal("MODEL or --layers", both, "one of them"))
    if args.model is not None:
        model = read_model(args.model)
        if isinstance(model, fw.Ensemble):
            note(f"{args.model} has {len(model)} networks: the first of them is checked")
            model = model[0]
    else:
        (inputs, named), *stack = parse_layers(args.layers, None)
        if named or not stack:
            expected = f"{SPEC}, the first being a number alone"
            raise ValueError(_check.refusal("--layers", repr(args.layers), expected))
        widths = [inputs, *(units for units, _ in stack)]
        refuse_huge_networks(widths, "float64", args.rows)
        dense = [layers.Dense(units, activation=activation) for units, activation in stack]
        model = fw.Sequential(dense, input_shape=inputs, dtype=args.dtype, seed=args.seed)
    if len(model.input_names) > 1 or len(model.output_names) > 1:
        got = f"{len(model.input_names)} inputs and {len(model.output_names)} outputs"
        expected = "a model with one of each; check others by fw.check_gradients"
        raise ValueError(_check.refusal("MODEL", got, expected))
    if args.loss is None and isinstance(model.loss, losses.Loss):
        return model, model.loss
    last = getattr(model.layers[-1], "activation", None)
    with naming_options("loss"):
        loss = _loss(
            "mse" if args.loss is None else args.loss, is_linear=last == activations.LINEAR
        )
    model.compile("sgd", loss)
    return model, loss


def _loss(name: str, is_linear: bool) -> losses.Loss:
    """The loss; a crossentropy takes logits where the network ends without an activation."""
    loss = losses.get(name)
    if is_linear and loss.fused_with is not None:
        return losses.get({"name": loss.name, "from_logits": True})
    return loss


def _targets(loss: losses.Loss, rng: np.random.Generator, rows: int, outputs: int) -> np.ndarray:
    """Random targets: the first of these kinds that the loss takes."""
    if loss.takes_labels:
        return rng.integers(outputs, size=rows)
    numbers = rng.normal(size=(rows, loss.target_columns(outputs)))
    counts = np.floor(np.exp(numbers))
    shares = np.exp(numbers) / np.exp(numbers).sum(axis=1, keepdims=True)
    yes_or_no = (numbers > 0).astype(np.float64)
    for targets in (numbers, counts, shares):
        with contextlib.suppress(ValueError):
            loss.prepare_targets(targets, rows, outputs, np.dtype(np.float64))
            return targets
    return yes_or_no


def _figures(report: Report) -> dict[str, Any]:
    return {
        "passed": report.passed,
        "error": report.error,
        "worst_error": report.worst.error,
        "worst_name": report.worst.name,
        "tolerance": report.tolerance,
        "loss": report.loss,
        "float32_error": report.float32_error,
        "arrays": [
            {"name": row.name, "shape": row.shape, "error": row.error} for row in report.rows
        ],
    }
