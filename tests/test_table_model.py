"""A table in, predictions out: what is learnt, kept, refused, and the same whatever the threads."""

import json

import numpy as np
import pytest

import fastweights as fw
from fastweights import callbacks, serialization
from fastweights.table import Table, TableModel, recipe_for, score
from fastweights.table.fitting import error_of, times_of
from fastweights.table.models import HISTORY, RECIPE
from fastweights.table.recipe import Recipe

QUICK = {"layers": (16,), "epochs": 6, "nets": 1}
ROWS = 240


def numbers(rows=ROWS, seed=0):
    """A number that follows from two others and a category."""
    random = np.random.default_rng(seed)
    a, b = random.normal(0, 1, (2, rows))
    town = random.choice(["Ames", "Oslo", "Rome"], rows)
    price = 3 * a + np.abs(b) + np.array([{"Ames": 0, "Oslo": 2, "Rome": 5}[one] for one in town])
    return {"a": a, "b": b, "town": town, "price": price + random.normal(0, 0.1, rows)}


def classes(rows=ROWS, seed=0):
    columns = numbers(rows, seed)
    price = columns.pop("price")
    return {**columns, "kind": np.array(["low", "mid", "top"])[np.digitize(price, [1, 4])]}


def table(columns):
    return Table.from_columns(columns)


def model(target="price", **choices):
    return TableModel(target, **{**QUICK, **choices})


@pytest.fixture(scope="module")
def houses():
    return table(numbers())


@pytest.fixture(scope="module")
def kinds():
    return table(classes())


@pytest.fixture(scope="module")
def regression(houses):
    return model(epochs=30).fit(houses)


@pytest.fixture(scope="module")
def classifier(kinds):
    return model("kind", epochs=30).fit(kinds)


def test_a_number_is_learnt(regression):
    unseen = table(numbers(seed=1))
    figures = regression.score(unseen)
    assert figures["r2"] > 0.9
    predicted = regression.predict(unseen)
    assert predicted.shape == (ROWS,)
    assert predicted.dtype == np.float64
    own = score(regression.preprocessor.target, np.array([*map(float, unseen["price"])]), predicted)
    assert {**own, "rows": ROWS, "rows_left_out": 0} == figures


def test_classes_are_learnt(classifier):
    unseen = table(classes(seed=1))
    assert classifier.score(unseen)["accuracy"] > 0.8
    assert classifier.classes == ("low", "mid", "top")
    probabilities = classifier.predict_proba(unseen)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    names = classifier.predict(unseen)
    assert names.tolist() == [classifier.classes[place] for place in probabilities.argmax(axis=1)]


@pytest.mark.parametrize("choices", [{}, {"nets": 3, "folds": 2}, {"folds": 0}])
def test_a_file_predicts_the_same_bits(tmp_path, kinds, choices):
    saved = model("kind", **choices).fit(kinds)
    path = tmp_path / "m.safetensors"
    saved.save(path)
    loaded = TableModel.load(path)
    np.testing.assert_array_equal(loaded.predict_proba(kinds), saved.predict_proba(kinds))
    assert loaded.recipe == saved.recipe
    assert loaded.history == saved.history
    assert loaded.remarks == saved.remarks
    assert loaded.report == json.loads(json.dumps(saved.report))
    assert (loaded.target, loaded.preset, loaded.seed) == (saved.target, saved.preset, saved.seed)
    with pytest.warns(UserWarning, match="TableModel.load"):
        fw.load(path)


@pytest.mark.parametrize("choices", [{}, {"nets": 3}, {"nets": 3, "preset": "best"}])
def test_threads_change_no_bit(houses, choices):
    found = []
    for threads in (1, 2):
        with fw.threads(threads):
            found.append(model(**choices).fit(houses).predict(houses))
    np.testing.assert_array_equal(*found)
    assert (model(seed=1, **choices).fit(houses).predict(houses) != found[0]).any()


def test_what_is_encoded_batch_by_batch_is_learnt_alike(monkeypatch, kinds):
    monkeypatch.setattr("fastweights.table.fitting.MOST_HELD", 0)
    large = model("kind", epochs=30, nets=2).fit(kinds, sample_weight=np.ones(ROWS))
    assert large.score(kinds)["accuracy"] > 0.8
    again = model("kind", epochs=30, nets=2).fit(kinds, sample_weight=np.ones(ROWS))
    np.testing.assert_array_equal(large.predict_proba(kinds), again.predict_proba(kinds))
    assert len(large.history[0]["loss"]) > 1
    assert large.history[0]["loss"][0] > large.history[0]["loss"][-1]


def test_rows_without_a_target_are_left_out_and_said(houses):
    columns = numbers()
    price = columns["price"].astype(object)
    price[:5] = ["", "unknown", None, "T", "see note"]
    got = model().fit(table({**columns, "price": price}))
    assert any("left out for want of a 'price': 3 rows" in remark for remark in got.remarks)
    text = "left out, the target being no number: 'T' in column 'price' and 1 more"
    assert text in got.remarks
    assert got.report["rows"] == ROWS - 5


def test_rows_that_do_not_count_teach_nothing():
    columns = numbers()
    wrong = columns["price"].copy()
    wrong[:100] = 1000.0
    weights = np.ones(ROWS)
    weights[:100] = 0.0
    got = model(epochs=30, log_target=False).fit(
        table({**columns, "price": wrong}), sample_weight=weights
    )
    unseen = table(numbers(seed=1))
    assert got.score(unseen)["mae"] < 100


def test_own_validation_rows_say_which_epoch_is_the_best(houses):
    got = model().fit(houses, validation=table(numbers(seed=2)))
    losses = got.history[0]["val_loss"]
    assert got.report["best_epochs"] == [int(np.argmin(losses)) + 1]
    weighed = model().fit(houses, validation=houses, sample_weight=np.ones(ROWS))
    assert weighed.report["best_epochs"]


def test_the_best_epoch_is_kept(houses):
    class Spoil(callbacks.Callback):
        """Ruins the weights after the third epoch."""

        def on_epoch_begin(self, epoch, logs):
            if epoch == 3:
                self.model.parameters[:] *= 100

    got = model(learning_rate=1e-4, linear=False).fit(houses, callbacks=[Spoil()])
    assert got.report["best_epochs"] == [3]
    assert np.abs(got.predict(houses) - np.mean(got.predict(houses))).max() < 50


def test_patience_ends_a_training(houses):
    got = model(epochs=50, patience=2, learning_rate=0.3).fit(houses)
    epochs, best = len(got.history[0]["loss"]), got.report["best_epochs"][0]
    assert epochs == best + 2 < 50


def test_quantiles(houses):
    got = model(loss="quantile", quantiles=(0.1, 0.5, 0.9), epochs=40).fit(houses)
    predicted = got.predict(houses)
    assert predicted.shape == (ROWS, 3)
    assert (np.diff(predicted, axis=1) >= 0).all()
    figures = got.score(houses)
    low, middle, high = figures["shares_below"]
    assert 0 < low < middle < high < 1
    assert figures["pinball"] < figures["baseline_pinball"]
    falling = model(loss="quantile", quantiles=(0.9, 0.5, 0.1), epochs=40).fit(houses)
    assert falling.score(houses) == figures
    median = model(loss="quantile", quantiles=(0.5,), epochs=40).fit(houses)
    assert median.predict(houses).shape == (ROWS, 1)
    assert 0 < median.score(houses)["shares_below"][0] < 1


def test_predictions_stay_in_the_range_of_training(regression):
    far = table({"a": [1e6, -1e6], "b": [0, 0], "town": ["Rome", "Ames"]})
    target = regression.preprocessor.target
    predicted = regression.predict(far)
    assert ((target.low <= predicted) & (predicted <= target.high)).all()


def test_fewer_groups_than_parts_are_a_part_each():
    columns = numbers()
    got = model(split="group:town", epochs=2, nets=4).fit(table(columns))
    assert len(got.history) == 4
    columns["town"] = np.full(ROWS, "Oslo")
    with pytest.raises(ValueError, match="split: got one group"):
        model(split="group:town", epochs=2).fit(table(columns))


@pytest.mark.parametrize("kind", ["group", "time"])
def test_rows_are_left_out_as_asked(kind):
    columns = numbers()
    day = np.repeat(np.arange(ROWS // 4), 4)
    got = model(split=f"{kind}:day", epochs=2).fit(table({**columns, "day": day}))
    assert ("day" in got.preprocessor.kinds) is (kind == "time")
    assert "val_loss" in got.history[0]


def test_rows_follow_each_other_by_dates():
    days = [f"2024-{1 + day // 28:02d}-{1 + day % 28:02d}" for day in range(ROWS)][::-1]
    given = table({"day": days, "n": np.arange(ROWS)[::-1]})
    for column in ("day", "n"):
        times = times_of(given, column)
        assert (np.diff(times) < 0).all()


def test_all_rows_are_learnt_from_where_none_is_left_out(houses):
    got = model(folds=0).fit(houses)
    assert "val_loss" not in got.history[0]
    assert got.report["best_epochs"] == [QUICK["epochs"]]


class Interrupt(callbacks.Callback):
    """Ctrl-C at the end of an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, epoch, logs):
        if epoch == self.epoch:
            raise KeyboardInterrupt


def test_an_interrupt_leaves_the_model_as_it_was(houses, kinds):
    fresh = model()
    with pytest.raises(KeyboardInterrupt):
        fresh.fit(houses, callbacks=[Interrupt(2)])
    with pytest.raises(ValueError, match="no training yet"):
        fresh.predict(houses)
    fitted = model().fit(houses)
    before = fitted.predict(houses)
    with pytest.raises(KeyboardInterrupt):
        fitted.fit(houses, callbacks=[Interrupt(2)])
    np.testing.assert_array_equal(fitted.predict(houses), before)


@pytest.mark.parametrize("nets", [1, 2])
def test_an_interrupt_may_keep_what_was_learnt(houses, nets):
    got = model(nets=nets, epochs=30)
    got.fit(houses, callbacks=lambda number: [Interrupt(9)], keep_interrupted=True)
    assert got.report["interrupted"]
    assert np.isfinite(got.predict(houses)).all()


def test_kinds_are_passed_on(houses):
    got = model(kinds={"a": "drop"}).fit(houses)
    assert "a" not in got.preprocessor.kinds


def test_a_rare_class_is_said():
    columns = classes()
    columns["kind"] = np.where(np.arange(ROWS) % 20 == 0, "rare", "common")
    got = model("kind").fit(table(columns))
    assert any("rare (5.0%)" in remark for remark in got.remarks)


def test_a_class_of_one_row_is_learnt_from():
    columns = classes()
    columns["kind"] = np.array(["once", *columns["kind"][1:]])
    got = model("kind", nets=2).fit(table(columns))
    assert "once" in got.classes
    assert got.predict_proba(table(columns)).shape == (ROWS, 4)


@pytest.mark.parametrize("rows", [4, 7, 12])
def test_few_rows(rows):
    got = TableModel("price", epochs=2, layers=(8,)).fit(table(numbers(rows)))
    assert np.isfinite(got.predict(table(numbers(3)))).all()


def test_a_constant_target_of_numbers_is_predicted():
    got = model(task="regression").fit(table({**numbers(), "price": np.full(ROWS, 3.5)}))
    assert (got.predict(table(numbers(5))) == 3.5).all()


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: TableModel("y", preset="quick"), ValueError, "preset: got 'quick'"),
        (lambda: TableModel("y", task="ranking"), ValueError, "task: got 'ranking'"),
        (lambda: TableModel("y", epoch=3), TypeError, "choices: got 'epoch'.*epochs"),
        (lambda: TableModel("y", seed=-1), ValueError, "seed: got -1"),
        (lambda: TableModel(""), TypeError, "target: got ''"),
        (lambda: TableModel("y").predict({}), ValueError, "TableModel: got no training yet"),
        (lambda: model("cost").fit(table(numbers())), ValueError, "no column 'cost'"),
        (lambda: model().fit(table(numbers(3))), ValueError, "table: got 3 rows with a target"),
        (lambda: model("town", task="regression").fit(table(numbers())), ValueError, "target: got"),
        (lambda: model(loss="poisson").fit(table(numbers())), ValueError, "loss: got 'poisson'"),
        (
            lambda: model("kind", loss="huber").fit(table(classes())),
            ValueError,
            "loss: got 'huber'",
        ),
        (
            lambda: model(split="month").fit(table(numbers())),
            ValueError,
            "split: got 'month', expected 'random', 'time:COLUMN' or 'group:COLUMN'",
        ),
        (
            lambda: model(split="time:town").fit(table(numbers())),
            ValueError,
            "split: got .* in column 'town'",
        ),
        (
            lambda: model(nets=2).fit(table(numbers()), callbacks=[Interrupt(0)]),
            ValueError,
            "callbacks: got 1 for 2 networks",
        ),
        (
            lambda: model().fit(table(numbers()), sample_weight=np.ones(3)),
            ValueError,
            r"sample_weight: got shape \(3,\)",
        ),
        (
            lambda: model().fit(table(numbers())).predict_proba(table(numbers())),
            ValueError,
            "classes: got a target of numbers",
        ),
    ],
)
def test_refusals(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


@pytest.mark.parametrize(
    "damage",
    [
        {RECIPE: "{}"},
        {RECIPE: "[]"},
        {RECIPE: "nonsense"},
        {HISTORY: "[]"},
        {HISTORY: '{"history": 3}'},
        {HISTORY: '{"history": [3]}'},
        {HISTORY: '{"history": [{"loss": 3}]}'},
        {"fastweights.table": "{}"},
        {RECIPE: None},
    ],
)
def test_damaged_files_are_refused(tmp_path, houses, damage):
    path = tmp_path / "m.safetensors"
    model(epochs=1).fit(houses).save(path)
    with serialization.opened(path) as file:
        tensors = {name: file.read(name) for name in file.tensors}
        metadata = {**file.metadata, **damage}
    serialization.write(path, tensors, {k: v for k, v in metadata.items() if v is not None})
    with pytest.raises(ValueError, match="safetensors"):
        TableModel.load(path)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"layers": ()}, None),
        ({"layers": 3}, "layers: got int"),
        ({"dropout": 1.0}, "dropout: got 1"),
        ({"folds": 1}, "folds: got 1"),
        ({"bins": -1}, "bins: got -1"),
        ({"batch_size": 0}, "batch_size: got 0"),
        ({"activation": "sigmoidal"}, "activation: got 'sigmoidal'"),
        ({"quantiles": (0.0,)}, "quantiles: got"),
        ({"variety": "tanh"}, "variety: got str"),
        ({"variety": ("tanh", "sigmoidal")}, "variety: got 'sigmoidal'"),
        ({"linear_gain": 1.0}, "linear_gain: got 1"),
    ],
)
def test_choices_are_checked(choices, message):
    if message is None:
        assert recipe_for("fast", "regression", 100, **choices).layers == ()
        return
    with pytest.raises((ValueError, TypeError), match=message):
        recipe_for("fast", "regression", 100, **choices)


@pytest.mark.parametrize(
    ("columns", "bins"), [(0, 32), (125, 32), (126, 31), (400, 10), (1500, 2), (9000, 2)]
)
def test_very_many_columns_of_numbers_have_fewer_bins(columns, bins):
    features, pieces = 33 * columns + 50_000, [32] * columns
    assert recipe_for("fast", "regression", 300, features, pieces).bins == bins
    assert recipe_for("fast", "regression", 300, features, pieces, bins=32).bins == 32


def test_the_kind_of_network_that_is_kept_is_said(houses):
    tried = model(nets=2).fit(houses)
    others = {linear: model(nets=2, linear=linear).fit(houses) for linear in (False, True)}
    best = min(others, key=lambda linear: error_of(others[linear]._fit.trained))
    assert tried.recipe == others[best].recipe
    words = "networks with a linear path" if best else "networks without a linear path"
    assert tried.remarks[-1].startswith(words)
    assert not any("linear path" in remark for remark in others[best].remarks)


def test_a_recipe_is_kept_whole():
    from fastweights.table.recipe import restored

    for task in ("regression", "classification"):
        for preset in ("fast", "best"):
            recipe = recipe_for(preset, task, 1000)
            assert isinstance(recipe, Recipe)
            assert restored(json.loads(json.dumps(recipe.config()))) == recipe


@pytest.mark.parametrize(
    ("task", "rows", "columns", "bins"),
    [
        ("regression", 10_000, 20, 128),
        ("regression", 600, 20, 100),  # Of six rows at least.
        ("regression", 100, 20, 32),
        ("regression", 10_000, 200, 32),
        ("classification", 10_000, 20, 32),
    ],
)
def test_best_cuts_numbers_finely_where_there_is_time(task, rows, columns, bins):
    assert recipe_for("best", task, rows, columns).bins == bins
    assert recipe_for("best", task, rows, columns, bins=7).bins == 7
    assert recipe_for("fast", task, rows, columns).bins == 32


def test_features_stay_as_they_were_prepared():
    x = np.random.default_rng(0).normal(0, 1, (2100, 20))
    columns = {f"x{place}": column for place, column in enumerate(x.T)}
    prepared = TableModel("y", preset="best", nets=1).prepare(table({**columns, "y": x.sum(1)}))
    rows, features = prepared.rows.encoded.shape
    assert prepared.recipe.bins == 128
    assert features == 20 * 129
    after = recipe_for("best", "regression", rows, features, epochs=3)
    assert after.bins == 32  # So many features are no table of few columns.
    other = prepared.otherwise(after).recipe
    assert (other.bins, other.epochs) == (128, 3)


def activations_of(model):
    """Of the hidden layers of each network."""
    return [net.layers[1].activation.name for net in model.model]


def test_networks_take_activations_in_turn(tmp_path, houses):
    choices = {"preset": "best", "layers": (8,), "epochs": 2, "nets": 3, "linear": False}
    got = TableModel("price", **choices).fit(houses)
    assert activations_of(got) == ["silu", "tanh", "silu"]
    assert (
        activations_of(TableModel("price", **choices, activation="relu").fit(houses))
        == ["relu"] * 3
    )
    three = TableModel("price", **choices, activation="relu", variety=("tanh", "silu")).fit(houses)
    assert activations_of(three) == ["relu", "tanh", "silu"]
    path = tmp_path / "m.safetensors"
    got.save(path)
    again = TableModel.load(path)
    np.testing.assert_array_equal(again.predict(houses), got.predict(houses))
    assert again.recipe == got.recipe
    assert (
        activations_of(TableModel("price", layers=(8,), epochs=1, nets=2).fit(houses))
        == ["silu"] * 2
    )
