"""The command line: the main job end to end, its figures, and every way to use it wrongly."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from cli_running import COMMAND, listen, posix, refused, run_json, write_csv
from helpers import run_python

import fastweights as fw
from fastweights import cli, layers, saving
from fastweights.cli.layers_spec import parse_layers
from fastweights.cli.modelfile import load_model
from fastweights.losses import LOSSES
from fastweights.saving import TABLE
from fastweights.serialization import read_metadata

ROWS = 300
HERE = Path(__file__).parent
#: One network, and a small one that hardly learns.
ALONE = ["--ensemble", "1"]
QUICK = [*ALONE, "--layers", "8", "--epochs", "3"]


@pytest.fixture(scope="module")
def columns() -> dict[str, list[object]]:
    """Rents that follow from size and town, and flats that are large or small."""
    rng = np.random.default_rng(0)
    size = rng.uniform(20, 120, ROWS).round(1)
    town = rng.choice(["Köln", "Bonn, am Rhein", 'say "Ulm"'], ROWS)
    rent = 200 + 10 * size + 150 * (town == "Köln")
    return {
        "id": [f"flat-{i}" for i in range(ROWS)],
        "size": ["" if i % 10 == 3 else v for i, v in enumerate(size.tolist())],
        "town": town.tolist(),
        "country": ["DE"] * ROWS,
        "rent": ["" if i == 5 else v for i, v in enumerate(rent.round(2).tolist())],
        "kind": np.where(size > 70, "large", np.where(size > 45, "middle", "small")).tolist(),
    }


@pytest.fixture(scope="module")
def table(columns, tmp_path_factory) -> str:
    return write_csv(tmp_path_factory.mktemp("table") / "flats.csv", columns)


@pytest.fixture(scope="module")
def regression(table, tmp_path_factory) -> str:
    """A model of rents."""
    path = str(tmp_path_factory.mktemp("model") / "rents.safetensors")
    assert cli.main(["train", table, "--target", "rent", "--out", path, "--quiet", *ALONE]) == 0
    return path


@pytest.fixture(scope="module")
def classification(table, tmp_path_factory) -> str:
    """A model of kinds."""
    path = str(tmp_path_factory.mktemp("model") / "kinds.safetensors")
    assert (
        cli.main(
            ["train", table, "--target", "kind", "--out", path, "--quiet", *ALONE, "--layers", "32"]
        )
        == 0
    )
    return path


# ---- train ---------------------------------------------------------------------------------------


def test_train_regression_says_what_it_did_and_beats_the_baseline(table, tmp_path, capsys):
    out = str(tmp_path / "m.safetensors")
    assert cli.main(["train", table, "--target", "rent", "--out", out, "--quiet", *ALONE]) == 0
    printed = capsys.readouterr()
    for words in (
        "300 rows, 6 columns",
        "target 'rent': regression",
        "left out for want of a 'rent': 1 row\n",
        "column 'id' is not used, names: it hardly repeats, 239 different ones in 239 cells",
        "column 'country' is not used, constant: it is always 'DE'",
        "1 column of numbers, 2 columns of categories, 1 with missing cells",
        "60 unseen rows, rent",
        "always the training mean",
        out,
    ):
        assert words in printed.out
    assert printed.err == ""


def test_train_json_is_one_object_with_the_report(table, tmp_path, capsys):
    out = str(tmp_path / "m.safetensors")
    figures = run_json(
        capsys,
        "train",
        table,
        "--target",
        "rent",
        "--out",
        out,
        "--epochs",
        "40",
        "--seed",
        "3",
        *ALONE,
    )
    assert figures["task"] == "regression"
    assert figures["rows"] == ROWS - 1
    assert figures["train_rows"] + figures["validation_rows"] + figures["test_rows"] == ROWS - 1
    assert figures["seed"] == 3
    assert 1 <= figures["epochs"] <= 40
    assert 1 <= figures["best_epoch"] <= 40
    assert figures["seconds"] > 0
    assert figures["mae"] < figures["baseline_mae"] / 2
    assert figures["rmse"] >= figures["mae"]
    assert figures["r2"] > 0.7
    assert abs(figures["baseline_r2"]) < 0.1
    assert figures["model"] == out


def test_train_classification_reports_a_confusion_table(table, tmp_path, capsys):
    out = str(tmp_path / "m.safetensors")
    argv = ["train", table, "--target", "kind", "--out", out, "--quiet", *ALONE]
    assert cli.main(argv) == 0
    printed = capsys.readouterr().out
    for words in ("target 'kind': classification", "truth \\ predicted", "commonest class"):
        assert words in printed
    figures = run_json(capsys, *argv)
    assert figures["accuracy"] > max(0.8, figures["baseline_accuracy"])
    assert figures["cross_entropy"] < figures["baseline_cross_entropy"]
    confusion = np.array(figures["confusion"])
    assert confusion.sum() == figures["test_rows"]
    assert confusion.trace() / confusion.sum() == pytest.approx(figures["accuracy"])


def test_one_seed_one_result(table, tmp_path):
    files = [tmp_path / name for name in ("a", "b", "c")]
    for file, seed in zip(files, "778", strict=True):
        argv = ["train", table, "--target", "rent", "--quiet", *QUICK, "--ensemble", "2"]
        assert cli.main([*argv, "--seed", seed, "--out", str(file)]) == 0
    assert files[0].read_bytes() == files[1].read_bytes()
    assert files[0].read_bytes() != files[2].read_bytes()


def test_train_options_reach_the_network(table, tmp_path):
    out = str(tmp_path / "m.safetensors")
    options = "--layers 7:relu,5 --activation selu --dtype float64 --optimizer sgd --momentum 0.5"
    options += " --learning-rate 0.02 --schedule constant --ensemble 1 --loss mse --linear"
    options += " --epochs 2 --batch-size 16 --patience 0"
    options += " --validation-fraction 0 --test-fraction 0.5 --log-target --threads 1 --quiet"
    argv = ["train", table, "--target", "rent", "--out", out, *options.split()]
    with fw.threads(fw.get_num_threads()):  # which ends what --threads set
        assert cli.main(argv) == 0
    model = saving.read(out)
    dense = [layer for layer in model.layers if isinstance(layer, layers.Dense)]
    assert [layer.units for layer in dense] == [7, 5, 1, 1]
    assert [layer.activation.name for layer in dense] == ["relu", "selu", "linear", "linear"]
    assert model.dtype == np.float64
    assert model.optimizer.momentum == 0.5
    assert model.optimizer.learning_rate == 0.02
    assert model.loss.name == "mean_squared_error"
    assert json.loads(read_metadata(out)[TABLE])["target"]["log"] is True


def test_task_can_be_said(table, tmp_path, capsys):
    out = str(tmp_path / "m.safetensors")
    numbered = str(tmp_path / "numbered.csv")
    x = np.random.default_rng(0).normal(size=100)
    write_csv(Path(numbered), {"x": x, "y": (x > 0).astype(int)})
    argv = ["train", numbered, "--target", "y", "--out", out, *QUICK]
    assert run_json(capsys, *argv)["task"] == "classification"
    assert run_json(capsys, *argv, "--task", "regression")["task"] == "regression"


def test_progress_is_on_standard_error_alone(table, tmp_path, capsys):
    out = str(tmp_path / "m.safetensors")
    argv = ["train", table, "--target", "rent", "--out", out, "--epochs", "2", "--ensemble", "1"]
    assert cli.main(argv) == 0
    printed = capsys.readouterr()
    assert "epoch 1/2: loss" in printed.err
    assert "val_loss" in printed.err
    assert "left" in printed.err
    assert "epoch 1/2" not in printed.out


@pytest.mark.parametrize("target", ["rent", "kind"])
def test_plot_is_a_picture(table, tmp_path, target):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "p.png"
    argv = ["train", table, "--target", target, "--out", str(tmp_path / "m"), *QUICK]
    assert cli.main([*argv, "--quiet", "--plot", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_plot_without_matplotlib_is_refused_before_training(table, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.axes", None)
    monkeypatch.delitem(sys.modules, "fastweights.cli.plot", raising=False)
    out = tmp_path / "m.safetensors"
    argv = [
        "train",
        table,
        "--target",
        "rent",
        "--out",
        str(out),
        "--plot",
        str(tmp_path / "p.png"),
    ]
    assert "needs matplotlib" in refused(capsys, *argv)
    assert not out.exists()


def test_early_stopping_goes_back_to_the_best_epoch(table, tmp_path, capsys):
    out = str(tmp_path / "m.safetensors")
    argv = ["train", table, "--target", "rent", "--out", out, "--patience", "2", "--epochs", "500"]
    argv += ["--ensemble", "1", "--schedule", "constant"]
    figures = run_json(capsys, *argv, "--learning-rate", "0.01")
    assert figures["epochs"] == figures["best_epoch"] + 2 < 500


# ---- predict and evaluate ------------------------------------------------------------------------


def test_predict_writes_a_column_named_after_the_target(regression, table, columns, capsys):
    assert cli.main(["predict", regression, table]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "rent"
    assert len(lines) == ROWS + 1
    known = [i for i in range(ROWS) if columns["rent"][i] != "" and columns["size"][i] != ""]
    rents = np.array([float(columns["rent"][i]) for i in known])
    errors = np.array([float(lines[i + 1]) for i in known]) - rents
    assert np.abs(errors).mean() < 100


def test_predict_gives_a_probability_of_each_class(classification, table, columns, tmp_path):
    out = tmp_path / "kinds.csv"
    assert cli.main(["predict", classification, table, "--out", str(out)]) == 0
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["kind", "kind=large", "kind=middle", "kind=small"]
    for row in rows:
        chances = {key[5:]: float(value) for key, value in row.items() if key != "kind"}
        assert sum(chances.values()) == pytest.approx(1, abs=1e-4)
        assert max(chances, key=chances.get) == row["kind"]
    assert (
        np.mean([row["kind"] == kind for row, kind in zip(rows, columns["kind"], strict=True)])
        > 0.8
    )


def test_predict_needs_no_target_ignores_other_columns_and_notes_the_unseen(
    regression, tmp_path, capsys
):
    new = write_csv(
        tmp_path / "new.csv",
        {
            "junk": [1, 2],
            "kind": ["large", "vast"],
            "town": ["Köln", "Atlantis"],
            "size": [80, "?"],
        },
    )
    assert cli.main(["predict", regression, new]) == 0
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 3
    assert printed.err.count("\n") == 1
    assert (
        "note: rare or unseen categories count as none: 'Atlantis' in column 'town' and 1 more"
        in printed.err
    )


def test_evaluate_repeats_the_report_of_train(table, columns, tmp_path, capsys):
    """The unseen rows alone, in a file of their own, have the figures that train gave them."""
    from fastweights.table import read, split

    out = str(tmp_path / "m.safetensors")
    trained = run_json(capsys, "train", table, "--target", "rent", "--out", out, *QUICK)
    whole = read(table)
    whole = whole.take(whole["rent"].codes < 0)
    _, test = split(len(whole), 0.2, seed=0)
    unseen = write_csv(tmp_path / "unseen.csv", whole.take(test).columns)
    evaluated = run_json(capsys, "evaluate", out, unseen)
    for name in ("mae", "rmse", "r2", "baseline_mae", "baseline_rmse", "baseline_r2"):
        assert evaluated[name] == trained[name]
    assert cli.main(["evaluate", out, unseen]) == 0
    assert "60 rows, rent" in capsys.readouterr().out


def test_evaluate_leaves_out_rows_whose_class_is_unknown(classification, tmp_path, capsys):
    test = write_csv(
        tmp_path / "test.csv",
        {
            "size": [90, 20, 30],
            "town": ["Köln"] * 3,
            "rent": [1, 2, 3],
            "kind": ["large", "tiny", ""],
        },
    )
    assert cli.main(["evaluate", classification, test, "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["rows"] == 1
    assert "left out for want of a 'kind': 1 row\n" in printed.err
    unknown = "left out, the target being no class that the model knows: 'tiny' in column 'kind'\n"
    assert unknown in printed.err


def test_a_reader_that_stops_early_is_no_error(regression, tmp_path):
    rows = 20_000
    many = write_csv(
        tmp_path / "many.csv", {"size": [50] * rows, "town": ["x"] * rows, "kind": ["y"] * rows}
    )
    command = [*COMMAND, "predict", regression, many]
    with subprocess.Popen(
        command, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout.readline().strip() == b"rent"
        process.stdout.close()
        complaints = process.stderr.read()
        assert process.wait(30) == 0
    assert b"Traceback" not in complaints
    assert b"BrokenPipe" not in complaints


# ---- Ctrl-C --------------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize("patience", ["0", "1000000"])
def test_ctrl_c_in_training_keeps_the_best_epoch_writes_it_and_exits_with_130(
    table, tmp_path, patience
):
    out = tmp_path / "m.safetensors"
    argv = [*COMMAND, "train", table, "--target", "rent", "--out", str(out), "--json"]
    argv += ["--epochs", "10000000", "--patience", patience, "--ensemble", "1"]
    with subprocess.Popen(
        argv, cwd=HERE, stderr=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=listen
    ) as process:
        while b"epoch 1/" not in (line := process.stderr.readline()):
            assert line, "it ended"
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        printed, complaints = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"note: interrupted: going on with what was learnt so far" in complaints
    assert b"60 unseen rows, rent" in complaints
    assert b"Traceback" not in complaints
    figures = json.loads(printed)
    assert figures["interrupted"] is True
    assert 1 <= figures["best_epoch"] <= figures["epochs"]
    assert len(saving.read(out).layers) == 5
    assert sorted(tmp_path.iterdir()) == [out, tmp_path / "m.toml"]


@pytest.mark.parametrize("patience", ["0", "5"])
def test_the_weights_written_after_an_interrupt_are_those_of_the_best_finished_epoch(
    table, tmp_path, monkeypatch, capsys, patience
):
    """The third epoch is interrupted; two epochs alone, or the better of them, are what remains."""
    argv = ["train", table, "--target", "kind", "--patience", patience, "--quiet"]
    argv += ["--ensemble", "1", "--schedule", "constant"]
    uninterrupted = str(tmp_path / "two")
    expected = run_json(capsys, *argv, "--epochs", "2", "--out", uninterrupted)
    evaluate, calls = fw.training.evaluate, []

    def interrupt(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return evaluate(*arguments, **options)

    monkeypatch.setattr(fw.training, "evaluate", interrupt)
    out = str(tmp_path / "interrupted")
    assert cli.main([*argv, "--epochs", "9", "--out", out, "--json"]) == 130
    figures = json.loads(capsys.readouterr().out)
    assert figures["epochs"] == 2
    for name in ("best_epoch", "accuracy", "loss", "val_loss"):
        assert figures[name] == expected[name]
    assert saving.read(out).parameters.tobytes() == saving.read(uninterrupted).parameters.tobytes()


def test_ctrl_c_before_an_epoch_is_finished_and_a_second_one_write_nothing(
    table, tmp_path, monkeypatch, capsys
):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    argv = ["train", table, "--target", "rent", "--out", str(tmp_path / "m"), "--quiet"]
    for owner, function in ((fw.training, "evaluate"), (fw._loop.Loop, "run")):
        with monkeypatch.context() as patched:
            patched.setattr(owner, function, interrupt)
            assert cli.main(argv) == 130
    monkeypatch.setattr(fw.serialization, "write", interrupt)
    assert cli.main([*argv, "--epochs", "1"]) == 130
    assert capsys.readouterr().err == "fastweights: error: interrupted\n" * 3
    assert list(tmp_path.iterdir()) == []


@posix
@pytest.mark.parametrize("module", ["numpy", "argparse", "csv"])
@pytest.mark.parametrize("script", [True, False])
def test_ctrl_c_during_the_import_is_no_traceback(tmp_path, module, script):
    (tmp_path / f"{module}.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(9)\n"
    )
    command = [sys.executable, "-m", "fastweights"]
    if script:  # as pip writes it
        command = [sys.executable, str(tmp_path / "fastweights")]
        Path(command[1]).write_text(
            "import sys\nfrom fastweights.cli import main\nsys.exit(main())\n"
        )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [*command, "predict", "a", "b"],
        cwd=HERE,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        preexec_fn=listen,
        timeout=60,
        check=False,
    )
    assert done.returncode == 130
    assert done.stderr == b"fastweights: error: interrupted\n"


@pytest.mark.parametrize(
    ("name", "value"),
    [("FASTWEIGHTS_ISA", "z80"), ("FASTWEIGHTS_GRAIN", "x"), ("FASTWEIGHTS_NUM_THREADS", "x")],
)
def test_settings_in_the_environment_that_are_no_good_are_one_line(name, value):
    done = subprocess.run(
        [*COMMAND, "gradcheck", "--layers", "3,2"],
        cwd=HERE,
        env={**os.environ, name: value},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("fastweights: error: ")
    assert done.stderr.count("\n") == 1


def test_a_program_that_uses_the_library_keeps_its_tracebacks():
    run = run_python("import sys, fastweights.cli; assert sys.excepthook is sys.__excepthook__")
    assert run.returncode == 0, run.stderr


# ---- where it prints -----------------------------------------------------------------------------


@pytest.mark.parametrize("errors_too", [True, False])
def test_a_reader_that_stops_early_ends_the_printing_alone(table, tmp_path, errors_too):
    out = tmp_path / "m.safetensors"
    argv = [*COMMAND, "train", table, "--target", "rent", "--out", str(out), *QUICK]
    with subprocess.Popen(
        argv,
        cwd=HERE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if errors_too else subprocess.PIPE,
    ) as process:
        assert b"300 rows" in process.stdout.readline()
        process.stdout.close()
        complaints = b"" if errors_too else process.stderr.read()
        assert process.wait(60) == 0
    assert b"rror" not in complaints
    assert load_model(str(out)).model is not None


def in_a_shell(redirection: str, *argv: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["sh", "-c", f'exec "$0" "$@" {redirection}', *COMMAND, *argv],
        cwd=HERE,
        env={**os.environ, **environment},
        capture_output=True,
        timeout=60,
        check=False,
    )


@posix
@pytest.mark.parametrize("redirection", [">&-", ">&- 2>&-", "2>&-"])
def test_closed_streams(table, regression, tmp_path, redirection):
    out = tmp_path / "m.safetensors"
    argv = ["train", table, "--target", "rent", "--out", str(out), *QUICK]
    for command in (argv, [*argv, "--json"], ["evaluate", regression, table], ["info"], ["--help"]):
        done = in_a_shell(redirection, *command)
        assert done.returncode == 0, done.stderr
        assert b"Traceback" not in done.stderr
    assert load_model(str(out)).model is not None
    unseen = write_csv(tmp_path / "new.csv", {"size": [80], "town": ["Atlantis"], "kind": ["vast"]})
    done = in_a_shell(redirection, "predict", regression, unseen)
    if redirection == "2>&-":  # Notes do not go among the predictions.
        assert done.returncode == 0
        assert done.stdout.startswith(b"rent\n")
        assert done.stdout.count(b"\n") == 2
    else:
        assert done.returncode == 2
        assert done.stderr in (b"", CLOSED)


CLOSED = (
    b"fastweights: error: --out: got none, and a standard output that is closed, "
    b"expected a file for the predictions\n"
)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="has no device that is full")
def test_a_full_standard_output_is_an_error_after_the_work(table, regression, tmp_path):
    out = tmp_path / "m.safetensors"
    argv = ["train", table, "--target", "rent", "--out", str(out), *QUICK, "--quiet"]
    for command in (argv, [*argv, "--json"], ["predict", regression, table], ["info"]):
        done = in_a_shell(">/dev/full", *command)
        assert done.returncode == 2
        complaint = done.stderr.splitlines()[-1]
        assert complaint == b"fastweights: error: standard output: No space left on device"
        assert b"Traceback" not in done.stderr
    assert load_model(str(out)).model is not None


@posix
@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "ascii:strict"])
def test_letters_that_standard_output_lacks(tmp_path, encoding):
    rng = np.random.default_rng(0)
    size = rng.uniform(size=60)
    kinds = np.where(size > 0.5, "größer ≥", "kleiner →")
    wide = write_csv(tmp_path / "t.csv", {"Fläche ㎡": size, "Größe ∑": kinds})
    out = str(tmp_path / "m.safetensors")
    argv = ["train", wide, "--target", "Größe ∑", "--out", out, *QUICK]
    done = in_a_shell("", *argv, PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert b"? ?'" in done.stdout or b"e ?'" in done.stdout
    done = in_a_shell("", "predict", out, wide, PYTHONIOENCODING=encoding)
    assert done.returncode == 0
    assert done.stdout.splitlines()[0].endswith(b" ?")
    assert done.stderr.count(b"\n") == 1
    assert b"note: standard output, in " in done.stderr
    csv_file = tmp_path / "p.csv"
    done = in_a_shell("", "predict", out, wide, "--out", str(csv_file), PYTHONIOENCODING=encoding)
    assert done.stderr == b""
    assert csv_file.read_text(encoding="utf-8").startswith("Größe ∑,")


# ---- gradcheck, info, help -----------------------------------------------------------------------


#: What the last layer must end with for losses that want probabilities, or numbers above 0.
LAST = {
    "poisson": "softplus",
    "kl_divergence": "softmax",
    "categorical_focal_crossentropy": "softmax",
    "binary_focal_crossentropy": "sigmoid",
}


@pytest.mark.parametrize("loss", [name for name in LOSSES if name == LOSSES[name].name])
def test_gradcheck_of_a_spec_passes(loss, capsys):
    outputs = f"6:{LAST[loss]}" if loss in LAST else "6"
    argv = ["gradcheck", "--layers", f"8,16:relu,4:tanh,{outputs}", "--loss", loss]
    assert cli.main(argv) == 0
    assert "dense_2/kernel" in capsys.readouterr().out
    figures = run_json(capsys, *argv)
    assert figures["passed"] is True
    assert figures["worst_error"] < figures["tolerance"]
    assert len(figures["arrays"]) == 7


@pytest.mark.parametrize(
    ("loss", "activation"),
    [("binary_crossentropy", "sigmoid"), ("categorical_crossentropy", "softmax")],
)
def test_gradcheck_takes_outputs_without_activation_for_logits(loss, activation, capsys):
    argv = ["gradcheck", "--loss", loss, "--layers"]
    logits = run_json(capsys, *argv, "4,3")
    probabilities = run_json(capsys, *argv, f"4,3:{activation}")
    assert logits["loss"] == pytest.approx(probabilities["loss"], rel=1e-12)


def test_gradcheck_of_a_model_file_passes(classification, tmp_path):
    assert cli.main(["gradcheck", classification]) == 0
    uncompiled = str(tmp_path / "m.safetensors")
    fw.Sequential([layers.Dense(2)], input_shape=(3,), seed=0).save(uncompiled)
    assert cli.main(["gradcheck", uncompiled, "--loss", "log_cosh"]) == 0


def test_gradcheck_of_wrong_gradients_exits_with_1(monkeypatch, capsys):
    evaluate = fw.training.evaluate
    monkeypatch.setattr(
        fw.training, "evaluate", lambda *args: {"loss": 2 * evaluate(*args)["loss"]}
    )
    argv = ["gradcheck", "--layers", "3,4:tanh,2"]
    assert cli.main(argv) == 1
    assert "wrong" in capsys.readouterr().out
    assert cli.main([*argv, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["passed"] is False


def test_info_prints_the_configuration(capsys):
    assert cli.main(["info"]) == 0
    assert fw.config()["cpu_level"] in capsys.readouterr().out
    figures = run_json(capsys, "info")
    assert figures["version"] == fw.__version__
    assert figures["numpy"] == np.__version__
    assert figures["cpu_level"] in figures["available_levels"]


@pytest.mark.parametrize("command", [None, *cli.COMMANDS])
def test_help(command, capsys):
    assert cli.main([*([command] if command else []), "--help"]) == 0
    assert "usage: fastweights" in capsys.readouterr().out


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"fastweights {fw.__version__}\n"


def test_layers_spec():
    assert parse_layers("64, 32:relu,1", "tanh") == [(64, "tanh"), (32, "relu"), (1, "tanh")]
    assert parse_layers("3", None) == [(3, None)]


# ---- wrong usage ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--target", "expected one argument"),
        ("", "required: --target"),
        ("--target nothing", "no column 'nothing'"),
        ("--target rant", "did you mean 'rent'"),
        ("--target rent --task guess", "invalid choice: 'guess'"),
        ("--target town --task regression", "--target: got"),
        ("--target kind --log-target", "--log-target: got the classes in column 'kind'"),
        ("--target id", "classes that repeat"),
        ("--target country", "at least two classes"),
        ("--target rent --layers 64:rellu", "did you mean 'relu'"),
        ("--target rent --layers 64,,2", "--layers: got '64,,2'"),
        ("--target rent --layers 64:", "--layers: got '64:'"),
        ("--target rent --layers 0", "--layers: got '0'"),
        ("--target rent --layers -3", "--layers: got '-3'"),
        ("--target rent --layers abc", "--layers: got 'abc', expected UNITS[:ACTIVATION],..."),
        ("--target rent --layers 99999999999", "--layers: got '99999999999', expected UNITS"),
        ("--target rent --layers " + "9" * 9000, "--layers: got '999"),
        (
            "--target rent --layers 999999999,999999999",
            "--layers: got 1,000,000,000,999,999,998 parameters",
        ),
        ("--target rent --activation nothing", "--activation: got 'nothing'"),
        ("--target rent --loss nothing", "--loss: got 'nothing', expected one of mean_squared"),
        ("--target rent --loss poisson", "--loss: got 'poisson', expected one of mean_squared"),
        ("--target kind --loss mse", "--loss: got mse for the classes of column 'kind'"),
        ("--target kind --task classification --loss mse", "--loss: got mse for the classes"),
        ("--target rent --epochs 0", "--epochs: got 0"),
        ("--target rent --epochs many", "invalid int value: 'many'"),
        ("--target rent --batch-size 0", "--batch-size: got 0"),
        ("--target rent --learning-rate -1", "--learning-rate: got -1"),
        ("--target rent --learning-rate 0", "--learning-rate: got 0.0, expected a finite number"),
        ("--target rent --learning-rate nan", "--learning-rate: got nan"),
        ("--target rent --momentum 0.5", "--momentum: got 0.5, expected --optimizer sgd"),
        ("--target rent --optimizer sgd --momentum 1", "--momentum: got 1"),
        ("--target rent --patience -1", "--patience: got -1, expected at least 0"),
        ("--target rent --seed -1", "--seed: got -1"),
        ("--target rent --seed 99999999999999999999", "--seed: got 99999999999999999999"),
        ("--target rent --threads 0", "--threads: got 0, expected at least 1"),
        ("--target rent --test-fraction -0.1", "--test-fraction: got -0.1"),
        ("--target rent --test-fraction 1", "--test-fraction: got 1"),
        ("--target rent --test-fraction 0.999", "rows to train on"),
        ("--target rent --validation-fraction 1", "--validation-fraction: got 1"),
        ("--target rent --out .", "--out: got the directory"),
        ("--target rent --out /dev/full", "--out: got /dev/full, which is a device"),
        ("--target rent --out " + "n" * 300, "--out: cannot write to nnn"),
        ("--target rent --out no/such/folder/m", "--out: cannot write"),
        ("--target rent --plot no/such/folder/p.png", "--plot: cannot write"),
        ("--target rent --plot picture.doc", "--plot: got picture.doc"),
        ("--target rent --learning-rate 1e30 --optimizer sgd --loss mse", "smaller learning rate"),
        ("--target rent --unknown 1", "unrecognized arguments: --unknown 1 (see"),
        ("--target rent --weight size", "--weight size; did you mean '--sample-weight'?"),
    ],
)
def test_train_refuses(table, tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, "train", table, *options.split())
    assert list(tmp_path.iterdir()) == []


def test_options_are_looked_at_before_the_table(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for options in (
        "--layers abc",
        "--layers 3:rellu",
        "--activation nothing",
        "--loss nothing",
        "--task classification --loss mse",
        "--epochs 0",
        "--patience -1",
        "--batch-size 0",
        "--learning-rate 0",
        "--momentum 0.5",
        "--optimizer sgd --momentum 1",
        "--test-fraction -1",
        "--validation-fraction 1",
        "--seed -1",
        "--threads 0",
        "--out .",
        "--plot picture.doc",
    ):
        complaint = refused(capsys, "train", "none.csv", "--target", "y", *options.split())
        option = options.split()[-2]
        assert complaint.startswith(f"fastweights: error: {option}: got "), complaint
    assert "none.csv: No such file" in refused(capsys, "train", "none.csv", "--target", "y")
    assert list(tmp_path.iterdir()) == []


@posix
def test_a_place_without_room_is_noticed_before_training(table, tmp_path, capsys):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        out = str(tmp_path / "m")
        complaint = refused(capsys, "train", table, "--target", "rent", "--out", out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert complaint == f"fastweights: error: --out: cannot write to {out} (File too large)\n"
    assert list(tmp_path.iterdir()) == []


@posix
def test_what_is_no_file_is_refused_at_once(table, regression, tmp_path, capsys):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, kind in ((pipe, "pipe"), ("/dev/zero", "device"), (tmp_path, "directory")):
        words = f"path: got {path}, which is a {kind}, expected a file"
        if kind != "directory":  # where there may be images
            assert words in refused(capsys, "train", str(path), "--target", "y")
        for command in ("predict", "evaluate"):
            assert words in refused(capsys, command, regression, str(path))
            assert words in refused(capsys, command, str(path), table)
        assert words in refused(capsys, "gradcheck", str(path))


def test_memory_that_is_not_there_is_one_line(table, monkeypatch, capsys):
    def take(size):
        return lambda *arguments, **options: np.empty(size, np.uint8)

    monkeypatch.setattr(cli.reading, "read", take(2**62))
    assert "out of memory: Unable to allocate" in refused(capsys, "train", table, "--target", "y")


def test_model_and_table_in_the_wrong_order(regression, table, capsys):
    for command in ("predict", "evaluate"):
        complaint = refused(capsys, command, table, regression)
        assert f"MODEL: got {table}, which is none, and the model {regression} after" in complaint
    assert "this is a model, expected a CSV" in refused(
        capsys, "train", regression, "--target", "y"
    )


def test_a_column_of_nearly_the_same_name_is_suggested(regression, tmp_path, capsys):
    new = write_csv(tmp_path / "n.csv", {"Size": [1], "towns": ["x"], "kind": ["y"]})
    words = "lacks 2 of the columns that the model uses: 'size' (is it 'Size'?), 'town' (is it 'to"
    assert words in refused(capsys, "predict", regression, new)


def test_complaints_are_one_line_whatever_was_typed(capsys):
    for argv in (["train", "x", "--target", "y", "a\nb"], ["a\nb"], ["predict", "a\nb", "c\rd"]):
        refused(capsys, *argv)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"x,y\n", "got no rows"),
        (b"x,y\n1,2\n", "got 1 row with a target, expected at least 10"),
        (b"x,y\n" + b"1,\n" * 20, "--target: got no cell in column 'y' that says what it is"),
        (b"x,y\n" + b"1,2\n" * 5 + b"1\n", "line 7 has 1 cells"),
        (bytes(range(256)), "a binary file"),
        (b"y\n" + b"1.5\n2\n" * 20, "no column to learn from"),
    ],
)
def test_train_refuses_files(tmp_path, capsys, content, message):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    out = tmp_path / "m.safetensors"
    assert message in refused(
        capsys, "train", str(path), "--target", "y", "--out", str(out), "--task", "regression"
    )
    assert not out.exists()


def test_log_target_of_negative_numbers_is_refused(tmp_path, capsys):
    path = write_csv(tmp_path / "t.csv", {"x": np.linspace(0, 1, 20) ** 2, "y": range(-1, 19)})
    assert "--log-target: got -1" in refused(capsys, "train", path, "--target", "y", "--log-target")


def test_an_input_is_never_written_over(table, regression, capsys):
    before = Path(table).read_bytes()
    assert "expected another file" in refused(
        capsys, "train", table, "--target", "rent", "--out", table
    )
    assert "expected another file" in refused(capsys, "predict", regression, table, "--out", table)
    assert Path(table).read_bytes() == before


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_wrong_model_files_are_refused(command, regression, table, tmp_path, capsys):
    content = Path(regression).read_bytes()
    bad = tmp_path / "bad.safetensors"
    for wrong in (b"", b"not a model", content[:100], content[:-1], content[: len(content) // 2]):
        bad.write_bytes(wrong)
        assert str(bad) in refused(capsys, command, str(bad), table)
    plain = str(tmp_path / "plain.safetensors")
    fw.Sequential([layers.Dense(1)], input_shape=(3,), seed=0).save(plain)
    assert "not written by 'fastweights train'" in refused(capsys, command, plain, table)
    other = str(tmp_path / "other.safetensors")
    model = fw.Sequential([layers.Dense(1)], input_shape=(3,), seed=0)
    model.save(other, metadata={TABLE: read_metadata(regression)[TABLE]})
    assert "does not fit" in refused(capsys, command, other, table)
    model.save(other, metadata={TABLE: "{}"})
    assert "preprocessing: got {}" in refused(capsys, command, other, table)
    assert "No such file" in refused(capsys, command, str(tmp_path / "none"), table)
    assert "directory" in refused(capsys, command, str(tmp_path), table)


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_wrong_tables_for_a_model_are_refused(command, regression, table, tmp_path, capsys):
    short = write_csv(tmp_path / "short.csv", {"size": [1, 2], "rent": [3, 4]})
    assert "lacks 2 of the columns that the model uses: 'town', 'kind'" in refused(
        capsys, command, regression, short
    )
    assert "No such file" in refused(capsys, command, regression, str(tmp_path / "none.csv"))
    assert "directory" in refused(capsys, command, regression, str(tmp_path))
    assert "this is a model" in refused(capsys, command, regression, regression)


def test_evaluate_without_the_target_is_refused(regression, tmp_path, capsys):
    new = write_csv(tmp_path / "n.csv", {"size": [1, 2], "town": "ab", "kind": "cd"})
    assert "no column 'rent'" in refused(capsys, "evaluate", regression, new)
    new = write_csv(tmp_path / "n.csv", {"size": [1, 2], "town": "ab", "kind": "cd", "rent": "ef"})
    assert "no row has a 'rent'" in refused(capsys, "evaluate", regression, new)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", "MODEL or --layers: got none"),
        ("model.safetensors --layers 3,2", "MODEL or --layers: got both"),
        ("--layers 3", "--layers: got '3'"),
        ("--layers 3:relu,2", "--layers: got '3:relu,2'"),
        ("--layers 3,2:nothing", "--layers: got 'nothing'"),
        ("--layers 99999999,99999999", "--layers: got 9,999,999,900,000,000 parameters"),
        ("--layers 3,2 --seed 18446744073709551616", "--seed: got 18446744073709551616"),
        ("--layers 3,2 --rows " + "9" * 400, "--rows: got 9999"),
        ("--layers 3,2 --rows 999999999999999", "--rows: got 999,999,999,999,999 rows, which"),
        ("--layers 3,2 --loss nothing", "--loss: got 'nothing'"),
        ("--layers 3,1 --loss sparse_categorical_crossentropy", "use binary_crossentropy"),
        ("--layers 3,2 --rows 0", "--rows: got 0"),
        ("--layers 3,2 --seed -1", "--seed: got -1"),
        ("--layers 3,2 --tolerance 0", "--tolerance: got 0"),
        ("none.safetensors", "No such file"),
    ],
)
def test_gradcheck_refuses(options, message, capsys):
    assert message in refused(capsys, "gradcheck", *options.split())


@pytest.mark.parametrize(
    ("argv", "message"), [([], "COMMAND"), (["trian"], "got 'trian', expected one of train")]
)
def test_wrong_commands_are_refused(argv, message, capsys):
    assert message in refused(capsys, *argv)
