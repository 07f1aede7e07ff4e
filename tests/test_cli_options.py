"""What each option of ``fastweights train`` does, and what is refused."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from cli_running import refused, run_json, write_csv

import fastweights as fw
from fastweights import cli, schedules
from fastweights.cli import calls
from fastweights.cli.modelfile import HISTORY, history_of, load_model
from fastweights.optimizers import OPTIMIZERS
from fastweights.table import Table, TableModel, split

ROWS = 200


@pytest.fixture(scope="module")
def columns():
    """Numbers that follow from two others, and a class that is rare."""
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(2, ROWS)).round(4)
    return {
        "a": a.tolist(),
        "b": b.tolist(),
        "y": (3 * a - 2 * b + 0.5 * a * b + 10).round(4).tolist(),
        "kind": np.where(a + rng.normal(size=ROWS) > 1.3, "rare, it is", "common").tolist(),
        "weight": (np.arange(ROWS) % 3).tolist(),
    }


@pytest.fixture(scope="module")
def table(columns, tmp_path_factory):
    return write_csv(tmp_path_factory.mktemp("table") / "t.csv", columns)


def train(table, out, *options, target="y", code=0):
    """Trains quietly; the model."""
    argv = ["train", table, "--target", target, "--out", str(out), "--quiet", *options]
    assert cli.main(argv) == code
    return load_model(str(out))[1]


def short(*options):
    """One network, three epochs, no linear path."""
    alone = () if "--ensemble" in options else ("--ensemble", "1")
    return ("--epochs", "3", "--patience", "0", "--no-linear", *alone, *options)


# ---- optimizers and schedules --------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_trains(name, table, tmp_path):
    more = ("--loss", "mse", "--layers", "6") if name in ("lbfgs", "levenbergmarquardt") else ()
    model = train(table, tmp_path / "m", *short("--optimizer", name, *more))
    assert type(model.optimizer).__name__.lower() == name
    assert history_of(str(tmp_path / "m"))["fit"]["epochs"] == 3


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ("adamw(weight_decay=0.01, beta_1=0.8)", {"weight_decay": 0.01, "beta_1": 0.8}),
        ("AdamW(amsgrad=true,clipnorm=1.5)", {"amsgrad": True, "clipnorm": 1.5}),
        ("sgd(nesterov=true)", {"nesterov": True, "momentum": 0.9}),
        ("sgd(momentum=0)", {"momentum": 0.0}),
        ("rmsprop(centered=True, momentum=0.25)", {"centered": True, "momentum": 0.25}),
        ("adam(use_ema=true)", {"use_ema": True, "ema_momentum": 0.99}),
        ("adam(gradient_accumulation_steps=2)", {"gradient_accumulation_steps": 2}),
        ("adam(learning_rate_factors={'dense': 0})", {"learning_rate_factors": {"dense": 0}}),
    ],
)  # fmt: skip
def test_settings_of_an_optimizer_reach_it_and_change_the_weights(spec, wanted, table, tmp_path):
    more = ("--validation-fraction", "0", "--optimizer")
    model = train(table, tmp_path / "m", *short(*more, spec))
    config = model.optimizer.config()
    assert {name: config[name] for name in wanted} == wanted
    plain = train(table, tmp_path / "p", *short(*more, spec.partition("(")[0]))
    assert (model.parameters == plain.parameters).all() == (spec == "sgd(momentum=0.9)")


def test_an_optimizer_s_weight_decay_may_be_a_schedule(table, tmp_path):
    spec = "adamw(weight_decay=CosineDecay(initial_learning_rate=0.1))"
    decay = train(table, tmp_path / "m", *short("--optimizer", spec)).optimizer.weight_decay
    assert decay == schedules.CosineDecay(0.1, 3 * 9)


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ("constant", schedules.Constant(0.02)),
        ("CosineDecay", schedules.CosineDecay(0.02, 15)),
        ("cosine_decay(alpha=0.1)", schedules.CosineDecay(0.02, 15, 0.1)),
        (
            "CosineDecay(initial_learning_rate=0.001, warmup_target=0.05, warmup_steps=20%)",
            schedules.CosineDecay(0.001, 12, 0.0, 0.05, 3),
        ),
        ("OneCycle", schedules.OneCycle(0.02, 15)),
        ("CosLog4", schedules.CosLog4(0.02, 15)),
        ("ExponentialDecay(decay_rate=0.1)", schedules.ExponentialDecay(0.02, 15, 0.1)),
        ("InverseTimeDecay(decay_rate=2)", schedules.InverseTimeDecay(0.02, 15, 2)),
        ("PolynomialDecay(power=2)", schedules.PolynomialDecay(0.02, 15, power=2)),
        ("StepDecay(decay_steps=40%)", schedules.StepDecay(0.02, 6)),
        ("CosineDecayRestarts(first_decay_steps=4)", schedules.CosineDecayRestarts(0.02, 4)),
        (
            "PiecewiseConstantDecay(boundaries=[20%, 10], values=[0.1, 0.01, 0.001])",
            schedules.PiecewiseConstantDecay([3, 10], [0.1, 0.01, 0.001]),
        ),
        (
            "LinearWarmup(schedule=CosineDecay, warmup_steps=5)",
            schedules.LinearWarmup(schedules.CosineDecay(0.02, 10), 5),
        ),
        ("LinearWarmup(warmup_steps=5)", schedules.LinearWarmup(0.02, 5)),
    ],
)
def test_schedules_take_learning_rate_and_steps_of_the_training(spec, wanted, table, tmp_path):
    more = ("--learning-rate", "0.02", "--validation-fraction", "0", "--batch-size", "32")
    model = train(table, tmp_path / "m", *short(*more, "--schedule", spec))
    assert model.optimizer._learning_rate == wanted
    plain = train(table, tmp_path / "p", *short(*more, "--schedule", "Constant(value=0.02)"))
    is_constant = isinstance(wanted, schedules.Constant)
    assert (model.parameters == plain.parameters).all() == is_constant


def test_without_a_schedule_an_optimizer_follows_the_preset_s(table, tmp_path):
    """A line up to the learning rate, and a cosine to 0; Adam's own rate is the preset's."""
    adam = train(table, tmp_path / "m", *short("--batch-size", "32")).optimizer
    steps = 3 * 5  # of 140 rows
    rising = 0.05 * steps
    wanted = schedules.CosineDecay(0.0, steps - rising, warmup_target=3e-3, warmup_steps=rising)
    assert adam._learning_rate == wanted
    assert adam.learning_rate_factors == {"feature_scale/*": 10.0}
    sgd = train(table, tmp_path / "s", *short("--batch-size", "32", "--optimizer", "sgd")).optimizer
    assert sgd._learning_rate == schedules.CosineDecay(
        0.0, steps - 1, warmup_target=0.01, warmup_steps=1
    )
    assert sgd.learning_rate_factors == {"feature_scale/*": 10.0}


def test_every_schedule_can_be_named(table, tmp_path):
    lacking = {
        "ExponentialDecay": "decay_rate=0.5", "InverseTimeDecay": "decay_rate=0.5",
        "StepDecay": "decay_steps=5", "LinearWarmup": "warmup_steps=5",
        "PiecewiseConstantDecay": "boundaries=[5],values=[1e-2,1e-3]",
    }  # fmt: skip
    for name in schedules.SCHEDULES:
        model = train(
            table, tmp_path / "m", *short("--schedule", f"{name}({lacking.get(name, '')})")
        )
        assert type(model.optimizer._learning_rate).__name__ == name


# ---- what is learnt ------------------------------------------------------------------------------


def test_dropout_stands_behind_hidden_layers(table, tmp_path):
    model = train(table, tmp_path / "m", *short("--dropout", "0.25"), target="kind")
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds == ["Scale", *["Dense", "Dropout"] * 3, "Dense"]
    assert model.layers[2].rate == 0.25
    none = train(table, tmp_path / "n", *short("--dropout", "0"), target="kind")
    assert [type(layer).__name__ for layer in none.layers] == ["Scale", *["Dense"] * 4]


def test_l2_makes_weights_smaller(table, tmp_path):
    epochs = ("--epochs", "60", "--validation-fraction", "0", "--ensemble", "1")
    plain = train(table, tmp_path / "p", *epochs)
    kept = train(table, tmp_path / "m", *epochs, "--l2", "0.01")
    dense = [layer for layer in kept.layers if isinstance(layer, fw.layers.Dense)]
    assert [layer.kernel_regularizer for layer in dense] == [fw.regularizers.L2(0.01)] * 4
    sizes = [np.sum(model.layers[2].kernel ** 2) for model in (kept, plain)]
    assert sizes[0] < 0.7 * sizes[1]


def test_sample_weight_is_that_of_the_library(table, columns, tmp_path, capsys):
    """The network is the one that `TableModel` makes of the rows, their weights beside them."""
    out = tmp_path / "m"
    model = train(table, out, *short("--sample-weight", "weight"))
    preprocessor = load_model(str(out)).preprocessor
    assert preprocessor.dropped["weight"] == "it says what rows count"
    assert list(preprocessor.groups) == ["a", "b", "kind"]
    rows, _ = split(ROWS, 0.2, seed=0)
    source = Table.from_columns(columns).take(rows)
    again = TableModel("y", epochs=3, patience=0, nets=1)
    weights = np.array(columns["weight"], float)[rows]
    again.fit(source.drop(["weight"]), sample_weight=weights)
    assert again.model.parameters.tobytes() == model.parameters.tobytes()
    unweighted = TableModel("y", epochs=3, patience=0, nets=1).fit(source.drop(["weight"]))
    assert unweighted.model.parameters.tobytes() != model.parameters.tobytes()
    assert cli.main(["predict", str(out), table]) == 0
    assert len(capsys.readouterr().out.splitlines()) >= ROWS


def test_rows_that_all_count_nothing_are_refused(columns, tmp_path, capsys):
    for weights in (np.zeros(ROWS), np.eye(1, ROWS)[0]):
        table = write_csv(tmp_path / "t.csv", {**columns, "weight": weights})
        argv = ["train", table, "--target", "y", "--out", str(tmp_path / "m"), "--sample-weight"]
        assert "--sample-weight: got 0 in all rows to train on" in refused(capsys, *argv, "weight")


def test_class_weights_have_the_rare_class_found(table, tmp_path, capsys):
    def recall(*options):
        argv = ["train", table, "--target", "kind", "--out", str(tmp_path / "m"), "--quiet"]
        more = (
            "--layers",
            "4",
            "--ensemble",
            "2",
            "--epochs",
            "40",
            "--test-fraction",
            "0.5",
            *options,
        )
        confusion = run_json(capsys, *argv, *more)["confusion"]
        assert len(confusion) == 2
        return confusion[1][1] / sum(confusion[1])

    plain = recall()
    assert recall("--class-weight", "balanced") > plain
    assert recall("--class-weight", '"rare, it is=20"') > plain
    assert recall("--class-weight", "common=1") == plain


def test_class_weight_is_that_of_the_library(table, tmp_path):
    by_name = train(table, tmp_path / "m", *short("--class-weight", 'common=3,"rare, it is=0.5"'),
                    target="kind")  # fmt: skip
    other = train(table, tmp_path / "n", *short("--class-weight", "common=3"), target="kind")
    assert by_name.parameters.tobytes() != other.parameters.tobytes()


def test_metrics_are_told_in_the_target_s_units(table, tmp_path, capsys):
    out = str(tmp_path / "m")
    argv = ["train", table, "--target", "y", "--out", out, *short("--metrics", "mae,R2,mape")]
    figures = run_json(capsys, *argv)
    assert list(figures["metrics"]) == ["mae", "r2", "mape"]
    assert figures["metrics"]["mae"] == pytest.approx(figures["mae"], rel=1e-12)
    assert figures["metrics"]["r2"] == pytest.approx(figures["r2"], rel=1e-9)
    assert "val_mape" in figures
    capsys.readouterr()
    assert cli.main(argv) == 0
    printed = capsys.readouterr()
    assert "of these rows" in printed.out
    assert "mape: " in printed.err
    told = run_json(capsys, "evaluate", out, table, "--metrics", "mae")
    assert told["metrics"]["mae"] == pytest.approx(told["mae"], rel=1e-12)


def test_metrics_of_classes(table, tmp_path, capsys):
    spec = "accuracy,f1_score(average=macro),confusion_matrix,balanced_accuracy"
    argv = ["train", table, "--target", "kind", "--out", str(tmp_path / "m"), "--metrics", spec]
    figures = run_json(capsys, *argv, *short())
    assert figures["metrics"]["accuracy"] == pytest.approx(figures["accuracy"])
    assert figures["metrics"]["confusion_matrix"] == figures["confusion"]
    hits = [row[at] / sum(row) for at, row in enumerate(figures["confusion"])]
    assert figures["metrics"]["balanced_accuracy"] == pytest.approx(np.mean(hits))
    assert set(figures["metrics"]) == {
        "accuracy",
        "f1_score",
        "confusion_matrix",
        "balanced_accuracy",
    }


def test_early_stopping_knows_whether_larger_is_better(table, tmp_path, capsys):
    argv = ["train", table, "--target", "kind", "--out", str(tmp_path / "m"), "--quiet"]
    more = ["--early-stopping", "accuracy", "--patience", "4", "--epochs", "400"]
    more += ["--learning-rate", "0.02", "--ensemble", "1"]
    figures = run_json(capsys, *argv, *more)
    assert figures["epochs"] == figures["best_epoch"] + 4 < 400
    model, history = load_model(str(tmp_path / "m"))[1], []
    assert [metric.name for metric in model._compiled.metrics] == ["accuracy"]

    class Keep(fw.callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            history.append(logs["val_accuracy"])

    fit = fw.many.fit_many

    def listened(*arguments, **options):
        options["callbacks"] = [[*own, Keep()] for own in options["callbacks"]]
        return fit(*arguments, **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(fw.many, "fit_many", listened)
        assert run_json(capsys, *argv, *more)["best_epoch"] == figures["best_epoch"]
    assert history[figures["best_epoch"] - 1] == max(history) == figures["val_accuracy"]
    assert history.index(max(history)) == figures["best_epoch"] - 1


def test_averages_of_weights_are_what_a_training_on_all_rows_ends_with(table, tmp_path):
    more = short("--validation-fraction", "0", "--schedule", "constant")
    plain = train(table, tmp_path / "p", *more, target="kind")
    mean = train(
        table,
        tmp_path / "m",
        *more,
        "--optimizer",
        "adam(use_ema=true,ema_momentum=0.9)",
        target="kind",
    )
    assert not np.array_equal(plain.parameters, mean.parameters)
    first = train(table, tmp_path / "f", *more, "--epochs", "1", target="kind")
    apart = [np.abs(model.parameters - first.parameters).max() for model in (mean, plain)]
    assert apart[0] < apart[1]


# ---- several networks ----------------------------------------------------------------------------


def test_an_ensemble_is_of_the_networks_of_its_seeds(table, tmp_path, capsys):
    out = tmp_path / "e.safetensors"
    ensemble = train(table, out, *short("--ensemble", "3", "--seed", "4"))
    assert len(ensemble) == 3
    alone = train(table, tmp_path / "m", *short("--seed", "4", "--ensemble", "1"))
    assert ensemble[0].parameters.tobytes() == alone.parameters.tobytes()
    assert len({model.parameters.tobytes() for model in ensemble}) == 3
    report = run_json(capsys, "evaluate", str(out), table)
    assert report["rows"] == ROWS
    assert cli.main(["predict", str(out), table]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == ROWS + 1
    told = run_json(capsys, "info", str(out))
    assert (told["networks"], told["options"]["ensemble"]) == (3, 3)
    members = run_json(
        capsys, "train", table, "--target", "y", "--out", str(out), "--ensemble", "2", "--patience",
        "2", "--epochs", "200", "--learning-rate", "0.02", "--schedule", "constant",
        "--no-linear",
    )["members"]  # fmt: skip
    assert all(one["epochs"] == one["best_epoch"] + 2 for one in members)
    assert len(load_model(str(out)).model) == 2


@pytest.mark.parametrize(
    ("target", "options"),
    [("y", ["--sample-weight", "weight"]), ("kind", ["--class-weight", "balanced"])],
)
def test_an_ensemble_s_rows_are_weighted(target, options, table, tmp_path):
    more = short("--validation-fraction", "0.2", *options)
    alone = train(table, tmp_path / "m", *more, target=target)
    ensemble = train(table, tmp_path / "e", *more, "--ensemble", "2", target=target)
    plain = train(table, tmp_path / "p", *more[:-2], target=target)
    assert ensemble[0].parameters.tobytes() == alone.parameters.tobytes()
    assert ensemble[0].parameters.tobytes() != plain.parameters.tobytes()


def test_progress_of_an_ensemble_is_a_line_a_network(table, tmp_path, capsys):
    argv = [
        "train",
        table,
        "--target",
        "y",
        "--out",
        str(tmp_path / "m"),
        *short("--ensemble", "2"),
    ]
    assert cli.main(argv) == 0
    printed = capsys.readouterr()
    assert sorted(line[:12] for line in printed.err.splitlines()) == [
        "network 1/2:",
        "network 2/2:",
    ]
    assert "network 1/2" not in printed.out


def test_progress_takes_few_lines_where_no_terminal_is(table, tmp_path, capsys):
    argv = ["train", table, "--target", "y", "--out", str(tmp_path / "m"), "--layers", "2"]
    argv += ["--ensemble", "1"]
    assert cli.main([*argv, "--epochs", "300", "--patience", "0"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert 10 < len(lines) <= 21
    assert (lines[0][:12], lines[-1][:14]) == ("epoch 1/300:", "epoch 300/300:")
    assert cli.main([*argv, "--epochs", "5000", "--patience", "1", "--learning-rate", "0.2"]) == 0
    printed = capsys.readouterr()
    epochs = int(printed.out.split("trained for ")[1].split()[0])
    assert printed.err.splitlines()[-1].startswith(f"epoch {epochs}/5000:")


# ---- info ----------------------------------------------------------------------------------------


def test_info_tells_how_a_model_came_to_be(table, tmp_path, capsys):
    out = str(tmp_path / "m")
    options = ["--optimizer", "adamw(weight_decay=0.01)", "--metrics", "mape", "--epochs", "4"]
    options += ["--ensemble", "1"]
    argv = ["train", table, "--target", "y", "--out", out, *options]
    figures = run_json(capsys, *argv)
    told = run_json(capsys, "info", out)
    assert told["kind"] == "a table"
    assert (told["target"], told["task"]) == ("y", "regression")
    assert told["optimizer"]["weight_decay"] == 0.01
    assert [loss["name"] for loss in told["losses"]] == ["huber"]
    assert told["metrics"] == ["mape"]
    assert told["fit"]["epochs"] == 4
    assert told["rows"] == {"train": 140, "validation": 20, "test": 40}
    assert told["options"]["optimizer"] == options[1]
    assert told["unseen"]["mae"] == figures["mae"]
    assert told["fit"]["val_loss"] == figures["val_loss"]
    capsys.readouterr()
    assert cli.main(["info", out]) == 0
    printed = capsys.readouterr().out
    assert "AdamW(learning rate=" in printed or "AdamW(learning_rate=" in printed
    assert "huber" in printed
    assert "t.csv" in refused(capsys, "info", table)


@pytest.mark.parametrize("text", ["", "[" * 99999, "3", '{"fit": [{"name": {}}, null, 1e999]}'])
def test_info_of_a_damaged_history(text, tmp_path, capsys):
    path = str(tmp_path / "m.safetensors")
    fw.Sequential([fw.layers.Dense(2)], 3, seed=0).save(path, metadata={HISTORY: text})
    code = cli.main(["info", path])
    printed = capsys.readouterr()
    assert code == 0 or printed.err.startswith("fastweights: error: ")


def test_info_tells_of_models_of_python(tmp_path, capsys):
    path = str(tmp_path / "m.safetensors")
    model = fw.Sequential([fw.layers.Dense(2)], 3, seed=0)
    model.save(path)
    told = run_json(capsys, "info", path)
    assert (told["parameters"], told["optimizer"], told["losses"]) == (8, None, [])
    assert cli.main(["info", path]) == 0


# ---- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--optimizer adamm", "--optimizer: got 'adamm', expected one of"),
        ("--optimizer adamm", "did you mean 'Nadam'"),
        ("--optimizer adam(beta=0.9)", "--optimizer: setting of adam: got 'beta'"),
        ("--optimizer adam(beta_1=2)", "--optimizer: beta_1: got 2"),
        ("--optimizer adam(", "--optimizer: got 'adam(', expected a name, with settings in"),
        ("--optimizer adam(0.9)", "--optimizer: got 'adam(0.9)'"),
        ("--optimizer __import__('os')", "--optimizer: got"),
        ("--optimizer adam(beta_1=__import__('os').getcwd())", "--optimizer: got"),
        ("--optimizer adam,sgd", "--optimizer: got 'adam,sgd', expected one of them"),
        ("--optimizer adam(learning_rate=1)", "expected --learning-rate beside it"),
        ("--optimizer adam(weight_decay=5%)", "--optimizer: weight_decay: got a share"),
        ("--optimizer sgd(momentum=0.5) --momentum 0.5", "--momentum: got 0.5"),
        ("--optimizer levenbergmarquardt --learning-rate 1", "--learning-rate: got it for"),
        ("--optimizer lbfgs --schedule CosineDecay", "--schedule: got it for lbfgs"),
        ("--optimizer lbfgs --batch-size 16", "--batch-size: got 16"),
        ("--optimizer levenbergmarquardt", "--loss"),
        ("--optimizer adam(use_ema=true)", "--optimizer: got use_ema=true"),
        ("--schedule cosine", "--schedule: got 'cosine', expected one of"),
        ("--schedule CosineDecay(alpha=-1)", "--schedule: alpha: got -1"),
        ("--schedule StepDecay", "--schedule: got StepDecay without decay_steps"),
        ("--schedule ExponentialDecay", "--schedule: got ExponentialDecay without decay_rate"),
        ("--schedule CosineDecay(beta=1)", "--schedule: setting of CosineDecay: got 'beta'"),
        ("--dropout 1", "--dropout: got 1"),
        ("--l2 -1", "--l2: got -1"),
        ("--class-weight balanced", "--class-weight: got balanced for 'y', which is a number"),
        ("--sample-weight kind", "in column 'kind', expected numbers of at least 0"),
        ("--sample-weight a", "--sample-weight: got '-"),
        ("--sample-weight weightt", "did you mean 'weight'"),
        ("--sample-weight y", "--sample-weight: got 'y', expected another column"),
        ("--metrics accuracy", "--metrics: got 'accuracy' beside the loss"),
        ("--metrics auc", "--metrics: got "),
        ("--early-stopping confusion_matrix", "--early-stopping: got "),
        ("--early-stopping val_loss", "--early-stopping: got 'val_loss', expected loss, which is"),
        (
            "--schedule CosineDecay(decay_steps=0%)",
            "--schedule: got decay_steps=0%, expected above",
        ),
        ("--schedule CosineDecay(decay_steps=200%)", "--schedule: got decay_steps=200%"),
        ("--schedule LinearWarmup(warmup_steps=500%)", "--schedule: got warmup_steps=500%"),
        (
            "--schedule LinearWarmup(schedule=CosineDecay(decay_steps=0%),warmup_steps=5%)",
            "--schedule: got decay_steps=0%",
        ),
        (
            "--schedule PiecewiseConstantDecay(boundaries=[50%,150%],values=[1,2,3])",
            "--schedule: got boundaries=150%",
        ),
        ("--metrics mea", "--metrics: got 'mea', expected one of"),
        ("--early-stopping nothing", "--early-stopping: got 'nothing'"),
        ("--early-stopping mae,mse", "--early-stopping: got mae,mse, expected one metric"),
        ("--early-stopping mae --patience 0", "--patience: got 0 beside --early-stopping"),
        ("--early-stopping mae --validation-fraction 0", "--early-stopping: got mae and no rows"),
        ("--ensemble 0", "--ensemble: got 0"),
        ("--out t.toml", "--out: got t.toml, expected a name that does not end in .toml"),
        ("--checkpoint .", "--checkpoint: got the directory"),
        ("--config none.toml", "none.toml"),
    ],
)
def test_train_refuses(options, message, table, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, "train", table, "--target", "y", *options.split(" "))
    assert list(tmp_path.iterdir()) == []


def test_class_weights_are_refused(table, tmp_path, capsys):
    argv = ["train", table, "--target", "kind", "--out", str(tmp_path / "m"), "--class-weight"]
    assert "--class-weight: got 'commonn', expected one of" in refused(capsys, *argv, "commonn=1")
    assert "did you mean 'common'" in refused(capsys, *argv, "commonn=1")
    for spec in ("common", "common=x", "common=-1", "common=nan"):
        assert "expected balanced, or CLASS=WEIGHT" in refused(capsys, *argv, spec)
    assert "--class-weight: got common twice" in refused(capsys, *argv, "common=1,common=2")
    early = ["--early-stopping", "confusion_matrix"]
    assert "which is an array" in refused(capsys, *argv[:-1], *early)


def test_specs():
    assert calls.calls_of("--x", "a, b(c=-1, d=[1, 5%], e=word)") == [
        calls.Call("a", {}),
        calls.Call("b", {"c": -1, "d": [1, calls.Share(0.05)], "e": "word"}),
    ]
    assert calls.call_of("--x", "a(b=c(d=.5%), e='50%')").settings["b"].settings == {
        "d": calls.Share(0.005)
    }
    for text in (
        "",
        "a(",
        "1",
        "a.b",
        "a(*b)",
        "a(b=1,b=2)",
        "a(b=lambda: 1)",
        "(" * 999,
        "a" * 9999,
    ):
        with pytest.raises(ValueError, match="--x: got"):
            calls.calls_of("--x", text)


def test_metadata_say_nothing_of_the_machine(table, tmp_path):
    train(table, tmp_path / "m.safetensors", *short())
    metadata = fw.serialization.read_metadata(str(tmp_path / "m.safetensors"))
    assert str(tmp_path) not in json.dumps(metadata)
    assert sys.executable not in json.dumps(metadata)
