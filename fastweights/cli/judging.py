"""Metrics that ``--metrics`` asks for, of predictions as people read them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

import fastweights as fw
from fastweights import _check, layers, metrics
from fastweights._json import shown
from fastweights.cli.calls import Call, calls_of, kind_of
from fastweights.cli.calls import made as made_of
from fastweights.cli.output import add_option, naming_options, text_table
from fastweights.cli.report import number
from fastweights.table.targets import ClassTarget, NumberTarget


def add_metrics(group: Any, words: str) -> None:
    """Adds ``--metrics``."""
    known = ", ".join(metrics.METRICS)
    add_option(
        group,
        "--metrics",
        f"{words}, such as 'balanced_accuracy,f1_score(average=macro)': of {known}",
        metavar="SPEC,...",
    )


def metrics_of(option: str, spec: str | None, loss: str) -> list[metrics.Metric]:
    """The metrics that a spec names, for a network that is trained with this loss."""
    return [_metric(option, call, loss) for call in calls_of(option, spec)] if spec else []


def _metric(option: str, call: Call, loss: str) -> metrics.Metric:
    kind = kind_of(option, call, metrics.METRICS)
    identifier: Any = call.name.lower()
    if call.settings:
        if not isinstance(kind, type):
            got, expected = f"settings of {call.name}", "the name of a metric that has some"
            raise ValueError(_check.refusal(option, got, expected))
        identifier = made_of(option, call, kind)
    with naming_options(metrics=option):
        return metrics.get(identifier, fw.losses.get(loss))


def judged(
    spec: str | None,
    target: NumberTarget | ClassTarget,
    truth: np.ndarray,
    predictions: np.ndarray,
) -> dict[str, Any]:
    """The metrics that a spec names, of values in the target's units or of probabilities."""
    if not spec:
        return {}
    if isinstance(target, NumberTarget) and predictions.ndim == 2:
        expected = "none for a model of quantiles: its pinball loss and the shares below are told"
        raise ValueError(_check.refusal("--metrics", shown(spec), expected))
    if isinstance(target, NumberTarget):
        loss, truth, predictions = "mse", truth[:, np.newaxis], predictions[:, np.newaxis]
    else:
        loss = "sparse_categorical_crossentropy"
    as_it_is = fw.Sequential([layers.Identity()], predictions.shape[1:], "float64")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of probabilities that no softmax makes
        as_it_is.compile("sgd", loss, metrics=metrics_of("--metrics", spec, loss))
    figures = as_it_is.evaluate(predictions, truth, verbose=0, return_dict=True)
    assert isinstance(figures, dict)
    found: dict[str, Any] = {name: figures[name] for name in list(figures)[1:]}
    return {n: f.tolist() if isinstance(f, np.ndarray) else f for n, f in found.items()}


def in_words(figures: dict[str, Any]) -> str:
    """The metrics as lines, behind an empty one; nothing where there are none."""
    if not figures:
        return ""
    lines: Sequence[Sequence[str]] = [
        ["metric", "of these rows"],
        *([name, _shown(figure)] for name, figure in figures.items()),
    ]
    return f"\n\n{text_table(lines)}"


def _shown(figure: Any) -> str:
    if isinstance(figure, list):
        return ", ".join(map(_shown, figure)) if len(figure) <= 20 else f"{len(figure)} of them"
    return number(figure)
