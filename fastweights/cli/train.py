"""Train a network on a CSV table or on images by class, report on what it has not seen, and write
the model to a file.

Ctrl-C ends the training; the best epoch so far is reported and written all the same.
"""

from __future__ import annotations

import argparse
from typing import Any

import fastweights as fw
from fastweights.cli import INTERRUPTED, checkpoints, judging, runs
from fastweights.cli.fitting import Training
from fastweights.cli.kinds import Data, Kind
from fastweights.cli.modelfile import kind_meant
from fastweights.cli.options import add_training, check_options, refuse_idle_options
from fastweights.cli.output import Output, add_option, count, note
from fastweights.cli.report import report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``fastweights train``."""
    results = add_training(parser)
    add_option(results, "--plot", "draw learning curves and predictions; needs matplotlib",
               metavar="FILE.png")  # fmt: skip
    results.add_argument(
        "--resume",
        action="store_true",
        help="go on with a training that was interrupted or killed, from its checkpoint: with the "
        "same options it ends with the bits of one that was not",
    )
    add_option(
        results,
        "--checkpoint",
        "how far the training has come, written every second or so and removed in the end "
        "(default: beside the model, model.checkpoint.safetensors)",
        metavar="FILE",
    )


def run(args: argparse.Namespace) -> int:
    """Runs ``fastweights train``."""
    output = Output(args)
    told = argparse.Namespace(**vars(args))
    kind = kind_meant(args)
    check_options(args, kind)
    runs.refuse_to_overwrite(told)
    if args.threads is not None:
        fw.set_num_threads(args.threads)
    data = kind.prepare(args, output)
    refuse_idle_options(told, data, kind)
    return learn(args, told, kind, data, output, {})


def learn(
    args: argparse.Namespace,
    told: argparse.Namespace,
    kind: Kind,
    data: Data,
    output: Output,
    about: dict[str, Any],
) -> int:
    """Trains, writes and reports, what ``--json`` tells with `about` before it; the exit code."""
    options = runs.learnt_from(told)
    rehearsed = kind.rehearse(args, data, output)
    model, training = kind.learn(args, data, options)
    target = data.preprocessor.target
    truth, predictions, figures, asked = None, None, {}, {}
    if len(data.test):
        truth, predictions = data.judge(model)
        figures = data.score(truth, predictions)
        asked = judging.judged(args.metrics, target, truth, predictions)
    kind.save(args.out, model, data, _history(options, data, training, {**rehearsed, **figures}))
    path = runs.write(told)
    paths = checkpoints.paths_of(args.out, args.checkpoint, data.networks_trained)
    if not training.interrupted:
        for checkpoint in paths:
            checkpoints.remove(checkpoint)
    for remark in training.remarks:
        output.say(remark)
    output.say(training.summary())
    if truth is None:
        output.say(f"\nno {kind.row} was held out: there is nothing to say how good it is by")
    else:
        words = report(target, figures, count(len(truth), f"unseen {kind.row}"))
        output.say(f"\n{words}{judging.in_words(asked)}")
    output.say(f"\nmodel: {args.out}")
    output.say(f"this run: {path}")
    if training.interrupted and any(map(checkpoints.is_one, paths)):
        output.say(f"checkpoint: {paths[0]}, which --resume goes on from")
    if args.plot:
        from fastweights.cli.plot import draw

        importance = data.importance(model)
        said = draw(
            args.plot, target, training.histories, training.best_epochs, truth, predictions,
            figures, importance,
        )  # fmt: skip
        output.say(f"picture: {args.plot}")
        for words in said:
            note(words)
    output.result(
        {
            **about,
            **rehearsed,
            **data.figures(),
            **training.figures(),
            **figures,
            **({"metrics": asked} if asked else {}),
            "seed": args.seed,
            "model": args.out,
            "run": path,
            "plot": args.plot,
        }
    )
    output.finish()
    return INTERRUPTED if training.interrupted else 0


def _history(
    options: dict[str, Any], data: Data, training: Training, figures: dict[str, Any]
) -> dict[str, Any]:
    """What ``info`` tells of how a model came to be; the same for the same training."""
    fitted = {k: v for k, v in training.figures().items() if k not in ("seconds", "interrupted")}
    found = data.figures()
    rows = {name: found[f"{name}_rows"] for name in ("train", "validation", "test")}
    unseen = {name: value for name, value in figures.items() if name != "confusion"}
    return {"options": options, "rows": rows, "fit": fitted, "unseen": unseen}
