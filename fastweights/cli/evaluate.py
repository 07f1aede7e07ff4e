"""Report how well a model predicts the rows of a CSV table, beside the trivial prediction."""

from __future__ import annotations

import argparse

from fastweights._json import shown
from fastweights.cli.modelfile import load_model, read_table
from fastweights.cli.output import Output, add_json, count, note
from fastweights.cli.report import report
from fastweights.table import score


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``fastweights evaluate``."""
    parser.add_argument("model", metavar="MODEL", help="a file that 'fastweights train' wrote")
    parser.add_argument("table", metavar="TEST.csv", help="rows with the target in them")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Runs ``fastweights evaluate``."""
    output = Output(args)
    model, preprocessor = load_model(args.model, args.table)
    target = preprocessor.target
    table = read_table(args.table)
    truth, known = preprocessor.truth(table)
    if not known.any():
        raise ValueError(f"{args.table}: no row has a {shown(target.name)} that the model knows")
    if not known.all():
        note(f"left out for want of a known {shown(target.name)}: {count((~known).sum(), 'row')}")
        table, truth = table.take(known), truth[known]
    x = preprocessor.transform(table)
    for remark in preprocessor.remarks(table):
        note(remark)
    figures = score(target, truth, preprocessor.inverse_transform(model.predict(x)))
    output.say(report(target, figures, count(len(truth), "row")))
    output.result({"task": target.task, "target": target.name, "rows": len(truth), **figures})
    output.finish()
    return 0
