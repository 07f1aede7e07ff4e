"""Commands, options and settings under the names that other libraries have for them."""

from __future__ import annotations

import argparse
import warnings

import numpy as np
import pytest
from cli_running import refused, run_json, write_csv

import fastweights as fw
from fastweights import cli, losses
from fastweights.cli import checkpoints, others, sweep, train
from fastweights.cli.checkpoints import Checkpoint
from fastweights.cli.modelfile import read_model


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    a, b = np.random.default_rng(1).normal(size=(2, 90)).round(3)
    columns = {"a": a, "b": b, "y": (2 * a - b).round(3), "kind": np.where(a > 0, "up", "down")}
    return write_csv(tmp_path_factory.mktemp("table") / "t.csv", columns)


@pytest.fixture
def argv(table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return ["train", table, "--target", "y", "--epochs", "2", "--layers", "8", "--quiet"]


def options_of(command):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return {name[2:] for name in parser._option_string_actions if name.startswith("--")}


def test_what_is_meant_is_there():
    assert set(others.COMMANDS.values()) <= set(cli.COMMANDS)
    here = options_of(train) | options_of(sweep)
    assert set(others.OPTIONS.values()) <= here
    assert not here & set(others.OPTIONS)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("--lr", "did you mean '--learning-rate'?"),
        ("--learning_rate", "did you mean '--learning-rate'?"),
        ("--batch_size", "did you mean '--batch-size'?"),
        ("--num-epochs", "did you mean '--epochs'?"),
        ("--validation-split", "did you mean '--validation-fraction'?"),
        ("--test-size", "did you mean '--test-fraction'?"),
        ("--random-state", "did you mean '--seed'?"),
        ("--gpu", "all runs on CPUs"),
        ("--device=cuda", "all runs on CPUs"),
        ("--optmizer", "did you mean '--optimizer'?"),
    ],
)
def test_options_of_others(given, meant, argv, capsys):
    assert meant in refused(capsys, *argv, given, "1")


@pytest.mark.parametrize(("given", "meant"), [("fit", "train"), ("trian", "train"), ("test", "e")])
def test_commands_of_others(given, meant, capsys):
    told = refused(capsys, given, "t.csv")
    assert f"COMMAND: got '{given}', expected one of train" in told
    assert f"did you mean '{meant}" in told


def test_keys_of_others_in_a_file(argv, tmp_path, capsys):
    file = tmp_path / "e.toml"
    for text, told in [
        ("lr = 0.1", "option: got 'lr', expected one of data, target"),
        ("lr = 0.1", "did you mean 'learning-rate'?"),
        ("num_epochs = 3", "did you mean 'epochs'?"),
        ("batch_size = 3\nbatch-size = 4", "got batch_size and batch-size, expected each option o"),
    ]:
        file.write_text(text)
        assert told in refused(capsys, *argv, "--config", str(file))


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("adam(lr=0.1)", "--optimizer: got lr in it, expected --learning-rate beside it"),
        ("adam(betas=[0.9])", "write beta_1 and beta_2"),
        ("adam(beta1=0.9)", "did you mean 'beta_1'?"),
    ],
)
def test_settings_of_others(spec, told, argv, capsys):
    assert told in refused(capsys, *argv, "--optimizer", spec)


@pytest.mark.parametrize(
    "command", ["train", "train --target y", "train --config e", "sweep --try epochs=1;2"]
)
def test_data_come_first(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "e").write_text("")
    assert "the following arguments are required: DATA" in refused(capsys, *command.split())


def test_warnings_are_notes(argv, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert cli.main([*argv, "--optimizer", "rprop", "--batch-size", "32"]) == 0
    told = capsys.readouterr().err
    assert "fastweights: note: " in told
    assert "Warning" not in told
    assert ".py" not in told


def test_a_schedule_is_as_long_as_the_training(argv, tmp_path):
    argv += ["--optimizer", "rprop", "--schedule", "CosineDecay", "--batch-size", "16"]
    argv += ["--ensemble", "1"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert cli.main(argv) == 0
    model = read_model(str(tmp_path / "model.safetensors"))
    assert model.optimizer.config()["learning_rate"]["decay_steps"] == 2 * -(-63 // 16)


def test_an_ensemble_of_one_is_a_network(argv, capsys):
    one = run_json(capsys, *argv, "--ensemble", "1")
    assert "members" not in one
    assert one["networks"] == 1
    alone = read_model("model.safetensors").parameters
    several = run_json(capsys, *argv, "--ensemble", "2", "--no-linear")
    assert len(several["members"]) == 2
    np.testing.assert_array_equal(read_model("model.safetensors")[0].parameters, alone)


def test_gradients_of_an_ensemble(argv, capsys):
    assert cli.main([*argv, "--ensemble", "2", "--layers", "8"]) == 0
    capsys.readouterr()
    assert cli.main(["gradcheck", "model.safetensors"]) == 0
    assert "has 2 networks: the first of them is checked" in capsys.readouterr().err


def test_a_dollar_in_a_name_is_no_mathematics(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    a = np.random.default_rng(1).normal(size=60).round(3)
    source = write_csv(tmp_path / "t.csv", {"a": a, "cost $x$ _$": 2 * a})
    out = ["--out", str(tmp_path / "m"), "--plot", str(tmp_path / "m.png"), "--epochs", "2"]
    out += ["--ensemble", "1"]
    assert cli.main(["train", source, "--target", "cost $x$ _$", *out]) == 0
    assert (tmp_path / "m.png").stat().st_size > 0


# ---- checkpoints of others -----------------------------------------------------------------------


def test_a_checkpoint_is_not_lost_where_resume_is_forgotten(argv, tmp_path, monkeypatch, capsys):
    checkpoint = tmp_path / "model.checkpoint.safetensors"
    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "SECONDS_BETWEEN", 0.0)
        patched.setattr(checkpoints, "remove", lambda path: None)
        assert cli.main(argv) == 0
    saved = checkpoint.read_bytes()
    for other in ([], ["--seed", "3"]):
        told = refused(capsys, *argv, *other)
        assert "--checkpoint: got model.checkpoint.safetensors, where a training that was" in told
        assert "expected --resume, which goes on from it" in told
    assert checkpoint.read_bytes() == saved
    assert cli.main([*argv, "--resume"]) == 0
    assert not checkpoint.exists()


def test_a_sweep_goes_on_with_its_own_last_training(table, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    argv = ["sweep", table, "--target", "y", "--try", "layers=2;3", "--epochs", "3", "--quiet"]
    whole = run_json(capsys, *argv)
    save = Checkpoint._save_if_due

    def interrupted(callback):
        save(callback)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "SECONDS_BETWEEN", 0.0)
        patched.setattr(Checkpoint, "on_epoch_end", lambda self, *given: interrupted(self))
        assert cli.main(argv) == 130
    assert (tmp_path / "model.checkpoint.safetensors").exists()
    again = run_json(capsys, *argv)
    assert again["mae"] == whole["mae"]
    assert not (tmp_path / "model.checkpoint.safetensors").exists()


# ---- parts of one's own --------------------------------------------------------------------------


def test_info_tells_what_it_can_of_a_model_with_parts_of_one_s_own(tmp_path, capsys):
    def fourth_power(y_true, y_pred):
        d = y_pred - y_true
        return (d**4).mean(axis=1), 4 * d**3 / d.shape[1]

    known = losses.own.REGISTERED
    before = dict(known)
    fw.register_loss("own")(fourth_power)
    model = fw.Sequential([fw.layers.Dense(2)], 3, seed=5)
    model.compile("adam", fourth_power)
    model.save(tmp_path / "m.safetensors")
    known.clear()
    known.update(before)
    capsys.readouterr()
    assert cli.main(["info", str(tmp_path / "m.safetensors")]) == 0
    told = capsys.readouterr()
    assert "own>fourth_power" in told.out
    assert "Dense dense" in told.out
    assert "import the module that has 'fourth_power'" in told.err
    found = run_json(capsys, "info", str(tmp_path / "m.safetensors"))
    assert found["seed"] == 5
