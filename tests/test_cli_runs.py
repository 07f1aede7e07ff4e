"""Runs in files, trainings that are interrupted or killed and go on, and sweeps."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from cli_running import listen, posix, refused, run_json, write_csv

import fastweights as fw
from fastweights import cli, saving, serialization
from fastweights.cli import checkpoints, runs
from fastweights.cli.modelfile import load_model

if sys.version_info < (3, 11):
    pytest.importorskip("tomli")

ROWS = 200
#: A training that writes a checkpoint after every epoch, and in the middle of long ones.
EAGER = "import sys; from fastweights import cli; from fastweights.cli import checkpoints; "
EAGER += "checkpoints.SECONDS_BETWEEN = 0.0; sys.exit(cli.main())"


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(2, ROWS)).round(4)
    columns = {
        "a": a.tolist(),
        "b": b.tolist(),
        "y": (3 * a - 2 * b + 0.5 * a * b + 10).round(4).tolist(),
        "kind": np.where(a > 0, "up", "down").tolist(),
    }
    return write_csv(tmp_path_factory.mktemp("table") / "t.csv", columns)


# ---- runs in files -------------------------------------------------------------------------------

#: Options of tables, as many as go together.
MANY = [
    "--layers", "9:relu,5", "--activation", "selu", "--dtype", "float64", "--optimizer",
    "adamw(weight_decay=0.02, clipnorm=2.0)", "--learning-rate", "0.004", "--schedule",
    "LinearWarmup(schedule=CosineDecay, warmup_steps=10%)", "--loss", "huber", "--epochs", "6",
    "--batch-size", "16", "--patience", "3", "--early-stopping", "mape", "--metrics", "mae,mape",
    "--dropout", "0.1", "--l2", "0.0001", "--sample-weight", "a weight", "--seed", "11",
    "--validation-fraction", "0.25", "--test-fraction", "0.3", "--task", "regression",
    "--log-target", "--ensemble", "2", "--linear",
]  # fmt: skip


def test_a_run_s_file_makes_the_same_model_again(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    x = rng.normal(size=80).round(3)
    write_csv(tmp_path / "t.csv", {"x": x, 'the "y"': np.exp(x).round(5), "a weight": x**2})
    argv = ["train", "t.csv", "--target", 'the "y"', "--out", "m.safetensors", *MANY]
    assert cli.main([*argv, "--quiet"]) == 0
    model, written = (tmp_path / "m.safetensors").read_bytes(), (tmp_path / "m.toml").read_bytes()
    (tmp_path / "m.safetensors").unlink()
    assert cli.main(["train", "--config", "m.toml", "--quiet"]) == 0
    assert (tmp_path / "m.safetensors").read_bytes() == model
    assert (tmp_path / "m.toml").read_bytes() == written
    assert cli.main(["train", "--config", "m.toml", "--out", "n", "--quiet"]) == 0
    assert (tmp_path / "n").read_bytes() == model
    told = runs.read("n.toml")
    assert told.pop("out") == "n"
    assert told == {k: v for k, v in runs.read("m.toml").items() if k != "out"}
    names = {option[2:] for option in MANY if option.startswith("--")}
    assert names < set(told)


def test_options_on_the_command_line_go_before_the_file(table, tmp_path, capsys):
    path = tmp_path / "run.toml"
    path.write_text(f"data = {json.dumps(table)}\ntarget = 'y'\nepochs = 3\nlayers = '8'\n")
    out = str(tmp_path / "m")
    argv = ["train", "--config", str(path), "--out", out, "--patience", "0"]
    argv += ["--ensemble", "1"]
    assert run_json(capsys, *argv)["epochs"] == 3
    assert run_json(capsys, *argv, "--epochs", "2")["epochs"] == 2
    dense = [one for one in saving.read(out).layers if isinstance(one, fw.layers.Dense)]
    assert [layer.units for layer in dense] == [8, 1]
    other = write_csv(tmp_path / "o.csv", {"a": np.cos(np.arange(20.0)), "y": np.arange(20.0)})
    assert run_json(capsys, "train", other, *argv[1:])["rows"] == 20
    path.write_text(path.read_text() + "log_target = true\nquiet = true\njson = false\n")
    assert cli.main([*argv, "--no-log-target"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert load_model(out)[2].target.log is False


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epocs = 3", "run.toml: option: got 'epocs', expected one of"),
        ("epocs = 3", "did you mean 'epochs'"),
        ("config = 'a'", "run.toml: option: got 'config'"),
        ("epochs = 'many'", "--epochs: invalid int value: 'many'"),
        ("epochs = [3]", "run.toml: epochs: got [3], expected text or a number"),
        ("quiet = 1", "run.toml: quiet: got 1, expected true or false"),
        ("epochs = 0", "--epochs: got 0"),
        ("epochs = ", "run.toml: Invalid value"),
        ("[training]\nepochs = 3", "run.toml: option: got 'training'"),
        ("\x00", "run.toml: "),
        ("#" * 2**21, "has more than 1,048,576 bytes"),
    ],
)
def test_files_are_refused(text, message, table, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.toml").write_text(text)
    assert message in refused(capsys, "train", table, "--target", "y", "--config", "run.toml")
    assert [path.name for path in tmp_path.iterdir()] == ["run.toml"]


def test_a_file_that_says_something_else_is_not_written_over(table, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.toml").write_text(
        f"# mine\ndata = {json.dumps(table)}\ntarget = 'y'\nepochs = 2\nensemble = 1\n"
    )
    text = (tmp_path / "m.toml").read_text()
    argv = ["train", "--config", "m.toml", "--out", "m.safetensors", "--quiet"]
    assert "expected another name than that of --config" in refused(capsys, *argv, "--epochs", "1")
    assert cli.main([*argv[:-1], "--out", "other", "--quiet"]) == 0
    assert (tmp_path / "m.toml").read_text() == text


def test_a_file_of_somebody_else_s_is_not_written_over(table, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "project.toml").write_text("[project]\n")
    argv = ["train", table, "--target", "y", "--out", "project", "--quiet", "--epochs", "1"]
    assert "which is none, expected another name" in refused(capsys, *argv)
    assert (tmp_path / "project.toml").read_text() == "[project]\n"


def test_without_what_reads_toml_it_is_said(table, tmp_path, monkeypatch, capsys):
    (tmp_path / "run.toml").write_text("epochs = 2\n")
    for module in ("tomllib", "tomli"):
        monkeypatch.setitem(sys.modules, module, None)
    argv = ["train", table, "--target", "y", "--config", str(tmp_path / "run.toml")]
    assert "--config: needs Python 3.11, or tomli" in refused(capsys, *argv)


# ---- going on ------------------------------------------------------------------------------------


def resumable(table, tmp_path, *more):
    argv = ["train", table, "--target", "kind", "--out", str(tmp_path / "m.safetensors"), "--quiet"]
    argv += [
        "--epochs",
        "40",
        "--patience",
        "6",
        "--early-stopping",
        "accuracy",
        "--dropout",
        "0.2",
    ]
    argv += ["--optimizer", "adamw(weight_decay=0.01)", "--schedule", "CosineDecay"]
    argv += ["--layers", "64", "--ensemble", "2"]
    return [*argv, "--class-weight", "balanced", *more]


@posix
def test_killed_at_any_moment_and_resumed_it_ends_with_the_same_bits(table, tmp_path):
    argv = resumable(table, tmp_path)
    assert cli.main(argv) == 0
    out, checkpoint = tmp_path / "m.safetensors", tmp_path / "m.checkpoint.safetensors"
    expected = out.read_bytes()
    assert not checkpoint.exists()
    out.unlink()
    rng, kills, ended = np.random.default_rng(0), 0, False
    while not ended:
        options = ["--resume"] if kills else []
        with subprocess.Popen([sys.executable, "-c", EAGER, *argv, *options]) as process:
            if kills < 6:
                before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
                while process.poll() is None and (
                    not checkpoint.exists() or checkpoint.stat().st_mtime_ns == before
                ):
                    time.sleep(0.002)
                time.sleep(rng.uniform(0, 0.02))
                process.send_signal(signal.SIGKILL)
            code = process.wait(timeout=60)
        assert code in (0, -signal.SIGKILL)
        ended = code == 0
        kills += not ended
    assert kills > 0
    assert out.read_bytes() == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.safetensors", "m.toml"]


@posix
def test_after_ctrl_c_it_goes_on(table, tmp_path):
    argv = resumable(table, tmp_path, "--epochs", "60")
    assert cli.main(argv) == 0
    out, checkpoint = tmp_path / "m.safetensors", tmp_path / "m.checkpoint.safetensors"
    expected = out.read_bytes()
    with subprocess.Popen(
        [sys.executable, "-c", EAGER, *argv], preexec_fn=listen, stdout=subprocess.PIPE
    ) as process:
        while not checkpoint.exists() and process.poll() is None:
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=60)
    if process.returncode:
        assert process.returncode == 130
        assert checkpoint.exists()
        assert b"which --resume goes on from" in printed
    assert cli.main([*argv, "--resume"]) == 0
    assert out.read_bytes() == expected
    assert not checkpoint.exists()


class StoppedError(Exception):
    """As if the process had been killed."""


def stopped(monkeypatch, argv, saves):
    """Runs a training that ends with so many checkpoints, in whatever place."""
    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "SECONDS_BETWEEN", 0.0)
        save, made = checkpoints.Checkpoint._save_if_due, []

        def counted(callback):
            save(callback)
            made.append(1)
            if len(made) == saves:
                raise StoppedError

        patched.setattr(checkpoints.Checkpoint, "_save_if_due", counted)
        with pytest.raises(StoppedError):
            cli.main(argv)


def test_a_minimizer_goes_on(table, tmp_path, monkeypatch):
    argv = [
        "train",
        table,
        "--target",
        "y",
        "--out",
        str(tmp_path / "m"),
        "--quiet",
        "--loss",
        "mse",
    ]
    argv += ["--optimizer", "lbfgs", "--epochs", "9", "--ensemble", "2", "--layers", "8"]
    assert cli.main(argv) == 0
    expected = (tmp_path / "m").read_bytes()
    stopped(monkeypatch, argv, 4)
    assert cli.main([*argv, "--resume"]) == 0
    assert (tmp_path / "m").read_bytes() == expected


@pytest.mark.parametrize("saves", [1, 2, 7])
def test_every_checkpoint_does(saves, table, tmp_path, monkeypatch, capsys):
    """The report too: epochs, the best one and its figures are those of the whole training."""
    argv = resumable(table, tmp_path)
    expected = run_json(capsys, *argv)
    stopped(monkeypatch, argv, saves)
    found = run_json(capsys, *argv, "--resume")
    assert {k: v for k, v in found.items() if k != "seconds"} == {
        k: v for k, v in expected.items() if k != "seconds"
    }


def test_in_the_middle_of_an_epoch(tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    x = rng.normal(size=3000).round(4)
    table = write_csv(tmp_path / "t.csv", {"x": x, "y": (x**2).round(4)})
    argv = [
        "train",
        table,
        "--target",
        "y",
        "--out",
        str(tmp_path / "m"),
        "--quiet",
        "--epochs",
        "2",
        "--ensemble",
        "1",
    ]
    expected = run_json(capsys, *argv)
    weights = saving.read(tmp_path / "m").parameters.tobytes()
    monkeypatch.setattr("fastweights.training.STRETCH_SECONDS", 1e-4)
    stopped(monkeypatch, argv, 3)
    _, place = saving.with_place(tmp_path / "m.checkpoint.safetensors")
    assert 0 < place.row < place.rows
    assert run_json(capsys, *argv, "--resume")["val_loss"] == expected["val_loss"]
    assert saving.read(tmp_path / "m").parameters.tobytes() == weights


def test_resuming_is_refused_with_other_options_and_rows(table, tmp_path, monkeypatch, capsys):
    argv = resumable(table, tmp_path, "--ensemble", "1")
    stopped(monkeypatch, argv, 2)
    for option, value, message in (
        ("--dropout", "0.3", "--dropout: got 0.3, expected 0.2, as "),
        ("--layers", "8", "--layers: got '8', expected '64'"),
        ("--epochs", "41", "--epochs: got 41, expected 40"),
    ):
        assert message in refused(capsys, *argv, option, value, "--resume")
    rows = Path(table).read_text().splitlines()
    other = tmp_path / "other.csv"
    other.write_text("\n".join([rows[0], *rows[2:], rows[1]]))
    assert "--resume: got other rows in DATA" in refused(
        capsys, "train", str(other), *argv[2:], "--resume"
    )
    checkpoint = tmp_path / "m.checkpoint.safetensors"
    saved = checkpoint.read_bytes()
    checkpoint.write_bytes(saved[: len(saved) // 2])
    assert "m.checkpoint.safetensors" in refused(capsys, *argv, "--resume")
    for text in ("", "[" * 99999, "3", '{"options": 3, "rows": 4}', '{"options": {}}'):
        model = fw.Sequential([fw.layers.Dense(1)], 1, seed=0)
        model.save(checkpoint, metadata={checkpoints.KEY: text})
        assert "--resume: got " in refused(capsys, *argv, "--resume")
    checkpoint.unlink()
    assert cli.main([*argv, "--resume"]) == 0
    assert "--resume: there is no" in capsys.readouterr().err


def test_checkpoints_go_where_it_is_said(table, tmp_path, monkeypatch):
    argv = resumable(table, tmp_path, "--checkpoint", str(tmp_path / "here.safetensors"))
    argv += ["--ensemble", "1"]
    stopped(monkeypatch, argv, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["here.safetensors"]
    assert cli.main([*argv, "--resume"]) == 0
    assert not (tmp_path / "here.safetensors").exists()


@pytest.mark.parametrize("options", [[], ["--checkpoint", "notes.txt"]])
def test_a_file_of_somebody_else_s_is_no_checkpoint(options, table, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    argv = resumable(table, tmp_path, "--epochs", "2", *options)
    path = tmp_path / (options[1] if options else "m.checkpoint.safetensors")
    path.write_bytes(b"mine")
    assert "--checkpoint: got " in refused(capsys, *argv)
    assert path.read_bytes() == b"mine"


def test_files_of_a_run_are_all_different(table, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.cfg").write_text("epochs = 2\n")
    (tmp_path / "other.toml").write_text("epochs = 2\n")
    train = ["train", table, "--target", "y", "--out", "m.safetensors"]
    config = ["--config", "run.cfg"]
    for argv, option in [
        ([*train[:-1], "run.cfg", *config], "--out"),
        ([*train, *config, "--checkpoint", "run.cfg"], "--checkpoint"),
        ([*train, "--checkpoint", "m.toml"], "--checkpoint"),
        ([*train, "--checkpoint", "m.safetensors"], "--checkpoint"),
        (["sweep", *train[1:], "--try", "epochs=1;2", "--results", "m.toml"], "--results"),
        (
            ["sweep", *train[1:], "--try", "epochs=1;2", "--results", "run.cfg", *config],
            "--results",
        ),
    ]:
        assert f"{option}: got " in refused(capsys, *argv)
    assert (tmp_path / "run.cfg").read_text() == "epochs = 2\n"


@posix
def test_what_a_link_leads_to_is_the_checkpoint(table, tmp_path, monkeypatch):
    argv = resumable(table, tmp_path, "--checkpoint", str(tmp_path / "link.safetensors"))
    stopped(monkeypatch, argv, 1)
    (tmp_path / "link.safetensors").rename(tmp_path / "file.safetensors")
    (tmp_path / "link.safetensors").symlink_to(tmp_path / "file.safetensors")
    assert cli.main([*argv, "--resume"]) == 0
    assert not (tmp_path / "file.safetensors").exists()
    assert not (tmp_path / "link.safetensors").is_symlink()


# ---- sweeps --------------------------------------------------------------------------------------


def sweep(table, tmp_path, *more):
    argv = ["sweep", table, "--target", "y", "--out", str(tmp_path / "s.safetensors"), "--quiet"]
    return [*argv, "--epochs", "4", "--layers", "8", *more]


def test_a_sweep_trains_the_best_of_its_trials(table, tmp_path, capsys):
    more = ("--try", "layers=4;16,8", "--try", "learning-rate=1e-4;1e-2", "--metrics", "mape")
    more += ("--loss", "mae", "--no-linear")
    figures = run_json(capsys, *sweep(table, tmp_path, *more))
    assert figures["trials"] == 4
    records = [json.loads(line) for line in (tmp_path / "s.sweep.jsonl").read_text().splitlines()]
    assert len(records) == 4
    best = min(records, key=lambda record: record["score"])
    assert figures["params"] == best["params"]
    assert figures["score"] == best["score"]
    # Without penalties the loss, a mean absolute error, is what trials are compared by.
    assert figures["val_loss"] == pytest.approx(best["score"], rel=1e-6)
    swept = (tmp_path / "s.safetensors").read_bytes()
    argv = ["train", "--config", str(tmp_path / "s.toml"), "--quiet"]
    assert cli.main(argv) == 0
    assert (tmp_path / "s.safetensors").read_bytes() == swept
    params = {k.replace("_", "-"): v for k, v in best["params"].items()}
    assert params.items() <= runs.read(str(tmp_path / "s.toml")).items()


@pytest.mark.parametrize("options", [["--class-weight", "balanced"], ["--sample-weight", "b2"]])
def test_a_sweep_s_rows_are_weighted(options, tmp_path, capsys):
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(2, ROWS)).round(4)
    kind = np.where(a + rng.normal(size=ROWS) > 1, "up", "down")
    table = write_csv(tmp_path / "t.csv", {"a": a, "b": b, "b2": b**2, "kind": kind})
    argv = sweep(table, tmp_path, "--try", "layers=4", *options)
    argv[3] = "kind"
    figures = run_json(capsys, *argv)
    assert figures["val_loss"] == pytest.approx(figures["score"], rel=1e-6)
    plain = run_json(capsys, *argv[:-2], "--results", str(tmp_path / "p"))
    assert plain["score"] != figures["score"]


def test_a_sweep_prints_its_table(table, tmp_path, capsys):
    argv = sweep(table, tmp_path, "--try", "batch-size=8;32")
    argv.remove("--quiet")
    assert cli.main(argv) == 0
    printed = capsys.readouterr()
    for words in ("trial", "score", "batch_size", "best: trial", "40 unseen rows, y"):
        assert words in printed.out
    assert "2/2 trials" in printed.err
    assert "2/2 trials" not in printed.out


def test_ranges_are_drawn_and_settings_may_be_in_a_file(table, tmp_path, capsys):
    path = tmp_path / "space.toml"
    path.write_text(
        "trials = 12\n[try]\nlearning-rate = '1e-4..1e-2'\nbatch_size = '8..64'\n"
        "dropout = '0..0.5'\noptimizer = ['adam', 'adamw(weight_decay=0.01)']\n"
    )
    figures = run_json(capsys, *sweep(table, tmp_path, "--config", str(path), "--jobs", "2"))
    assert figures["trials"] == 12
    lines = (tmp_path / "s.sweep.jsonl").read_text().splitlines()
    found = [json.loads(line)["params"] for line in lines]
    rates = [params["learning_rate"] for params in found]
    assert all(1e-4 <= rate <= 1e-2 for rate in rates)
    assert min(rates) < 1e-3 < max(rates)
    assert all(type(params["batch_size"]) is int for params in found)
    assert all(8 <= params["batch_size"] <= 64 for params in found)
    assert all(0 <= params["dropout"] <= 0.5 for params in found)
    assert {params["optimizer"] for params in found} == {"adam", "adamw(weight_decay=0.01)"}


def test_a_sweep_that_was_interrupted_goes_on(table, tmp_path, capsys, monkeypatch):
    argv = sweep(table, tmp_path, "--try", "layers=4;8;16")
    expected = run_json(capsys, *argv)
    results = tmp_path / "s.sweep.jsonl"
    first = results.read_text().splitlines(keepends=True)[0]
    results.write_text(first + '{"half a li')
    assert run_json(capsys, *argv)["score"] == expected["score"]
    lines = results.read_text().splitlines(keepends=True)
    assert lines[0] == first
    assert len(lines) == 3
    assert "a file belongs to one sweep" in refused(capsys, *argv, "--dropout", "0.1")


def test_ctrl_c_keeps_the_trials_that_are_done(table, tmp_path, capsys, monkeypatch):
    argv = sweep(table, tmp_path, "--try", "layers=4;8;16", "--jobs", "1")
    expected = run_json(capsys, *argv)
    results = tmp_path / "s.sweep.jsonl"
    whole = results.read_text().splitlines()
    results.unlink()
    (tmp_path / "s.safetensors").unlink()
    trial, calls = fw.sweeping.run_trial, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return trial(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(fw.sweeping, "run_trial", interrupted)
        assert cli.main(argv) == 130
    assert len(results.read_text().splitlines()) == 1
    assert not (tmp_path / "s.safetensors").exists()
    assert run_json(capsys, *argv)["score"] == expected["score"]
    assert len(results.read_text().splitlines()) == len(whole)


def test_the_score_may_be_a_metric(table, tmp_path, capsys):
    argv = sweep(table, tmp_path, "--try", "layers=2;32", "--early-stopping", "accuracy")
    argv[3] = "kind"
    figures = run_json(capsys, *argv)
    assert figures["monitor"] == "val_accuracy"
    records = [json.loads(line) for line in (tmp_path / "s.sweep.jsonl").read_text().splitlines()]
    assert figures["score"] == max(record["score"] for record in records)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", "required: --try"),
        ("--try layers", "--try: got 'layers', expected OPTION=VALUES"),
        ("--try layers=", "--try: got 'layers='"),
        ("--try layer=4;8", "--try: got 'layer', expected one of layers"),
        ("--try seed=1;2", "--try: got 'seed'"),
        ("--try layers=4;8 --try layers=2", "--try: got layers twice"),
        ("--try dropout=a;b", "--try dropout: got 'a', expected numbers"),
        ("--try batch-size=8.5..9", "--try batch-size: got '8.5', expected whole numbers"),
        ("--try dropout=0.5..0.1", "--try dropout: got '0.5..0.1', expected low..high"),
        ("--try dropout=0.1;2", "--dropout: got 2"),
        ("--try layers=4;rellu", "--layers: got 'rellu'"),
        ("--try augment=move;flip", "--augment: got it for"),
        ("--try layers=4 --trials 0", "--trials: got 0"),
        ("--try layers=4 --jobs 0", "--jobs: got 0"),
        ("--try layers=4 --validation-fraction 0", "--validation-fraction: got no rows"),
        ("--try layers=4 --results no/such/file", "--results: cannot write"),
        ("--try layers=4 --ensemble 2", "--ensemble: got 2"),
    ],
)
def test_sweeps_are_refused(options, message, table, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    argv = ["sweep", table, "--target", "y", "--epochs", "2", *options.split()]
    assert message in refused(capsys, *argv)
    assert list(tmp_path.iterdir()) == []


def test_checkpoints_hold_no_paths(table, tmp_path, monkeypatch):
    stopped(monkeypatch, resumable(table, tmp_path), 1)
    metadata = serialization.read_metadata(str(tmp_path / "m.checkpoint.safetensors"))
    assert str(os.path.dirname(table)) not in json.dumps(metadata)
