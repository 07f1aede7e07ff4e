"""How networks of a table begin and are fed: the linear path, batches that are encoded in turn."""

import numpy as np
import pytest

import fastweights as fw
from fastweights.table import Preprocessor, Table, TableModel
from fastweights.table.batches import EncodedBatches
from fastweights.table.cells import Cells
from fastweights.table.linear import Examples, ridge
from fastweights.table.networks import LINE


def spectra(rows=120, seed=0):
    """Many columns that hardly differ, and a number that is linear in them."""
    random = np.random.default_rng(seed)
    places = np.linspace(0, 1, 40)
    peaks = np.array([np.exp(-(((places - at) / 0.15) ** 2)) for at in (0.2, 0.5, 0.8)])
    amounts = random.normal(0, 1, (rows, 3))
    waves = amounts @ peaks + random.normal(0, 0.01, (rows, 40)) + random.normal(0, 1, (rows, 1))
    y = amounts @ [2.0, -1.0, 0.5] + 20
    columns = {f"w{place}": Cells.from_numbers(wave) for place, wave in enumerate(waves.T)}
    return Table({**columns, "y": Cells.from_numbers(y)})


def test_a_line_through_collinear_columns_is_found():
    train, test = spectra(), spectra(seed=1)
    quick = {"epochs": 3, "nets": 1, "layers": (16,)}
    errors = {
        linear: TableModel("y", linear=linear, **quick).fit(train).score(test)["rmse"]
        for linear in (True, False)
    }
    assert errors[True] < 0.5 * errors[False]


def test_the_linear_path_reads_no_pieces_at_first():
    model = TableModel("y", linear=True, epochs=1, nets=1, learning_rate=1e-30).fit(spectra())
    encoded = model.preprocessor.encoded(spectra())
    kernel = model.model.get_layer(LINE).kernel
    assert encoded.pieces.any()
    assert np.abs(kernel[encoded.pieces]).max() < 1e-20
    assert (kernel[~encoded.pieces] != 0).all()


def test_ridge_takes_the_penalty_that_is_best_on_other_rows():
    random = np.random.default_rng(0)
    x = random.normal(0, 1, (200, 5)).astype(np.float32)
    y = x @ random.normal(0, 1, (5, 1)) + 3
    some, others = (slice(0, 100), slice(100, 200))
    line = ridge(Examples(x[some], y[some], None), Examples(x[others], y[others], None))
    np.testing.assert_allclose(x @ line.kernel + line.bias, y, atol=1e-2)
    noise = random.normal(0, 1, (200, 1))
    flat = ridge(Examples(x[some], noise[some], None), Examples(x[others], -noise[others], None))
    assert np.abs(flat.kernel).max() < 0.2


def test_rows_without_weight_have_no_say_in_the_line():
    random = np.random.default_rng(0)
    x = random.normal(0, 1, (200, 3)).astype(np.float32)
    y = x[:, :1] * 2
    wrong = np.where(np.arange(200)[:, np.newaxis] < 50, -9.0, y)
    weights = (np.arange(200) >= 50).astype(np.float64)
    line = ridge(Examples(x, wrong, weights), Examples(x[50:], y[50:], None))
    np.testing.assert_allclose(line.kernel[:, 0], [2, 0, 0], atol=1e-2)


def test_threads_change_no_bit_of_the_line():
    random = np.random.default_rng(0)
    x = random.normal(0, 1, (3000, 60)).astype(np.float32)
    y = x @ random.normal(0, 1, (60, 1)) + random.normal(0, 1, (3000, 1))
    found = []
    for threads in (1, 2):
        with fw.threads(threads):
            found.append(ridge(Examples(x, y, None), Examples(x, y, None)).kernel)
    np.testing.assert_array_equal(*found)


@pytest.fixture(scope="module")
def encoded():
    return Preprocessor.fit(spectra(), "y").encoded(spectra())


@pytest.mark.parametrize("weights", [None, np.arange(120.0)])
def test_batches_are_all_rows_once(encoded, weights):
    rows = np.arange(5, 110)
    targets = np.arange(120.0)[:, np.newaxis]
    batches = EncodedBatches(encoded, targets, weights, rows, 16, seed=3)
    epochs = []
    for batches.epoch in range(2):
        batches.on_epoch_begin()
        seen = [batches[number] for number in range(len(batches))]
        order = np.concatenate([batch[1] for batch in seen])[:, 0].astype(int)
        np.testing.assert_array_equal(np.sort(order), rows)
        np.testing.assert_array_equal(np.concatenate([one[0] for one in seen]), encoded[order])
        if weights is not None:
            np.testing.assert_array_equal(np.concatenate([one[2] for one in seen]), weights[order])
        assert {len(batch[0]) for batch in seen[:-1]} == {16}
        epochs.append(order.tolist())
    assert epochs[0] != epochs[1]
    again = EncodedBatches(encoded, targets, weights, rows, 16, seed=3)
    again.on_epoch_begin()
    np.testing.assert_array_equal(again[2][1][:, 0], epochs[0][32:48])


def test_batches_without_a_seed_keep_their_order(encoded):
    targets = np.arange(120.0)[:, np.newaxis]
    batches = EncodedBatches(encoded, targets, None, np.arange(120), 50)
    batches.on_epoch_begin()
    assert [len(batches[number][1]) for number in range(3)] == [50, 50, 20]
    np.testing.assert_array_equal(batches[1][1][:, 0], np.arange(50, 100))


def test_the_better_kind_of_network_is_kept():
    quick = {"epochs": 4, "nets": 2, "layers": (16,)}
    assert TableModel("y", **quick).fit(spectra()).recipe.linear
    random = np.random.default_rng(0)
    x = random.normal(0, 1, 300)
    columns = {"x": x, "y": np.abs(x) * 3 + random.normal(0, 0.1, 300)}
    table = Table({name: Cells.from_numbers(values) for name, values in columns.items()})
    both = {
        linear: TableModel("y", linear=linear, **quick).fit(table) for linear in (None, True, False)
    }
    errors = {linear: error_of_histories(model) for linear, model in both.items()}
    assert errors[None] == min(errors[True], errors[False])
    chosen = both[both[None].recipe.linear]
    np.testing.assert_array_equal(both[None].predict(table), chosen.predict(table))


def test_a_line_is_taken_where_it_is_better_by_enough():
    quick = {"epochs": 4, "nets": 2, "layers": (16,)}
    lined, plain = (
        error_of_histories(TableModel("y", linear=linear, **quick).fit(spectra()))
        for linear in (True, False)
    )
    gain = 1 - lined / plain
    for asked, is_taken in ((gain - 0.01, True), (gain + 0.01, False)):
        model = TableModel("y", linear_gain=asked, **quick).fit(spectra())
        assert model.recipe.linear is is_taken
        assert error_of_histories(model) == (lined if is_taken else plain)


def error_of_histories(model):
    """The mean of the smallest losses on rows left out."""
    return np.mean([min(history["val_loss"]) for history in model.history])
