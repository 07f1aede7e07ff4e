"""The report of ``train`` and ``evaluate``, for people."""

from __future__ import annotations

from typing import Any

from fastweights._json import shown
from fastweights.cli.output import text_table
from fastweights.table.targets import ClassTarget, NumberTarget

#: A larger confusion table would not fit on a screen; ``--json`` has it all.
MAX_CLASSES_SHOWN = 20


#: What a report tells of classes, and what its columns are called.
_OF_CLASSES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced",
    "f1": "F1",
    "auc": "AUC",
    "cross_entropy": "cross-entropy",
}
_OF_NUMBERS = {"mae": "MAE", "rmse": "RMSE", "r2": "R2"}
_OF_QUANTILES = {"pinball": "pinball loss"}


def report(target: NumberTarget | ClassTarget, figures: dict[str, Any], rows: str) -> str:
    """What `score` found about `rows`, the network beside the trivial prediction."""
    if "pinball" in figures:
        return _quantiles_in_words(target, figures, rows)
    if isinstance(target, NumberTarget):
        trivial = f"always the training mean, {number(target.baseline)}"
        return _beside(target, figures, rows, _OF_NUMBERS, trivial)
    majority = target.classes[target.shares.index(max(target.shares))]
    trivial = f"always the commonest class, {shown(majority)}"
    scores = _beside(target, figures, rows, _OF_CLASSES, trivial)
    if target.outputs > MAX_CLASSES_SHOWN:
        return scores
    return f"{scores}\n\n{_confusion(target, figures)}"


def in_short(figures: dict[str, Any]) -> str:
    """The figures of a report in a line."""
    return ", ".join(f"{words} {figure_in_words(name, figures[name])}"
                     for name, words in _told(figures).items())  # fmt: skip


def folds_in_words(folds: int, means: dict[str, float], apart: dict[str, float]) -> str:
    """The mean figures over folds, how far these are apart, and those of the trivial prediction."""
    names = _told(means)
    return text_table(
        [
            [f"{folds} folds", *names.values()],
            ["these networks", *(figure_in_words(name, means[name]) for name in names)],
            ["deviation", *(figure_in_words(name, apart[name]) for name in names)],
            ["trivial", *(figure_in_words(name, means[f"baseline_{name}"]) for name in names)],
        ]
    )


def _told(figures: dict[str, Any]) -> dict[str, str]:
    """The figures that a report tells, with what they are called."""
    known = {**_OF_NUMBERS, **_OF_CLASSES, **_OF_QUANTILES}
    return {name: words for name, words in known.items() if name in figures}


def _beside(
    target: NumberTarget | ClassTarget,
    figures: dict[str, Any],
    rows: str,
    names: dict[str, str],
    trivial: str,
) -> str:
    def line(what: str, prefix: str) -> list[str]:
        return [what, *(figure_in_words(name, figures[prefix + name]) for name in names)]

    header = [f"{rows}, {named(target)}", *names.values()]
    return text_table([header, line("this network", ""), line(trivial, "baseline_")])


def named(target: NumberTarget | ClassTarget) -> str:
    """The target's name, with its unit where it has one."""
    unit = target.unit if isinstance(target, NumberTarget) else ""
    return f"{target.name} in {unit}" if unit else target.name


def _quantiles_in_words(
    target: NumberTarget | ClassTarget, figures: dict[str, Any], rows: str
) -> str:
    scores = _beside(target, figures, rows, _OF_QUANTILES, "the quantiles of these rows")
    below = ", ".join(f"{share:.1%}" for share in figures["shares_below"])
    return f"{scores}\n\nrows at or below each quantile: {below}"


def figure_in_words(name: str, figure: float | None) -> str:
    """A figure of `score` for people."""
    if figure is None:
        return "-"
    if name in ("accuracy", "balanced_accuracy"):
        return f"{figure:.1%}"
    if name == "cross_entropy":
        return f"{figure:.4f}"
    if name in ("r2", "f1", "auc"):
        return f"{figure:.3f}" if figure > -100 else number(figure)
    return number(figure)


def _confusion(target: ClassTarget, figures: dict[str, Any]) -> str:
    names = [name if len(name) <= 16 else f"{name[:15]}~" for name in target.classes]
    lines = [
        [name, *map(str, counts), f"{counts[place] / sum(counts):.1%}" if sum(counts) else "-"]
        for place, (name, counts) in enumerate(zip(names, figures["confusion"], strict=True))
    ]
    return text_table([["truth \\ predicted", *names, "right"], *lines])


def number(value: float) -> str:
    """A number for people: four digits, or whole with its thousands apart."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.4g}"
