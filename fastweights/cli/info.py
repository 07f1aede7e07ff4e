"""Tell what this installation runs on: versions, CPU level, threads; or, of a model that
'fastweights train' wrote, what it is, what it learnt from, how, and how well it did.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Mapping
from typing import Any

import numpy as np

import fastweights as fw
from fastweights._json import shown
from fastweights.cli.modelfile import history_of, load_model
from fastweights.cli.output import Output, add_json
from fastweights.cli.report import number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``fastweights info``."""
    parser.add_argument(
        "model", nargs="?", metavar="MODEL", help="a file that 'fastweights train' wrote"
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Runs ``fastweights info``."""
    output = Output(args)
    facts = _of_installation() if args.model is None else _of_model(args.model)
    width = max(map(len, facts))
    for name, value in facts.items():
        output.say(f"{name.replace('_', ' '):<{width}}  {_in_words(value)}")
    output.result(facts)
    output.finish()
    return 0


def _of_installation() -> dict[str, Any]:
    return {
        **fw.config(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": f"{platform.system()} {platform.machine()}",
    }


def _of_model(path: str) -> dict[str, Any]:
    """What a model is, and the history that its file tells."""
    kind, model, preprocessor = load_model(path)
    target = preprocessor.target
    networks = len(model) if isinstance(model, fw.Ensemble) else 1
    first = model[0] if isinstance(model, fw.Ensemble) else model
    optimizer = first.optimizer
    told = {
        "model": path,
        "kind": kind.name,
        "target": target.name,
        "task": target.task,
        "networks": networks,
        "input_shape": list(first.input_shape or ()),
        "layers": [f"{type(layer).__name__} {layer.name}" for layer in first.layers],
        "parameters": first.count_params(),
        "dtype": str(first.dtype),
        "seed": first.seed,
        "optimizer": None if optimizer is None else optimizer.config(),
        "loss": None if first.loss is None else first.loss.config(),  # type: ignore[union-attr]
        "metrics": [metric.name for metric in first._compiled.metrics],
        "epochs_trained": first.epochs_trained,
    }
    if hasattr(target, "classes"):
        told["classes"] = list(target.classes)
    return {**told, **history_of(path)}


def _in_words(value: Any) -> str:
    if isinstance(value, Mapping) and "name" in value:
        return _called(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{k.replace('_', ' ')} {_in_words(v)}" for k, v in value.items())
    if isinstance(value, list):
        return ", ".join(map(_in_words, value)) or "none"
    if isinstance(value, float):
        return number(value)
    return shown(value).strip("'") if isinstance(value, str) else str(value)


def _called(config: Mapping[str, Any]) -> str:
    """A config as ``name(setting=1)``, without settings that are off."""
    settings = [
        f"{key}={_in_words(value)}"
        for key, value in config.items()
        if key != "name" and value is not None and value is not False
    ]
    return f"{config['name']}({', '.join(settings)})"
