"""Report how well a model predicts rows of a table, or images, beside the trivial prediction."""

from __future__ import annotations

import argparse

from fastweights._json import shown
from fastweights.cli import judging
from fastweights.cli.images import add_names
from fastweights.cli.modelfile import model_meant
from fastweights.cli.output import Output, add_json, count, note
from fastweights.cli.reading import add_reading
from fastweights.cli.report import report
from fastweights.table import score
from fastweights.table.scores import quantile_score


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``fastweights evaluate``."""
    parser.add_argument("model", metavar="MODEL", help="a file that 'fastweights train' wrote")
    parser.add_argument(
        "data",
        metavar="DATA",
        help="rows with the target in them: a table, a folder of images with a subfolder for "
        "each class, or an .npz file of images and labels; of those that were split, the test's",
    )
    add_names(parser)
    parser.add_argument(
        "--target",
        metavar="NAME",
        help="the array of labels in an .npz file, or those of all parts (fine for fine_train and "
        "fine_test), which are found unless told",
    )
    add_reading(parser)
    judging.add_metrics(parser, "what is told besides")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Runs ``fastweights evaluate``."""
    output = Output(args)
    loaded = model_meant(args)
    kind, preprocessor = loaded.kind, loaded.preprocessor
    target = preprocessor.target
    source = kind.read_with_truth(args, preprocessor)
    truth, known = preprocessor.truth(source)
    if not known.any():
        raise ValueError(
            f"{args.data}: no {kind.row} has a {shown(target.name)} that the model knows"
        )
    if not known.all():
        for remark in preprocessor.left_out(source, known):
            note(remark)
        source, truth = source.take(known), truth[known]
    predictions = loaded.predict(source)
    for remark in preprocessor.remarks(source):
        note(remark)
    if loaded.quantiles:
        figures = quantile_score(truth, predictions, loaded.quantiles)
    else:
        figures = score(target, truth, predictions)
    asked = judging.judged(args.metrics, target, truth, predictions)
    words = report(target, figures, count(len(truth), kind.row))
    output.say(f"{words}{judging.in_words(asked)}")
    counts = {"rows": len(truth), "rows_left_out": int((~known).sum())}
    told = {"task": target.task, "target": target.name, **counts, **figures}
    output.result({**told, **({"metrics": asked} if asked else {})})
    output.finish()
    return 0
