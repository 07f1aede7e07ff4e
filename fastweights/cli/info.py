"""Tell what this installation runs on: versions, CPU level, threads; or what a model is, and of one
that 'fastweights train' wrote also what it learnt from, how, and how well it did.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Mapping
from typing import Any

import numpy as np

import fastweights as fw
from fastweights._json import shown
from fastweights.cli.modelfile import history_of, is_of_train, load_model, read_model
from fastweights.cli.output import Output, add_json
from fastweights.cli.report import number
from fastweights.table.targets import ClassTarget


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``fastweights info``."""
    parser.add_argument("model", nargs="?", metavar="MODEL", help="a model's file")
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
    """What a model is, what it predicts, and the history that its file tells."""
    model = read_model(path)
    first = model[0] if isinstance(model, fw.Ensemble) else model
    optimizer, loss = first.optimizer, first.loss
    losses = loss if isinstance(loss, tuple) else () if loss is None else (loss,)
    return {
        "model": path,
        **_of_task(path),
        "networks": len(model) if isinstance(model, fw.Ensemble) else 1,
        "input_shape": list(first.input_shape or ()),
        "layers": [f"{type(layer).__name__} {layer.name}" for layer in first.layers],
        "parameters": first.count_params(),
        "dtype": str(first.dtype),
        "seed": first.seed,
        "optimizer": None if optimizer is None else optimizer.config(),
        "losses": [loss.config() for loss in losses],
        "metrics": [metric.name for metric in first._compiled.metrics],
        "epochs_trained": first.epochs_trained,
        **history_of(path),
    }


def _of_task(path: str) -> dict[str, Any]:
    """What a model is about, where 'fastweights train' wrote it."""
    if not is_of_train(path):
        return {}
    loaded = load_model(path)
    target = loaded.preprocessor.target
    told = {"kind": loaded.kind.name, "target": target.name, "task": target.task}
    return {**told, "classes": list(target.classes)} if isinstance(target, ClassTarget) else told


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
