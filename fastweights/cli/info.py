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
from fastweights import saving, serialization
from fastweights._json import shown
from fastweights._refusal import UnknownError
from fastweights.cli.modelfile import history_of, is_of_train, load_model, read_model
from fastweights.cli.output import Output, add_json, count, note
from fastweights.cli.report import number
from fastweights.table import Preprocessor
from fastweights.table.targets import ClassTarget


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``fastweights info``."""
    parser.add_argument("model", nargs="?", metavar="MODEL", help="a model's file")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Runs ``fastweights info``."""
    output = Output(args)
    facts = _of_installation() if args.model is None else _of_model(args.model)
    for line in _lines(facts):
        output.say(line)
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
    try:
        model = read_model(path)
    except UnknownError as error:
        return _of_unknown(path, str(error))
    history = history_of(path)
    history.pop("history", None)
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
        **({"epochs_trained": first.epochs_trained} if first.epochs_trained else {}),
        **history,
    }


def _of_unknown(path: str, why: str) -> dict[str, Any]:
    """What the file of a model says that has parts of somebody's own, which are not here."""
    with serialization.opened(path) as file:
        if "fastweights.model" not in file.metadata:
            raise UnknownError(why)
        description = saving.description_in(file)
        model, compiled = description["model"], description.get("compile", {})
        try:
            layers = [f"{layer['class']} {layer['name']}" for layer in model["layers"]]
            losses = compiled.get("loss", [])
            told = {
                "input_shape": model.get("input_shape"),
                "layers": layers,
                "dtype": model["dtype"],
                "seed": model["seed"],
                "optimizer": compiled.get("optimizer"),
                "losses": losses if isinstance(losses, list) else [losses],
            }
        except (AttributeError, LookupError, TypeError):
            raise UnknownError(why) from None
    note(why)
    return {"model": path, **told, "epochs_trained": description.get("epochs_trained", 0)}


def _of_task(path: str) -> dict[str, Any]:
    """What a model is about, where 'fastweights train' or `TableModel.save` wrote it."""
    if not is_of_train(path):
        return {}
    loaded = load_model(path)
    preprocessor, target = loaded.preprocessor, loaded.preprocessor.target
    told = {"kind": loaded.kind.name, "target": target.name, "task": target.task}
    if isinstance(target, ClassTarget):
        told["classes"] = list(target.classes)
    elif target.log:
        told["learnt"] = "its logarithm"
    if not isinstance(preprocessor, Preprocessor):
        return told
    places = preprocessor.groups
    kinds = {name: _kinds(own, len(places[name])) for name, own in preprocessor.kinds.items()}
    recipe = {} if loaded.recipe is None else {"recipe": loaded.recipe.config()}
    return {
        **told,
        "features": preprocessor.input_shape[0],
        "columns": kinds,
        "dropped_columns": preprocessor.dropped,
        "notes": list(preprocessor.notes),
        **recipe,
    }


def _kinds(kinds: tuple[str, ...], features: int) -> str:
    """What a column is used as, in words."""
    words = " and ".join(_KINDS.get(kind, kind) for kind in kinds)
    return f"{words}: {count(features, 'feature')}"


_KINDS = {"target_mean": "mean target of a category"}

#: Entries that are told a line each: what they are, and about how many.
_LISTS = ("columns", "dropped_columns", "notes", "layers")
_MOST_LINES = 40
#: Entries that people are not told, as others say it.
_ONLY_JSON = ("history", "confusion")


def _lines(facts: Mapping[str, Any]) -> list[str]:
    """Facts as lines: a name and what it is, or a list below its name."""
    width = max(len(name) for name in facts)
    lines = []
    for name, value in facts.items():
        if name in _ONLY_JSON:
            continue
        words = name.replace("_", " ")
        if name in _LISTS and value:
            lines.append(f"{words:<{width}}  {len(value)}")
            lines += _listed(value)
        else:
            told = value
            if isinstance(value, Mapping):
                told = {k: v for k, v in value.items() if k not in _ONLY_JSON and _says(v)}
            lines.append(f"{words:<{width}}  {_in_words(told) or 'none'}")
    return lines


def _says(value: Any) -> bool:
    """Whether a setting is other than nothing."""
    return value is not None and value != [] and value != ()


def _listed(values: Any) -> list[str]:
    if isinstance(values, Mapping):
        names = {name: shown(name).strip("'") for name in values}
        width = min(max(map(len, names.values())), 32)
        lines = [f"  {names[name]:<{width}}  {_in_words(one)}" for name, one in values.items()]
    else:
        lines = [f"  {' '.join(one.split())}" for one in values]
    more = len(lines) - _MOST_LINES
    return lines if more <= 0 else [*lines[:_MOST_LINES], f"  and {more:,} more: --json has all"]


def _in_words(value: Any) -> str:
    if isinstance(value, Mapping) and "name" in value:
        return _called(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{k.replace('_', ' ')} {_in_words(v)}" for k, v in value.items())
    if isinstance(value, (list, tuple)):
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
