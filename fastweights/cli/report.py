"""The report of ``train`` and ``evaluate``, for people."""

from __future__ import annotations

from typing import Any

from fastweights._json import shown
from fastweights.cli.output import text_table
from fastweights.table.targets import ClassTarget, NumberTarget

#: A larger confusion table would not fit on a screen; ``--json`` has it all.
MAX_CLASSES_SHOWN = 20


def report(target: NumberTarget | ClassTarget, figures: dict[str, Any], rows: str) -> str:
    """What `score` found about `rows`, the network beside the trivial prediction."""
    if isinstance(target, NumberTarget):
        return _errors_in_words(target, figures, rows)
    return _hits_in_words(target, figures, rows)


def _errors_in_words(target: NumberTarget, figures: dict[str, Any], rows: str) -> str:
    def line(name: str, prefix: str) -> list[str]:
        mae, rmse = figures[prefix + "mae"], figures[prefix + "rmse"]
        return [name, number(mae), number(rmse), _share(figures[prefix + "r2"])]

    header = [f"{rows}, {target.name}", "MAE", "RMSE", "R2"]
    baseline = f"always the training mean, {number(target.baseline)}"
    return text_table([header, line("this network", ""), line(baseline, "baseline_")])


def _hits_in_words(target: ClassTarget, figures: dict[str, Any], rows: str) -> str:
    def line(name: str, prefix: str) -> list[str]:
        accuracy, entropy = figures[prefix + "accuracy"], figures[prefix + "cross_entropy"]
        return [name, f"{accuracy:.1%}", f"{entropy:.4f}"]

    header = [f"{rows}, {target.name}", "accuracy", "cross-entropy"]
    majority = target.classes[target.shares.index(max(target.shares))]
    baseline = f"always the commonest class, {shown(majority)}"
    scores = text_table([header, line("this network", ""), line(baseline, "baseline_")])
    return (
        scores
        if target.outputs > MAX_CLASSES_SHOWN
        else f"{scores}\n\n{_confusion(target, figures)}"
    )


def _confusion(target: ClassTarget, figures: dict[str, Any]) -> str:
    names = [name if len(name) <= 16 else f"{name[:15]}~" for name in target.classes]
    lines = [
        [name, *map(str, counts), f"{counts[place] / sum(counts):.1%}" if sum(counts) else "-"]
        for place, (name, counts) in enumerate(zip(names, figures["confusion"], strict=True))
    ]
    return text_table([["truth \\ predicted", *names, "right"], *lines])


def _share(r2: float | None) -> str:
    if r2 is None:
        return "-"
    return f"{r2:.3f}" if r2 > -100 else number(r2)


def number(value: float) -> str:
    """A number for people: four digits, or whole with its thousands apart."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.4g}"
