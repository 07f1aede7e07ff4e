"""The choices by which a network is trained on a table, each of which has a name.

What they are by default, and why: docs/tables.md.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from fastweights import _check, activations, losses, metrics, optimizers
from fastweights.losses import Loss
from fastweights.table.columns.choosing import Encoding

TASKS = dict.fromkeys(("regression", "classification"))

#: Rows with a target; fewer teach nothing.
MIN_ROWS = 4
#: From more than so many categories on their mean targets are features.
TARGET_MEANS = 10
#: Of tables with no more rows networks with and without a linear path are tried.
MOST_ROWS_TRIED = 2000
#: Columns of numbers have so many pieces in all, at most, but at least so many bins each.
MOST_PIECES = 4000
LEAST_BINS = 2
#: Networks of a preset: the fewest, the most, and operations that all of them may take together;
#: two CPUs do some 2e11 of these a second.
NETS = {"fast": (1, 8, 1e12), "best": (2, 16, 6e12)}
#: Quantile bins of the preset "best" for numbers that a regression is made of: the most, the fewest
#: rows of a bin, and cells of a table that are encoded so finely.
FINE_BINS = 128
MIN_BIN_ROWS = 6
MOST_FINE_CELLS = 500_000
#: Each network goes through at most so many rows in all, and so often through each.
ROW_BUDGET = 4_000_000
MOST_EPOCHS = 40
#: Parts that rows are left out by; of large tables so many rows that no part has more than this.
FOLDS = 8
MOST_LEFT_OUT = 20_000
#: Losses that a regression may choose from; classes always have the crossentropy.
LOSSES = {
    name: losses.LOSSES[name]
    for name in ("huber", "mean_squared_error", "mean_absolute_error", "log_cosh", "quantile")
}


@dataclass(frozen=True)
class Recipe:
    """How a table becomes features, which network learns from them, and how it is trained.

    Parameters
    ----------
    task : {"regression", "classification"}
    bins, min_category_rows, max_categories, category_numbers, target_means
        How columns become features: see `fastweights.table.columns.choosing.Encoding`.
    log_target : bool, optional
        Whether the logarithm of the target is learnt; found out unless given.
    layers : tuple of int
        Units of each hidden layer.
    activation : str or tuple of str
        Of the hidden layers, or of each of them.
    variety : tuple of str
        Activations of all hidden layers of other networks: the first has ``activation``, the
        next one each of these, and so on in turn.
    dropout : float
        Behind each hidden layer.
    linear : bool, optional
        Whether a linear path goes beside the hidden layers. Of a regression it begins as the ridge
        regression of the features, and the hidden layers at 0. None: both kinds of network are
        trained, and those are kept whose errors on the rows left out are smaller.
    linear_gain : float
        By which share errors must be smaller with a linear path for it to be taken. The errors are
        those of single networks, and the mean of many gains more on them where there is no line.
    loss : str
        What a regression makes small, of the standardised target: a key of `LOSSES`.
    quantiles : tuple of float
        Of the loss ``"quantile"``; the model then predicts each of them, in rising order.
    learning_rate : float
        Adam's, at its highest.
    optimizer : str, Optimizer or config, optional
        Instead of Adam and all that is said of the learning rate; kept as its config.
    l2 : float
        What the square of each weight, biases apart, adds to the loss.
    scale_rate : float
        What it is multiplied by for the factors of the features.
    warmup : float
        The share of the steps in which the learning rate rises in a line; it then falls to 0 by a
        cosine.
    batch_size : int
        Rows a step.
    epochs : int
        Passes over the training rows.
    patience : int
        After so many epochs without a smaller loss on the rows left out a network's training ends;
        0: it goes through all epochs.
    nets : int
        Networks whose predictions are averaged.
    folds : int
        Parts that the training rows are cut into: each network leaves out another one, which says
        which of its epochs is the best; with more networks than parts they are cut anew. Of fewer
        groups (`split`) each is a part. 0: no rows are left out, and the last epoch is kept.
    split : str
        How rows are left out: ``"random"``, ``"time:COLUMN"`` or ``"group:COLUMN"``.
    monitor : str, Metric or config
        What, of the rows left out, says which epoch is the best: ``"loss"``, or a metric.
    metrics : tuple of str, Metric or config
        What the history tells beside the loss.
    class_weight : {"balanced"} or dict of str to float, optional
        What rows of a class count in training: all classes alike, or by their names, and 1 for
        others.
    dtype : {"float32", "float64"}
        Of weights and arithmetic.
    """

    task: str
    bins: int
    min_category_rows: int
    max_categories: int
    category_numbers: int
    target_means: int | None
    layers: tuple[int, ...]
    activation: str | tuple[str, ...]
    dropout: float
    linear: bool | None
    loss: str
    learning_rate: float
    scale_rate: float
    batch_size: int
    epochs: int
    patience: int
    nets: int
    folds: int
    warmup: float = 0.05
    quantiles: tuple[float, ...] = (0.1, 0.5, 0.9)
    log_target: bool | None = None
    split: str = "random"
    optimizer: Any = None
    l2: float = 0.0
    monitor: Any = "loss"
    metrics: tuple[Any, ...] = ()
    class_weight: Any = None
    dtype: str = "float32"
    variety: tuple[str, ...] = ()
    linear_gain: float = 0.0

    @property
    def kinds(self) -> tuple[Recipe, ...]:
        """The recipes of which the better one is taken, where ``linear`` is not decided."""
        if self.linear is not None:
            return (self,)
        return tuple(replace(self, linear=linear) for linear in (False, True))

    def of(self, number: int) -> Recipe:
        """The recipe of the network of a number, from 0."""
        several = (self.activation, *self.variety)
        return replace(self, activation=several[number % len(several)])

    @property
    def quantiles_asked(self) -> tuple[float, ...]:
        """Those that are predicted; none unless the loss is that of quantiles."""
        return self.quantiles if self.loss == "quantile" else ()

    @property
    def encoding(self) -> dict[str, Any]:
        """How columns become features, as `Preprocessor.fit` takes it."""
        return {choice.name: getattr(self, choice.name) for choice in fields(Encoding)}

    def steps(self, rows: int) -> int:
        """Steps of a training on so many rows."""
        return self.epochs * math.ceil(rows / self.batch_size)

    def config(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        return asdict(self)


def recipe_for(
    preset: str,
    task: str,
    rows: int,
    features: int = 100,
    pieces: Sequence[int] = (),
    **choices: Any,
) -> Recipe:
    """The recipe for a table.

    Parameters
    ----------
    preset : {"fast", "best"}
        Seconds, or an ensemble that takes up to a minute for 20,000 rows.
    task : {"regression", "classification"}
    rows : int
        To learn from.
    features : int
        Into which its columns are encoded, or its columns where that is not known yet: they and the
        rows say how many networks there is time for, and bins.
    pieces : sequence of int
        How many of the features are the piecewise-linear encodings of each column of numbers, with
        as many bins as there are by default; of very many pieces the bins are fewer.
    **choices
        Fields of `Recipe` that are to be otherwise.

    Raises
    ------
    ValueError, TypeError
        A name or a value is none of a recipe.
    """
    _check.choice("preset", preset, NETS)
    _check.choice("task", task, TASKS)
    rows = _check.whole("rows", rows, MIN_ROWS)
    features = _check.whole("features", features, 1)
    refuse_unknown(choices)
    is_classes = task == "classification"
    is_best = preset == "best"
    encoding = Encoding(target_means=TARGET_MEANS)
    if is_best and not is_classes and rows * features <= MOST_FINE_CELLS:
        bins = min(FINE_BINS, max(encoding.bins, rows // MIN_BIN_ROWS))
        encoding = replace(encoding, bins=bins)
    recipe = Recipe(
        task=task,
        **asdict(encoding),
        layers=(128, 128, 128),
        activation="silu",
        dropout=0.15 if is_classes else 0.0,
        linear=False if is_classes or rows > MOST_ROWS_TRIED else None,
        loss="sparse_categorical_crossentropy" if is_classes else "huber",
        learning_rate=1e-3 if is_classes else 3e-3,
        scale_rate=30.0 if is_classes else 10.0,
        batch_size=_batch_size(rows),
        epochs=max(1, min(MOST_EPOCHS, ROW_BUDGET // rows)),
        patience=12,
        nets=1,
        folds=min(rows // 2, max(FOLDS, rows // MOST_LEFT_OUT)),
        variety=("tanh",) if is_best and "activation" not in choices else (),
        linear_gain=0.1 if is_best else 0.0,
    )
    if "bins" not in choices:
        recipe = replace(recipe, bins=_bins(recipe.bins, pieces))
    recipe = _checked(replace(recipe, **choices))
    if "nets" not in choices:
        recipe = replace(recipe, nets=_nets(preset, recipe, rows, features))
    if recipe.linear is None and (recipe.nets == 1 or not recipe.folds):
        recipe = replace(recipe, linear=False)  # Too little says which kind is the better one.
    return recipe


def restored(content: Any) -> Recipe:
    """The recipe whose `config` this is; ValueError or TypeError for anything else."""
    names = {field.name for field in fields(Recipe)}
    if not isinstance(content, dict) or content.keys() != names:
        expected = f"the entries {', '.join(sorted(names))}"
        raise ValueError(_check.refusal("recipe", _check.shown(content), expected))
    _check.choice("recipe.task", content["task"], TASKS)
    return _checked(Recipe(**content))


def refuse_unknown(choices: Mapping[str, Any]) -> None:
    """Raises TypeError for a name that is no field of `Recipe`, with those that are."""
    known = {field.name: None for field in fields(Recipe) if field.name != "task"}
    for name in choices:
        try:
            _check.choice("choices", name, known)
        except ValueError as error:
            raise TypeError(str(error)) from None


def _nets(preset: str, recipe: Recipe, rows: int, features: int) -> int:
    """As many networks as are trained in the time that the preset allows."""
    least, most, budget = NETS[preset]
    widths = (features, *recipe.layers, 1)
    weights = sum(one * next_one for one, next_one in itertools.pairwise(widths))
    work = 6 * weights * rows * recipe.epochs  # Forward, backward and gradient, 2 for each weight.
    return int(min(most, max(least, budget // work)))


def _bins(usual: int, pieces: Sequence[int]) -> int:
    """The most bins with which columns that usually have these pieces have not too many in all."""
    most = min(usual, Encoding.bins)
    if sum(min(own, most) for own in pieces) <= MOST_PIECES:
        return usual
    for bins in range(most, LEAST_BINS, -1):
        if sum(min(own, bins) for own in pieces) <= MOST_PIECES:
            return bins
    return LEAST_BINS


def _batch_size(rows: int) -> int:
    """A power of 2 near the 24th part of the rows, within 16 and 256."""
    return min(256, max(16, 2 ** round(math.log2(max(rows, 1) / 24))))


def _checked(recipe: Recipe) -> Recipe:
    """The same, every choice checked and as its kind has it."""
    found: dict[str, Any] = {
        **asdict(Encoding.of(recipe.encoding)),
        "layers": tuple(
            _check.whole("layers", units, 1) for units in _several("layers", recipe.layers)
        ),
        "activation": _activation(recipe.activation, recipe.layers),
        "variety": tuple(
            activations.get(name, "variety").name for name in _several("variety", recipe.variety)
        ),
        "dropout": _check.number("dropout", recipe.dropout, minimum=0.0, below=1.0),
        "linear": None if recipe.linear is None else _check.flag("linear", recipe.linear),
        "linear_gain": _check.number("linear_gain", recipe.linear_gain, minimum=0.0, below=1.0),
        "learning_rate": _check.number("learning_rate", recipe.learning_rate, above=0.0),
        "scale_rate": _check.number("scale_rate", recipe.scale_rate, minimum=0.0),
        "warmup": _check.number("warmup", recipe.warmup, minimum=0.0, below=1.0),
        "batch_size": _check.whole("batch_size", recipe.batch_size, 1),
        "epochs": _check.whole("epochs", recipe.epochs, 1),
        "patience": _check.whole("patience", recipe.patience, 0),
        "nets": _check.whole("nets", recipe.nets, 1),
        "folds": _check.whole("folds", recipe.folds, 0),
        "quantiles": tuple(sorted(losses.Quantile(recipe.quantiles).quantiles)),
        "split": _split(recipe.split),
        "l2": _check.number("l2", recipe.l2, minimum=0.0),
        "class_weight": _class_weight(recipe.class_weight, recipe.task),
    }
    _check.choice("dtype", recipe.dtype, dict.fromkeys(_check.FLOATS))
    if recipe.optimizer is not None:
        found["optimizer"] = optimizers.get(recipe.optimizer).config()
    if recipe.log_target is not None:
        found["log_target"] = _check.flag("log_target", recipe.log_target)
    if found["folds"] == 1:
        raise ValueError(_check.refusal("folds", 1, "0, or at least 2"))
    if recipe.task == "regression":
        _check.choice("loss", recipe.loss, LOSSES)
    else:
        _check.choice("loss", recipe.loss, {"sparse_categorical_crossentropy": None})
        if recipe.log_target:
            expected = "None: a target of classes has no logarithm"
            raise ValueError(_check.refusal("log_target", True, expected))
    recipe = replace(recipe, **found)
    _refuse_lost_averages(recipe)
    loss = loss_of(recipe)
    told = [metrics.get(one, loss).config() for one in _several("metrics", recipe.metrics)]
    monitor = recipe.monitor
    if monitor != "loss":
        monitor = metrics.get(monitor, loss).config()
    return replace(recipe, metrics=tuple(told), monitor=monitor)


def loss_of(recipe: Recipe) -> Loss:
    """What the networks of a recipe make small."""
    if recipe.task == "classification":
        return losses.SparseCategoricalCrossentropy()
    return losses.Quantile(recipe.quantiles) if recipe.loss == "quantile" else LOSSES[recipe.loss]()


def _refuse_lost_averages(recipe: Recipe) -> None:
    """Raises ValueError for averages of the weights that going back to an epoch would undo."""
    settings = recipe.optimizer or {}
    if recipe.folds and settings.get("use_ema") and not settings.get("ema_overwrite_frequency"):
        got = "use_ema=true, whose averages going back to the best epoch would undo"
        expected = "ema_overwrite_frequency=STEPS in it, or no rows left out beside it"
        raise ValueError(_check.refusal("optimizer", got, expected))


def _activation(got: Any, layers: Any) -> str | tuple[str, ...]:
    if not isinstance(got, (list, tuple)):
        return activations.get(got).name
    if len(got) != len(layers):
        expected = f"one, or {len(layers)}: one for each of the layers"
        raise ValueError(_check.refusal("activation", f"{len(got)} of them", expected))
    names = tuple(activations.get(name).name for name in got)
    return names[0] if len(set(names)) == 1 else names


def _class_weight(got: Any, task: str) -> Any:
    if got is None:
        return None
    if task != "classification":
        raise ValueError(_check.refusal("class_weight", got, "None: the target is a number"))
    if isinstance(got, Mapping):
        return {
            _check.text("class_weight", name): _check.number(
                f"class_weight[{_check.shown(name)}]", weight, minimum=0.0
            )
            for name, weight in got.items()
        }
    if got != "balanced":
        expected = "'balanced', or weights by the names of classes"
        raise ValueError(_check.refusal("class_weight", _check.shown(got), expected))
    return got


def _several(argument: str, got: Any) -> tuple[Any, ...]:
    if not isinstance(got, (list, tuple)):
        raise TypeError(_check.refusal(argument, _check.kind_of(got), "a list of whole numbers"))
    return tuple(got)


def _split(got: Any) -> str:
    expected = "'random', 'time:COLUMN' or 'group:COLUMN'"
    if not isinstance(got, str):
        raise TypeError(_check.refusal("split", _check.kind_of(got), expected))
    kind, _, column = got.partition(":")
    if got != "random" and (kind not in ("time", "group") or not column):
        raise ValueError(_check.refusal("split", _check.shown(got), expected))
    return got
