"""Files of table estimators: those of their models, with what scikit-learn's face has beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastweights import _check, _files, _json, serialization
from fastweights._json import shown
from fastweights.sklearn._table_frames import names_of_classes
from fastweights.table import TableModel
from fastweights.table.restoring import entries_of, list_of, refuse_repeats, texts_of
from fastweights.table.targets import ClassTarget

#: Under which key.
ESTIMATOR = "fastweights.estimator"
_ENTRIES = (
    "kind",
    "parameters",
    "columns",
    "frame_names",
    "feature_names",
    "is_named",
    "classes",
    "importances",
    "cv_scores",
)
#: What labels may be: numbers, booleans, texts.
_LABELS = "iufbUO"


def save_estimator(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Writes a fitted estimator; ValueError where its labels are nothing that a file can have."""
    names = getattr(estimator, "feature_names_in_", None)
    content = {
        "kind": type(estimator).__name__,
        "parameters": {
            name: _plain(value) for name, value in estimator.get_params(deep=False).items()
        },
        "columns": estimator._column_names,
        "frame_names": estimator._frame_names,
        "feature_names": None if names is None else names.tolist(),
        "is_named": estimator._is_named,
        "classes": _plain_classes(getattr(estimator, "classes_", None)),
        "importances": _plain_array(getattr(estimator, "_importances", None)),
        "cv_scores": _plain_array(getattr(estimator, "cv_scores_", None)),
    }
    estimator.model_.save(path, metadata={ESTIMATOR: json.dumps(content)})


def load_estimator(kind: Any, path: str | os.PathLike[str]) -> Any:
    """The estimator of this kind that `save_estimator` wrote."""
    model = TableModel.load(path)
    name, metadata = _files.path_text(path), serialization.read_metadata(path)
    if ESTIMATOR not in metadata:
        expected = f"one of {kind.__name__}.save; TableModel.load reads it"
        raise ValueError(_check.refusal(name, "a TableModel", expected))
    try:
        content = _json.loads("the estimator", metadata[ESTIMATOR], os.path.getsize(path))
        return _restored(kind, model, entries_of("estimator", content, _ENTRIES))
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"{name}: {' '.join(str(error).split())[:400]}") from error


def _restored(kind: Any, model: TableModel, entries: list[Any]) -> Any:
    named, parameters, columns, frame_names, feature_names, is_named, *rest = entries
    classes, importances, scores = rest
    if named != kind.__name__:
        raise ValueError(_check.refusal("estimator.kind", shown(named), kind.__name__))
    if model.recipe.task != kind._task:
        got = f"a model of {model.recipe.task}"
        raise ValueError(_check.refusal("estimator.kind", got, f"one of {kind._task}"))
    if not isinstance(parameters, dict):
        raise ValueError(_check.refusal("estimator.parameters", shown(parameters), "an object"))
    estimator = kind(**{name: _object(value) for name, value in parameters.items()})
    columns = texts_of("estimator.columns", columns)
    refuse_repeats("estimator.columns", columns, at_least=1)
    known = {*model.preprocessor.kinds, *model.preprocessor.dropped}
    if not known <= set(columns):
        got = f"no column {shown(sorted(known - set(columns))[0])}"
        raise ValueError(_check.refusal("estimator.columns", got, "those of the model"))
    estimator._column_names, estimator.n_features_in_ = list(columns), len(columns)
    estimator._is_named = _check.flag("estimator.is_named", is_named)
    estimator._frame_names = None
    if frame_names is not None:
        estimator._frame_names = _as_many("frame_names", frame_names, columns)
    if feature_names is not None:
        found = _as_many("feature_names", feature_names, columns)
        estimator.feature_names_in_ = np.array(found, dtype=object)
    estimator._target_name, estimator._left_out = model.target, []
    estimator._restore_classes(model, _classes(classes))
    estimator._be_fitted(model)
    if importances is not None:
        estimator._importances = _numbers("importances", importances)
        if len(estimator._importances) != len(columns):
            got = f"{len(estimator._importances)} for {len(columns)} columns"
            raise ValueError(_check.refusal("estimator.importances", got, "one for each"))
    if scores is not None:
        estimator.cv_scores_ = _numbers("cv_scores", scores)
    return estimator


def _as_many(what: str, given: Any, columns: tuple[str, ...]) -> tuple[str, ...]:
    found = texts_of(f"estimator.{what}", given)
    if len(found) != len(columns):
        got = f"{len(found)} for {len(columns)} columns"
        raise ValueError(_check.refusal(f"estimator.{what}", got, "one for each"))
    return found


def _numbers(what: str, given: Any) -> np.ndarray:
    values = list_of(f"estimator.{what}", given)
    return np.array([_check.number(f"estimator.{what}", value) for value in values])


def _plain_array(given: np.ndarray | None) -> list[float] | None:
    return None if given is None else given.tolist()


# ---- labels --------------------------------------------------------------------------------------


def _plain_classes(classes: np.ndarray | None) -> dict[str, Any] | None:
    if classes is None:
        return None
    values = classes.tolist()
    if classes.dtype.kind not in _LABELS or not all(
        isinstance(value, (int, float, str)) for value in values
    ):
        got = f"labels of {classes.dtype}, {_check.shown(values[0])}"
        raise ValueError(_check.refusal("save", got, "numbers, booleans or texts"))
    return {"dtype": classes.dtype.str, "values": values}


def _classes(content: Any) -> np.ndarray | None:
    if content is None:
        return None
    dtype, values = entries_of("estimator.classes", content, ("dtype", "values"))
    wanted = np.dtype(_check.text("estimator.classes.dtype", dtype))
    values = list_of("estimator.classes.values", values)
    if wanted.kind not in _LABELS or wanted.itemsize > 4096 or wanted.shape:
        raise ValueError(_check.refusal("estimator.classes.dtype", shown(dtype), "that of labels"))
    if not all(isinstance(value, (int, float, str)) for value in values):
        raise ValueError(_check.refusal("estimator.classes.values", shown(values), "labels"))
    found = np.array(values, dtype=wanted)
    if len(np.unique(found)) != len(found):
        raise ValueError(_check.refusal("estimator.classes", shown(values), "every label once"))
    return found


def classes_of_model(model: TableModel, classes: np.ndarray | None) -> np.ndarray:
    """These labels; ValueError where the model's classes are not among them."""
    target = model.preprocessor.target
    assert isinstance(target, ClassTarget)
    if classes is None or not set(target.classes) <= set(names_of_classes(classes)):
        expected = "the classes of the model"
        raise ValueError(_check.refusal("estimator.classes", "others", expected))
    return classes


# ---- parameters ----------------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    """A parameter as JSON can hold it; None for an object."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Mapping):
        return {"pairs": [[_plain(one) for one in pair] for pair in value.items()]}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not np.isfinite(value):
        return {"number": repr(value)}
    return value if isinstance(value, (bool, int, float, str)) else None


def _object(content: Any) -> Any:
    """The parameter that `_plain` took apart."""
    if isinstance(content, list):
        return [_object(one) for one in content]
    if not isinstance(content, dict):
        return content
    if "pairs" in content:
        pairs = list_of("estimator.parameters", content["pairs"])
        return {_object(key): _object(value) for key, value in pairs}
    return float(content["number"])
