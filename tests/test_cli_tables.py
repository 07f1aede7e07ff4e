"""Tables on the command line: the recipe, what columns are, which rows serve for what, reading."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from cli_running import refused, run_json, write_csv

from fastweights import cli
from fastweights.cli import checkpoints
from fastweights.cli import train as command
from fastweights.cli.checkpoints import Checkpoint
from fastweights.cli.modelfile import load_model
from fastweights.table import Recipe, Table, TableModel, read, split

ROWS = 240


def told(*options):
    """Few epochs of a small network."""
    alone = () if "--ensemble" in options else ("--ensemble", "1")
    return ("--epochs", "2", "--layers", "8", *alone, *options)


@pytest.fixture(scope="module")
def columns():
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, ROWS)).round(4)
    return {
        "number": np.arange(ROWS) + 1000,
        "a": a,
        "b": b,
        "code": rng.integers(1, 6, ROWS),
        "day": [f"2024-{1 + row % 12:02d}-{1 + row % 28:02d}" for row in range(ROWS)],
        "shop": [f"shop {row % 8}" for row in range(ROWS)],
        "y": (3 * a + b**2 + rng.normal(0, 0.1, ROWS)).round(4),
        "kind": np.where(a + rng.normal(size=ROWS) > 1.5, "rare", "usual"),
    }


@pytest.fixture(scope="module")
def table(columns, tmp_path_factory):
    return write_csv(tmp_path_factory.mktemp("table") / "t.csv", columns)


@pytest.fixture
def train(table, tmp_path, capsys):
    """Trains with options; the figures of ``--json``."""

    def trained(*options, target="y", data=table):
        out = str(tmp_path / "m.safetensors")
        return run_json(capsys, "train", data, "--target", target, "--out", out, *told(*options))

    return trained


def loaded(figures):
    return load_model(figures["model"])


# ---- the recipe ----------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["y", "kind"])
@pytest.mark.parametrize(
    ("options", "choices"),
    [
        ((), {}),
        (("--preset", "best", "--ensemble", "2"), {"preset": "best", "nets": 2}),
        (
            ("--layers", "8:tanh,4", "--dropout", "0.2", "--batch-size", "32", "--seed", "5"),
            {"layers": (8, 4), "activation": ("tanh", "silu"), "dropout": 0.2, "batch_size": 32,
             "seed": 5},
        ),
        (
            ("--l2", "0.01", "--validation-fraction", "0.25", "--learning-rate", "0.01"),
            {"l2": 0.01, "folds": 4},
        ),
    ],
)  # fmt: skip
def test_it_is_the_table_model_of_the_same_choices(options, choices, target, train, table):
    if "--learning-rate" in options:
        options = options[:-2]
    figures = train(*options, target=target)
    task = "regression" if target == "y" else "classification"
    source = read(table)
    labels = None if target == "y" else (source["kind"].codes > 0).astype(int)
    rest, unseen = split(ROWS, 0.2, choices.get("seed", 0), labels=labels)
    wanted = {"epochs": 2, "layers": (8,), "nets": 1, **choices}
    model = TableModel(target, task=task, **wanted).fit(source.take(rest))
    own = loaded(figures)
    assert own.recipe == model.recipe
    for one, other in zip(_networks(own.model), _networks(model.model), strict=True):
        assert one.parameters.tobytes() == other.parameters.tobytes()
    name = "mae" if target == "y" else "auc"
    assert figures[name] == model.score(source.take(unseen))[name]
    again = TableModel.load(figures["model"])
    np.testing.assert_array_equal(again.predict(source), model.predict(source))


def _networks(model):
    return list(model) if hasattr(model, "models") else [model]


def test_presets_differ_by_their_networks(train):
    fast = train("--ensemble", "2", "--epochs", "1")
    assert (fast["preset"], fast["networks"]) == ("fast", 2)


def test_without_ensemble_the_preset_says_how_many(table, tmp_path, capsys):
    argv = ["train", table, "--target", "y", "--out", str(tmp_path / "m"), "--epochs", "1"]
    found = [run_json(capsys, *argv, "--layers", "4", "--preset", p) for p in ("fast", "best")]
    assert [one["networks"] for one in found] == [8, 16]


def test_choices_of_a_recipe_have_options_of_their_names(train):
    figures = train(
        "--linear", "--variety", "tanh, relu", "--scale-rate", "2", "--warmup", "0.2",
        "--bins", "5", "--min-category-rows", "7",
        "--max-categories", "3", "--category-numbers", "0", "--target-means", "4",
    )  # fmt: skip
    own = loaded(figures)
    chosen = {
        "linear": True, "variety": ("tanh", "relu"), "scale_rate": 2.0, "warmup": 0.2,
        "bins": 5, "min_category_rows": 7,
        "max_categories": 3, "category_numbers": 0, "target_means": 4,
    }  # fmt: skip
    recipe = own.recipe.config()
    assert {name: recipe[name] for name in chosen} == chosen
    assert own.preprocessor.kinds["shop"] == ("category", "target_mean")
    assert own.model.optimizer.learning_rate_factors == {"feature_scale/*": 2.0}


def test_every_choice_of_a_recipe_is_an_option():
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    elsewhere = {
        "task": "task", "nets": "ensemble", "folds": "validation_fraction",
        "monitor": "early_stopping",
    }  # fmt: skip
    choices = {elsewhere.get(one.name, one.name) for one in dataclasses.fields(Recipe)}
    assert choices <= {action.dest for action in parser._actions}


def test_very_many_columns_have_fewer_bins(tmp_path, capsys):
    rng = np.random.default_rng(0)
    columns = {f"g{n}": rng.normal(size=60).round(3) for n in range(200)}
    data = write_csv(tmp_path / "t.csv", {**columns, "y": columns["g0"] * 2})
    argv = ["train", data, "--target", "y", "--out", str(tmp_path / "m"), *told("--quiet")]
    assert cli.main(argv) == 0
    assert (
        "bins of numbers: 20 instead of 32, of which there would be 6,600 f"
        in capsys.readouterr().out
    )
    found = loaded({"model": tmp_path / "m"})
    assert found.recipe.bins == 20
    assert found.preprocessor.input_shape == (200 * 21,)
    assert cli.main([*argv, "--bins", "32"]) == 0
    assert "bins of numbers" not in capsys.readouterr().out
    assert loaded({"model": tmp_path / "m"}).preprocessor.input_shape == (200 * 33,)


def test_activations_that_take_turns_are_told(table, tmp_path, capsys):
    argv = ["train", table, "--target", "y", "--out", str(tmp_path / "m"), "--epochs", "1"]
    for preset, words in (("fast", "4 (silu),"), ("best", "4 (silu and tanh),")):
        assert cli.main([*argv, "--layers", "4", "--preset", preset]) == 0
        assert words in capsys.readouterr().out


def test_quantiles_are_predicted(train, table, tmp_path, capsys):
    figures = train("--loss", "quantile", "--quantiles", "0.25,0.75", "--epochs", "10")
    assert figures["pinball"] > 0
    assert len(figures["shares_below"]) == 2
    capsys.readouterr()
    assert cli.main(["predict", figures["model"], table]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header == "y=0.25,y=0.75"
    low, high = np.array([[float(cell) for cell in line.split(",")] for line in lines]).T
    assert (low <= high).all()
    assert run_json(capsys, "evaluate", figures["model"], table)["pinball"] > 0


def test_a_quantile_alone_is_predicted(train, table, capsys):
    figures = train("--loss", "quantile", "--quantiles", "0.5", "--epochs", "2")
    capsys.readouterr()
    assert cli.main(["predict", figures["model"], table]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header == "y=0.5"
    assert np.isfinite([float(line) for line in lines]).all()


# ---- what columns are ----------------------------------------------------------------------------


def test_columns_are_what_it_is_said_that_they_are(train):
    plain = loaded(train()).preprocessor
    assert plain.dropped["number"]
    assert plain.kinds["day"] == ("date",)
    found = loaded(
        train("--drop", "shop,kind", "--keep", "number", "--category", "code", "--text", "day")
    ).preprocessor
    assert found.dropped == {"shop": "as asked", "kind": "as asked"}
    assert found.kinds["number"] == ("number",)
    assert found.kinds["code"] == ("category",)
    assert found.kinds["day"] == ("text",)


def test_names_with_commas_are_quoted(tmp_path, capsys):
    x = np.random.default_rng(0).normal(size=60).round(3)
    data = write_csv(tmp_path / "t.csv", {"a, b": x, "c": -x, "y": 2 * x})
    argv = ["train", data, "--target", "y", "--out", str(tmp_path / "m"), *told()]
    figures = run_json(capsys, *argv, "--drop", '"a, b"')
    assert figures["dropped_columns"] == {"a, b": "as asked"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--drop sho", "--drop: {} has no column 'sho' among 8: 'number', 'a', 'b'"),
        ("--drop sho", "did you mean 'shop'?"),
        ("--target z", "--target: {} has no column 'z' among 8"),
        ("--category a,nothing", "--category: {} has no column 'nothing'"),
        ("--sample-weight wait", "--sample-weight: {} has no column 'wait'"),
        ("--split group:shops", "--split: {} has no column 'shops'"),
        ("--split time:dai", "--split: {} has no column 'dai'"),
        ("--drop a --keep a", "--keep: got 'a', which --drop names too, expected each column once"),
        ("--drop y", "--drop: got 'y', which is --target, expected columns to learn from"),
        ("--date a", "'a'"),
        ("--split week:day", "--split: got week:day, expected random, time:COLUMN or group:COLUMN"),
        ("--split group:y", "--split: got group:y, expected another column than the target"),
        ("--split time:shop", "--split: got 'shop 0' in column 'shop', expected a number or a da"),
        ("--cv 1", "--cv: got 1"),
        ("--cv 999", "--cv: got 999"),
        ("--cv 3 --split time:day", "--cv: got 3 beside --split time:day"),
        ("--test none.csv", "none.csv"),
        ("--test none.csv --test-fraction 0.2", "--test-fraction: got 0.2 beside --test none.csv"),
        ("--validation-fraction 0.9", "--validation-fraction: got 0.9, expected 0, or a part"),
        ("--variety tanhh", "--variety: got 'tanhh'"),
        ("--bins -1", "--bins: got -1"),
        ("--scale-rate -1", "--scale-rate: got -1"),
        ("--max-categories 0", "--max-categories: got 0"),
        ("--warmup 1", "--warmup: got 1"),
        ("--warmup 0.1 --schedule constant", "--warmup: got 0.1 beside --schedule constant"),
        ("--warmup 0.1 --optimizer lbfgs", "--warmup: got it for lbfgs"),
        ("--scale-rate 3 --optimizer lbfgs", "--scale-rate: got it for lbfgs"),
        ("--quantiles 0.5", "--quantiles: got 0.5 and another loss"),
        ("--loss quantile --quantiles a", "--quantiles: got 'a', expected SHARE"),
        ("--loss quantile --quantiles 2", "--quantiles: got"),
        ("--preset slow", "invalid choice: 'slow'"),
        ("--delimiter ab", "--delimiter: got 'ab'"),
        ("--encoding utf-99", "--encoding: got 'utf-99'"),
    ],
)
def test_train_refuses(options, message, table, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = [] if "--target" in options else ["--target", "y"]
    complaint = refused(capsys, "train", table, *words, *options.split(" "))
    assert message.format(table) in complaint
    assert list(tmp_path.iterdir()) == []


# ---- which rows serve for what -------------------------------------------------------------------


def test_rows_of_another_file_are_reported_on(train, table, columns, tmp_path, capsys):
    other = write_csv(tmp_path / "o.csv", {name: cells[:50] for name, cells in columns.items()})
    figures = train("--test", other)
    assert (figures["test_rows"], figures["rows"]) == (50, ROWS + 50)
    assert figures["train_rows"] + figures["validation_rows"] == ROWS
    assert run_json(capsys, "evaluate", figures["model"], other)["mae"] == figures["mae"]


def test_all_rows_may_be_trained_on(table, tmp_path, capsys):
    out = str(tmp_path / "m")
    argv = ["train", table, "--target", "y", "--out", out, *told("--test-fraction", "0")]
    assert cli.main(argv) == 0
    printed = capsys.readouterr().out
    assert "no row was held out: there is nothing to say how good it is by" in printed
    figures = run_json(capsys, *argv)
    assert figures["test_rows"] == 0
    assert "mae" not in figures


def test_the_last_rows_in_time_are_held_out(train, columns, tmp_path):
    order = np.argsort(columns["day"], kind="stable")
    figures = train("--split", "time:day")
    assert 0 < figures["test_rows"] < ROWS / 2
    last = columns["day"][order[-1]]
    model = TableModel("y", epochs=2, layers=(8,), nets=1, split="time:day", task="regression")
    days = np.array(columns["day"])
    first = np.sort(days)[ROWS - round(0.2 * ROWS)]
    own = model.fit(Table.from_columns(columns).take(np.flatnonzero(days < first)))
    assert figures["test_rows"] == (days >= first).sum()
    assert last >= first
    assert loaded(figures).model.parameters.tobytes() == own.model.parameters.tobytes()


def test_groups_are_held_out_together(train):
    figures = train("--split", "group:shop")
    assert figures["test_rows"] == ROWS / 8 * 2
    assert figures["validation_rows"] % (ROWS / 8) == 0
    assert "group by group" in figures["dropped_columns"]["shop"]


def test_cross_validation_is_the_mean_over_its_folds(train, table, tmp_path, capsys):
    figures = train("--cv", "3")
    assert figures["cv"]["folds"] == 3
    assert (figures["test_rows"], figures["train_rows"] + figures["validation_rows"]) == (0, ROWS)
    plain = train("--test-fraction", "0")
    assert "cv" not in plain
    assert loaded(figures).recipe == loaded(plain).recipe
    from fastweights.cli.parting import _FOLDS_DRAW
    from fastweights.table import splitting

    source, errors = read(table), []
    for rest, held in splitting.folds(ROWS, 3, 0, _FOLDS_DRAW):
        model = TableModel("y", epochs=2, layers=(8,), nets=1, task="regression")
        errors.append(model.fit(source.take(rest)).score(source.take(held))["mae"])
    assert figures["cv"]["mean"]["mae"] == pytest.approx(np.mean(errors), rel=1e-12)
    assert figures["cv"]["deviation"]["mae"] == pytest.approx(np.std(errors), rel=1e-9)
    argv = ["train", table, "--target", "kind", "--out", str(tmp_path / "k"), *told("--cv", "2")]
    assert cli.main(argv) == 0
    printed = capsys.readouterr()
    for words in ("2 folds", "balanced", "AUC", "deviation", "trivial"):
        assert words in printed.out
    assert "fold 2/2: accuracy" in printed.err


def test_every_part_has_its_share_of_each_class(train, columns):
    rare = sum(columns["kind"] == "rare")
    confusion = train(target="kind")["confusion"]
    assert abs(sum(confusion[0]) - 0.2 * rare) <= 1


def test_imbalance_is_said_beside_the_scores_that_see_it(table, tmp_path, capsys):
    argv = ["train", table, "--target", "kind", "--out", str(tmp_path / "m"), *told()]
    assert cli.main([*argv, "--quiet"]) == 0
    printed = capsys.readouterr().out
    for words in ("classes are of very different sizes", "balanced", "F1", "AUC", "commonest"):
        assert words in printed


# ---- going on ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "held", "places"),
    [("kind", True, (2, 9)), ("kind", False, (2, 9)), ("y", True, (2, 30))],
)
def test_an_ensemble_goes_on_with_the_same_bits(
    target, held, places, table, tmp_path, monkeypatch, capsys
):
    """Also where features are made batch by batch, and in networks of a second kind."""
    from test_cli_runs import stopped

    if not held:
        monkeypatch.setattr("fastweights.table.fitting.MOST_HELD", 0)
    out = tmp_path / "m.safetensors"
    argv = ["train", table, "--target", target, "--out", str(out), "--quiet"]
    argv += ["--epochs", "6", "--layers", "8", "--ensemble", "3"]
    argv += ["--class-weight", "balanced"] if target == "kind" else []
    assert cli.main(argv) == 0
    expected = out.read_bytes()
    out.unlink()
    for saves in places:
        stopped(monkeypatch, argv, saves)
        assert not out.exists()
        assert list(tmp_path.glob("m.checkpoint*"))
        assert bool(list(tmp_path.glob("m.checkpoint.[456].*"))) == (saves == 30)
        assert cli.main([*argv, "--resume"]) == 0
        assert out.read_bytes() == expected
        assert not list(tmp_path.glob("m.checkpoint*"))
        out.unlink()


def test_ctrl_c_among_networks_of_a_second_kind_keeps_the_first(
    table, tmp_path, monkeypatch, capsys
):
    out = tmp_path / "m.safetensors"
    argv = ["train", table, "--target", "y", "--out", str(out), *told("--ensemble", "2")]
    assert cli.main(argv) == 0
    printed = capsys.readouterr().out
    assert "2 networks of layers 8 (silu), with and without a linear path" in printed
    assert "networks with a linear path: the loss of the rows left out is" in printed
    whole = out.read_bytes()
    assert cli.main([*argv, "--no-linear", "--quiet"]) == 0
    first = loaded({"model": out})
    out.unlink()
    save = Checkpoint._save_if_due

    def interrupted(callback):
        save(callback)
        if callback.path.endswith(".3.safetensors"):
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "SECONDS_BETWEEN", 0.0)
        patched.setattr(Checkpoint, "_save_if_due", interrupted)
        assert cli.main(argv) == 130
    printed = capsys.readouterr().out
    assert "those with one were not trained to their end" in printed
    assert "which --resume goes on from" in printed
    found = loaded({"model": out})
    assert found.recipe == first.recipe
    for one, other in zip(found.model, first.model, strict=True):
        assert one.parameters.tobytes() == other.parameters.tobytes()
    assert cli.main([*argv, "--resume"]) == 0
    assert out.read_bytes() == whole
    assert not list(tmp_path.glob("*checkpoint*"))


# ---- reading -------------------------------------------------------------------------------------


def test_files_of_many_kinds_are_read_and_predicted(columns, tmp_path, capsys):
    lines = [";".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
    ragged = [*lines[:20], "1;2", *lines[20:]]
    packed = tmp_path / "t.csv.gz"
    packed.write_bytes(gzip.compress("\n".join(ragged).encode("cp1252")))
    out = str(tmp_path / "m")
    reading = ["--no-header", "--skip-bad-lines", "--delimiter", ";", "--encoding", "cp1252"]
    argv = ["train", str(packed), "--target", "column_7", "--out", out, *told(), *reading]
    figures = run_json(capsys, *argv)
    assert figures["rows"] == ROWS
    capsys.readouterr()
    assert cli.main(["predict", out, str(packed), *reading]) == 0
    assert len(capsys.readouterr().out.splitlines()) == ROWS + 1
    assert run_json(capsys, "evaluate", out, str(packed), *reading)["rows"] == ROWS
    refused(capsys, *argv[: -len(reading)])


def test_the_decimal_mark_may_be_told(tmp_path, capsys):
    """Of 1.234, which is above a thousand or a little more than one."""
    path, out = tmp_path / "t.csv", str(tmp_path / "m")
    lines = [f"{n % 9},{n % 9 + 1}.{100 + n}" for n in range(60)]
    path.write_text("\n".join(["a,y", *lines]))
    means = {}
    for mark in ".,":
        argv = ["train", str(path), "--target", "y", "--out", out, *told(), "--decimal", mark]
        assert cli.main(argv) == 0
        capsys.readouterr()
        means[mark] = run_json(capsys, "evaluate", out, str(path), "--decimal", mark)["rmse"]
        assert cli.main(["predict", out, str(path), "--decimal", mark]) == 0
    assert means[","] > 100 * means["."]
    refused(capsys, *argv[:-1], ";")


def test_standard_input_is_read(table, tmp_path, monkeypatch, capsys):
    with Path(table).open("rb") as file:
        monkeypatch.setattr("sys.stdin", _Stream(file))
        figures = run_json(
            capsys, "train", "-", "--target", "y", "--out", str(tmp_path / "m"), *told()
        )
    assert figures["rows"] == ROWS


class _Stream:
    """A standard input of bytes."""

    def __init__(self, file):
        self.buffer = file


def test_images_have_no_options_of_tables(tmp_path, capsys):
    np.savez(tmp_path / "i.npz", x=np.zeros((20, 4, 4)), y=np.arange(20) % 2)
    for option in ("--drop a", "--cv 3", "--preset best", "--no-header"):
        complaint = refused(capsys, "train", str(tmp_path / "i.npz"), *option.split())
        assert complaint.startswith(f"fastweights: error: {option.split()[0]}: got it for")


# ---- predict, info -------------------------------------------------------------------------------


def test_predict_without_probabilities(train, table, capsys):
    figures = train(target="kind")
    capsys.readouterr()
    for options, header in (
        ([], ["kind", "kind=rare", "kind=usual"]),
        (["--proba"], ["kind", "kind=rare", "kind=usual"]),
        (["--no-proba"], ["kind"]),
    ):
        assert cli.main(["predict", figures["model"], table, *options]) == 0
        lines = list(csv.reader(capsys.readouterr().out.splitlines()))
        assert lines[0] == header
        assert {len(line) for line in lines} == {len(header)}
    number = train()
    assert "--proba: got it for 'y', which is a number" in refused(
        capsys, "predict", number["model"], table, "--proba"
    )


def test_many_rows_are_predicted_some_at_a_time(train, table, monkeypatch, tmp_path, capsys):
    figures = train()
    capsys.readouterr()
    assert cli.main(["predict", figures["model"], table]) == 0
    whole = capsys.readouterr().out
    monkeypatch.setattr("fastweights.table.models.CHUNK", 7)
    assert cli.main(["predict", figures["model"], table]) == 0
    assert capsys.readouterr().out == whole


def test_info_tells_columns_target_scores_and_training(train, capsys):
    figures = train("--drop", "shop", "--preset", "fast")
    found = run_json(capsys, "info", figures["model"])
    assert found["columns"]["a"].startswith("number: ")
    assert found["columns"]["day"].startswith("date: ")
    assert found["dropped_columns"]["shop"] == "as asked"
    assert found["preset"] == "fast"
    assert found["recipe"]["epochs"] == 2
    assert found["unseen"]["mae"] == figures["mae"]
    assert found["unseen"]["baseline_mae"] == figures["baseline_mae"]
    assert found["rows"] == {n: figures[f"{n}_rows"] for n in ("train", "validation", "test")}
    capsys.readouterr()
    assert cli.main(["info", figures["model"]]) == 0
    printed = capsys.readouterr().out
    for words in ("number: ", "as asked", "baseline mae", "preset"):
        assert words in printed


def test_info_of_a_model_of_python(table, tmp_path, capsys):
    path = str(tmp_path / "m.safetensors")
    TableModel("kind", epochs=1, layers=(4,), nets=2).fit(table).save(path)
    found = run_json(capsys, "info", path)
    assert (found["task"], found["networks"]) == ("classification", 2)
    assert run_json(capsys, "evaluate", path, table)["rows"] == ROWS


def test_many_columns_are_told_in_few_lines(tmp_path, capsys):
    rng = np.random.default_rng(0)
    columns = {f"g{n}": rng.normal(size=40).round(2) for n in range(300)}
    for n in range(0, 90):
        columns[f"g{n}"] = np.full(40, "same")
    for n in range(90, 150):
        columns[f"g{n}"] = rng.choice(["a", "b", ""], 40)
    columns["y"] = rng.normal(size=40).round(2)
    data = write_csv(tmp_path / "t.csv", columns)
    argv = ["train", data, "--target", "y", "--out", str(tmp_path / "m"), *told()]
    assert cli.main([*argv, "--quiet"]) == 0
    assert len(capsys.readouterr().out.splitlines()) < 20


def test_the_run_s_file_has_options_of_tables(train, tmp_path):
    train("--drop", "shop", "--skip-bad-lines", "--split", "group:code", "--preset", "best")
    text = (tmp_path / "m.toml").read_text()
    wanted = ('drop = "shop"', "skip-bad-lines = true", 'split = "group:code"', 'preset = "best"')
    for line in wanted:
        assert line in text
    assert "no-header" not in text
    assert cli.main(["train", "--config", str(tmp_path / "m.toml"), "--quiet"]) == 0


def test_metadata_are_json(train):
    from fastweights.serialization import read_metadata

    metadata = read_metadata(train("--metrics", "mape")["model"])
    assert json.loads(metadata["fastweights.history"])["history"][0]["val_mape"]
