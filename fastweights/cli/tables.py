"""Tables: how they are read and parted, and the recipe by which networks learn from them."""

from __future__ import annotations

import argparse
import math
import os
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

import fastweights as fw
from fastweights import _check, activations, saving
from fastweights._json import shown
from fastweights.cli import checkpoints
from fastweights.cli.columns import COLUMN_OPTIONS, add_kinds, column_of, kinds_told, weights_of
from fastweights.cli.fitting import Plan, Training, options_of_targets
from fastweights.cli.kinds import MIN_ROWS, Data, Kind
from fastweights.cli.layers_spec import parse_layers, refuse_huge_networks
from fastweights.cli.output import Output, add_option, count, naming_options, note, tell
from fastweights.cli.parting import add_parting, check_parting, folded, folds_of, parted
from fastweights.cli.progress import MemberLines, progress
from fastweights.cli.reading import READING, add_reading, read_table
from fastweights.cli.recipes import (
    LOSS_NAMES,
    NAMED,
    add_choices,
    check_choices,
    choices_of,
    quantiles_of,
    recipe_told,
    refuse_a_loss,
    refuse_other_tasks,
)
from fastweights.cli.report import folds_in_words, in_short
from fastweights.images.files import names_an_image
from fastweights.table import Preprocessor, Recipe, Table, TableModel, scores
from fastweights.table.encoded import Encoded
from fastweights.table.fitting import Rows, Trained
from fastweights.table.footers import without_sums
from fastweights.table.models import Prepared, learnable
from fastweights.table.networks import monitored
from fastweights.table.preprocessing import TARGETS
from fastweights.table.recipe import LOSSES, NETS
from fastweights.table.targets import ClassTarget, NumberTarget

#: What files of tables are called, packed ones too.
ENDINGS = (
    ".csv", ".tsv", ".txt", ".tab", ".dat", ".gz", ".bz2", ".xz", ".parquet", ".feather", ".arrow",
    ".xlsx",
)  # fmt: skip
#: Rows, and time, at most, that a picture's importances are found by.
_IMPORTANCE_ROWS, _IMPORTANCE_SECONDS = 2000, 10.0


@dataclass(frozen=True, kw_only=True)
class TableData(Data):
    """A table that networks learn from, and another whose rows they do not see.

    Of the rows of the first are features and truth; ``train`` and ``validation`` are those of the
    first network.
    """

    preprocessor: Preprocessor
    x: Encoded
    model: TableModel
    prepared: Prepared
    #: As it was read, with what rows count.
    learnt: Table
    unseen: Table

    def arrays(self) -> Sequence[np.ndarray | None]:
        rows = self.prepared.rows
        parts = [part for pair in rows.parts for part in pair]
        return (*rows.encoded.reads, rows.targets, rows.weights, *parts)

    def judge(self, model: Any) -> tuple[np.ndarray, np.ndarray]:
        truth, known = self.preprocessor.truth(self.unseen)
        table = self.unseen if known.all() else self.unseen.take(known)
        is_number = isinstance(self.preprocessor.target, NumberTarget)
        fitted = self.model
        return truth[known], fitted.predict(table) if is_number else fitted.predict_proba(table)

    def score(self, truth: np.ndarray, predictions: np.ndarray) -> dict[str, Any]:
        if quantiles := self.model.recipe.quantiles_asked:
            return scores.quantile_score(truth, predictions, quantiles)
        return super().score(truth, predictions)

    def recipe_of(self, args: argparse.Namespace) -> Recipe:
        """The recipe that the arguments say, for this table."""
        target = self.preprocessor.target
        features = self.x.shape[1]
        recipe = recipe_told(
            args, target, self.prepared.table_rows, features, len(self.train),
            bins=self.prepared.recipe.bins,
        )  # fmt: skip
        refuse_huge_networks([features, *recipe.layers, target.outputs], args.dtype)
        return recipe

    def importance(self, model: Any) -> Any:
        """By the unseen rows, or those of training where there are none."""
        from fastweights.cli.plot import importance_of

        source = self.unseen if len(self.unseen) else self.learnt
        truth, known = self.preprocessor.truth(source)
        rows = np.flatnonzero(known)
        rows = rows[:: math.ceil(len(rows) / _IMPORTANCE_ROWS) or 1]
        x = self.preprocessor.transform(source.take(rows))
        y = self.preprocessor.target.encode(truth[rows])
        first = model[0] if isinstance(model, fw.Ensemble) else model

        def loss_of(features: np.ndarray) -> float:
            found = first.evaluate(features, y, verbose=0, return_dict=True)
            assert isinstance(found, dict)
            return float(found["loss"])

        groups = self.preprocessor.groups
        return importance_of(groups, x, loss_of, self.model.seed, _IMPORTANCE_SECONDS)

    @property
    def networks_trained(self) -> int:
        return len(self.prepared.rows.parts) * len(self.prepared.recipe.kinds)

    def figures(self) -> dict[str, Any]:
        figures = super().figures()
        networks = len(self.prepared.rows.parts)
        return {**figures, "networks": networks, "rows": len(self.x) + len(self.unseen)}


class Tables(Kind):
    """Rows of columns, one of which is to be predicted."""

    name, row, key = "a table", "row", saving.TABLE
    own_options = (
        "preset", "task", "log_target", "layers", "activation", "loss", "quantiles", *NAMED,
        "sample_weight", "test", "split", "cv", *COLUMN_OPTIONS, *READING,
    )  # fmt: skip
    defaults: ClassVar = {"preset": "fast", "split": "random"}
    resumes_ensembles = True

    def is_meant(self, args: argparse.Namespace) -> bool:
        return True

    def is_called(self, path: str) -> bool:
        return path.lower().endswith(ENDINGS)

    def settle(self, args: argparse.Namespace, others: Sequence[Kind]) -> None:
        super().settle(args, others)
        if getattr(args, "test_fraction", 0) is None:
            args.test_fraction = 0.0 if args.test or args.cv else 0.2

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        group = parser.add_argument_group("tables")
        add_option(
            group,
            "--preset",
            "fast takes seconds, best up to a minute for 20,000 rows, with more networks; all that "
            "is not said otherwise is by the preset (default: fast)",
            choices=NETS,
        )
        add_option(
            group, "--task", "what the target is; found from its cells unless given",
            choices=TARGETS,
        )  # fmt: skip
        group.add_argument(
            "--log-target",
            action=argparse.BooleanOptionalAction,
            default=None,
            help="learn the logarithm of the target, which must be above 0; found out unless said",
        )
        add_option(
            group,
            "--layers",
            "hidden layers, each UNITS or UNITS:ACTIVATION (default: by the preset)",
            metavar="SPEC",
        )
        add_option(
            group, "--activation", "of layers that name none (default: by the preset)",
            metavar="NAME",
        )  # fmt: skip
        add_option(
            group,
            "--loss",
            f"what a regression makes small: {', '.join(LOSSES)} (default: by the preset); classes "
            "always have the crossentropy",
            metavar="NAME",
        )
        add_option(
            group,
            "--quantiles",
            "of the loss quantile, each of which is predicted (default: 0.1,0.5,0.9)",
            metavar="SHARE,...",
        )
        add_choices(group)
        add_kinds(group)
        add_parting(group)
        add_reading(parser.add_argument_group("reading tables"))

    def check_options(self, args: argparse.Namespace) -> None:
        is_image = names_an_image(args.data)
        if is_image or (args.target is None and args.data != "-"):
            os.stat(args.data)
        if is_image:
            got, expected = f"the image {args.data}", "a folder of images, with a subfolder a class"
            raise ValueError(_check.refusal("DATA", got, expected))
        if args.target is None:
            raise ValueError("the following arguments are required: --target")
        if args.activation is not None:
            with naming_options("activation"):
                activations.get(args.activation)
        if args.layers is not None:
            hidden = parse_layers(args.layers, args.activation)
            refuse_huge_networks([1, *(units for units, _ in hidden)], args.dtype)
        if args.loss is not None:
            if args.task == "classification":
                refuse_a_loss(args)
            _check.choice("--loss", args.loss.lower(), LOSS_NAMES)
        quantiles_of(args)
        check_choices(args)
        folds_of(args)
        check_parting(args)
        kinds_told(args)

    # ---- the table -------------------------------------------------------------------------------

    def prepare(self, args: argparse.Namespace, output: Output) -> TableData:
        table = read_table(args.data, args)
        size = f"{count(len(table), 'row')}, {count(len(table.columns), 'column')}"
        output.say(f"{args.data}: {size}")
        column_of(table, "--target", args.target)
        with naming_options("target"):
            given = learnable(table, args.target, args.task)
        for remark in given.remarks:
            output.say(remark)
        if args.task is not None:
            output.say(f"target {shown(args.target)}: {args.task}, as --task says")
        table = given.table
        _refuse_few(table, args.target)
        refuse_other_tasks(args, given.task)
        kinds = kinds_told(args, table)
        target = None
        if given.task == "classification":
            with naming_options("target"):
                target = ClassTarget.fit(args.target, table, np.ones(len(table), bool))
        learnt, unseen = self._parted(args, table, target, output)
        table, weights = weights_of(args, learnt)
        model = TableModel(
            args.target,
            preset=args.preset,
            task=given.task,
            seed=args.seed,
            kinds=kinds,
            **choices_of(args, given.task, len(table), target),
        )
        with naming_options("target", "log_target", "class_weight", "sample_weight", "split"):
            prepared = model.prepare(table, sample_weight=weights)
        if args.sample_weight is not None:
            prepared = _without_weights(prepared, args.sample_weight)
            _refuse_weightless(prepared.rows)
        for remark in prepared.remarks:
            if remark not in given.remarks:
                output.say(remark)
        preprocessor = prepared.preprocessor
        if len(unseen):
            for remark in preprocessor.remarks(unseen):
                output.say(f"unseen rows: {remark}")
        data = self._data(args, model, prepared, learnt, unseen)
        data = replace(data, prepared=prepared.otherwise(data.recipe_of(args)))
        output.say(_columns_in_words(data))
        output.say(_recipe_in_words(data))
        output.say(_parts_in_words(data))
        return data

    def _parted(
        self,
        args: argparse.Namespace,
        table: Table,
        target: ClassTarget | None,
        output: Output,
    ) -> tuple[Table, Table]:
        """The rows to learn from, and those that are not seen."""
        if args.test is None:
            return parted(args, table, target)
        unseen = read_table(args.test, args)
        column_of(unseen, "--test: --target", args.target)
        task = "regression" if target is None else "classification"
        try:
            found = learnable(unseen, args.target, task)
        except ValueError as error:
            raise ValueError(f"--test: {args.test}: {error}") from None
        for remark in found.remarks:
            output.say(f"{args.test}: {remark}")
        if not len(found.table):
            got = f"no row of {args.test} with a {shown(args.target)}"
            raise ValueError(_check.refusal("--test", got, "some to be tested on"))
        return table, found.table

    def _data(
        self,
        args: argparse.Namespace,
        model: TableModel,
        prepared: Prepared,
        learnt: Table,
        unseen: Table,
    ) -> TableData:
        rows = prepared.rows
        train, validation = rows.parts[0]
        preprocessor = prepared.preprocessor
        about = {
            "preset": args.preset,
            "features": rows.encoded.shape[1],
            "dropped_columns": preprocessor.dropped,
        }
        return TableData(
            preprocessor=preprocessor,
            x=rows.encoded,
            truth=preprocessor.truth(learnt)[0],
            train=train,
            validation=validation,
            test=np.arange(len(unseen)),
            about=about,
            weights=rows.weights,
            model=model,
            prepared=prepared,
            learnt=learnt,
            unseen=unseen,
        )

    # ---- the recipe ------------------------------------------------------------------------------

    def build(self, args: argparse.Namespace, data: Data) -> tuple[list[fw.Model], Plan]:
        assert isinstance(data, TableData)
        prepared = data.prepared.otherwise(data.recipe_of(args))
        recipe, rows = prepared.recipe, prepared.rows
        model = replace(prepared, rows=replace(rows, parts=rows.parts[:1])).networks(args.seed)[0]
        watched = monitored(recipe, model) if len(data.validation) else None
        weight = rows.class_weight
        plan = Plan(data, recipe.batch_size, recipe.epochs, watched, recipe.patience, weight)
        return [model], plan

    # ---- the training ----------------------------------------------------------------------------

    def rehearse(self, args: argparse.Namespace, data: Data, output: Output) -> dict[str, Any]:
        """The scores of ``--cv``: the mean over folds, and the standard deviation."""
        assert isinstance(data, TableData)
        if args.cv is None:
            return {}
        target = data.preprocessor.target
        classes = target if isinstance(target, ClassTarget) else None
        found = []
        for rest, held in folded(args, data.learnt, classes):
            table, weights = weights_of(args, rest)
            model = TableModel(
                args.target,
                preset=args.preset,
                task=target.task,
                seed=args.seed,
                kinds=data.model.kinds,
                **data.model.choices,
            )
            prepared = model.prepare(table, sample_weight=weights)
            own = replace(data, prepared=prepared, train=prepared.rows.parts[0][0])
            model.train(prepared.otherwise(own.recipe_of(args)))
            found.append(model.score(held))
            if not args.quiet:
                tell(f"fold {len(found)}/{args.cv}: {in_short(found[-1])}", sys.stderr)
        names = [name for name, one in found[0].items() if isinstance(one, float)]
        scores_of = {name: [one[name] for one in found if one[name] is not None] for name in names}
        means = {name: float(np.mean(values)) for name, values in scores_of.items()}
        apart = {name: float(np.std(values)) for name, values in scores_of.items()}
        output.say(f"\n{folds_in_words(args.cv, means, apart)}\n")
        return {"cv": {"folds": args.cv, "mean": means, "deviation": apart}}

    def learn(
        self, args: argparse.Namespace, data: Data, options: dict[str, Any]
    ) -> tuple[Any, Training]:
        assert isinstance(data, TableData)
        prepared = data.prepared.otherwise(data.recipe_of(args))
        nets = data.networks_trained
        belongs_to = checkpoints.identity(options, data)
        paths = checkpoints.paths_of(args.out, args.checkpoint, nets)
        if args.resume:
            checkpoints.refuse_others(paths, belongs_to)
        else:
            for path in paths:
                checkpoints.refuse_to_lose(path)
        lock = threading.Lock()

        def listening(number: int) -> list[fw.callbacks.Callback]:
            seen = progress() if nets == 1 else MemberLines(number, nets, lock)
            saves = checkpoints.Checkpoint(paths[number], belongs_to, goes_on=args.resume)
            return [saves] if args.quiet else [seen, saves]

        spelt = options_of_targets(args)
        with naming_options("batch_size", "optimizer", "loss", monitor="--early-stopping", y=spelt):
            data.model.train(prepared, callbacks=listening, keep_interrupted=True)
        model, report = data.model.model, data.model.report
        if report["interrupted"]:
            note("interrupted: going on with what was learnt so far (Ctrl-C again ends at once)")
        trained = [
            Trained(history, best - 1)
            for history, best in zip(data.model.history, report["best_epochs"], strict=True)
        ]
        first = model[0] if isinstance(model, fw.Ensemble) else model
        said = [one for one in data.model.remarks if one not in prepared.remarks]
        return model, Training.of(
            trained, report["seconds"], first.count_params(), report["interrupted"], said
        )

    def save(self, path: str, model: Any, data: Data, history: dict[str, Any]) -> None:
        assert isinstance(data, TableData)
        data.model.save(path, about={"preset": data.model.preset, **history})

    # ---- using a model ---------------------------------------------------------------------------

    def restored(self, text: str, file_size: int) -> Preprocessor:
        return Preprocessor.from_json(text, file_size)

    def read(self, args: argparse.Namespace, preprocessor: Preprocessor) -> Table:
        return read_table(args.data, args)

    def read_with_truth(self, args: argparse.Namespace, preprocessor: Preprocessor) -> Table:
        if args.target not in (None, preprocessor.target.name):
            got, expected = shown(args.target), f"{shown(preprocessor.target.name)} of the model"
            raise ValueError(_check.refusal("--target", got, expected))
        table, kept = without_sums(read_table(args.data, args))
        if not kept.all():
            note(table.remarks[-1])
        return table


def _refuse_few(table: Table, target: str) -> None:
    if not len(table):
        got = f"no cell in column {shown(target)} that says what it is"
        raise ValueError(_check.refusal("--target", got, f"at least {MIN_ROWS}"))
    if len(table) < MIN_ROWS:
        expected = f"at least {MIN_ROWS} to learn from and be tested on"
        raise ValueError(
            f"{table.source}: got {count(len(table), 'row')} with a target, expected {expected}"
        )


def _without_weights(prepared: Prepared, column: str) -> Prepared:
    """What was prepared, which tells that a column says what rows count."""
    known = prepared.preprocessor
    dropped = {**known.dropped, column: "it says what rows count"}
    return replace(prepared, preprocessor=replace(known, dropped=dropped))


def _refuse_weightless(rows: Rows) -> None:
    """Raises ValueError where no row of a part counts."""
    assert rows.weights is not None
    for part in (part for pair in rows.parts for part in pair):
        if len(part) and not rows.weights[part].any():
            got = "0 in all rows to train on, or to validate on"
            raise ValueError(_check.refusal("--sample-weight", got, "some above 0"))


# ---- words ---------------------------------------------------------------------------------------


def _columns_in_words(data: TableData) -> str:
    kinds = data.preprocessor.kinds
    counts = Counter(own[0] for own in kinds.values())
    words = [
        f"{count(counts[kind], 'column')} of {plural}"
        for kind, plural in _PLURALS.items()
        if counts[kind]
    ]
    gaps = sum(getattr(column, "has_missing", False) for column in data.preprocessor.columns)
    lacking = f", {gaps:,} with missing cells" if gaps else ""
    return f"{', '.join(words)}{lacking}: {count(data.x.shape[1], 'feature')}"


_PLURALS = {
    "number": "numbers",
    "category": "categories",
    "target_mean": "rare categories",
    "date": "dates",
    "text": "free text",
}


def _recipe_in_words(data: TableData) -> str:
    """The networks and how they are trained, in a line."""
    recipe = data.prepared.recipe
    in_turn = {recipe.of(number).activation: None for number in range(recipe.nets)}
    names = " and ".join(name for name in in_turn if isinstance(name, str))
    layers = ", ".join(map(str, recipe.layers))
    networks = count(recipe.nets, "network")
    line = {None: ", with and without a linear path", True: ", with a linear path", False: ""}
    optimizer = "Adam" if recipe.optimizer is None else recipe.optimizer["name"]
    target = data.preprocessor.target
    log = ", of its logarithm" if isinstance(target, NumberTarget) and target.log else ""
    return (
        f"preset {data.model.preset}: {networks} of layers {layers}"
        f"{f' ({names})' if names else ''}{line[recipe.linear]}, {recipe.loss}{log}, {optimizer}, "
        f"batches of {recipe.batch_size:,}, at most {count(recipe.epochs, 'epoch')}"
    )


def _parts_in_words(data: TableData) -> str:
    """How many rows serve for what."""
    rows, recipe = len(data.x), data.prepared.recipe
    held = "none of which says when to stop"
    if len(data.validation):
        each = "each network leaves out another" if recipe.nets > 1 else "it leaves out"
        each = "every network leaves out the last" if recipe.split.startswith("time") else each
        held = f"of which {each} {len(data.validation):,}, to say when to stop"
    unseen = f"{len(data.unseen):,} unseen" if len(data.unseen) else "none unseen"
    return f"{count(rows, 'row')} to train on, {held}; {unseen}"
