"""Tables, and the whole numbers that they are read by."""

import sys

import numpy as np
import pandas as pd
import pytest
from helpers import same_bits

import fastweights as fw
from fastweights import callbacks, constraints, layers, losses, optimizers
from fastweights.layers.ops import OpSpec, given

SIZE, WIDTH, POSITIONS = 50, 3, 4


def network(optimizer="sgd", dtype="float64", size=SIZE, **settings):
    stack = [layers.Embedding(size, WIDTH, **settings), layers.Flatten(), layers.Dense(2)]
    model = fw.Sequential(stack, POSITIONS, dtype, seed=0)
    model.compile(optimizer, "mse")
    return model


def data(rows, size=SIZE, seed=0):
    """Few of the table's rows, some of them often."""
    random = np.random.default_rng(seed)
    x = random.choice(random.integers(0, size, 12), (rows, POSITIONS))
    return x, random.standard_normal((rows, 2))


def tabular(dtype="float32", optimizer="adam"):
    """The usual model of a table: categories beside numbers."""
    categories = fw.Input(2, dtype="int32", name="categories")
    numbers = fw.Input(3, name="numbers")
    vectors = layers.Flatten()(layers.Embedding(9, 4)(categories))
    hidden = layers.Dense(6, "tanh")(layers.Concatenate()([vectors, numbers]))
    model = fw.Model([categories, numbers], layers.Dense(2)(hidden), dtype, seed=0)
    model.compile(optimizer, "mse")
    return model


def rows_of_both(rows=40):
    random = np.random.default_rng(0)
    x = {"categories": random.integers(0, 9, (rows, 2)), "numbers": random.random((rows, 3))}
    return x, random.standard_normal((rows, 2))


# ---- training ------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 7, 300, 1100])
def test_steps_of_sgd_are_those_of_numpy(rows):
    model = network(optimizers.SGD(0.5))
    table, kernel, bias = model.get_weights()
    x, y = data(rows)
    for _ in range(3):
        read = table[x].reshape(rows, -1)
        error = 2 / (2 * rows) * (read @ kernel + bias - y)
        by_read = (error @ kernel.T).reshape(rows, POSITIONS, WIDTH)
        kernel, bias = kernel - 0.5 * read.T @ error, bias - 0.5 * error.sum(axis=0)
        np.add.at(table, x, -0.5 * by_read)
        model.train_on_batch(x, y)
    for found, expected in zip(model.get_weights(), (table, kernel, bias), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


def test_sgd_neither_moves_nor_looks_at_what_a_batch_does_not_touch():
    model = network()
    x, y = data(16)
    untouched = np.setdiff1d(np.arange(SIZE), x)
    table = model.layers[0].embeddings
    model.train_on_batch(x, y)
    # Not those of the model's face: what those show, somebody may write to at any time.
    gradients = model._built.gradients[: table.size].reshape(table.shape)
    gradients[untouched] = np.nan
    before = table.copy()
    model.fit(x, y, 16, 3, verbose=0)
    same_bits(table[untouched], before[untouched])
    assert np.isnan(gradients[untouched]).all()
    assert (table != before).any(axis=1).sum() == len(np.unique(x))


@pytest.mark.parametrize(
    ("optimizer", "settings"),
    [("adam", {}), (optimizers.SGD(0.1, 0.9), {}), ("sgd", {"embeddings_regularizer": "l2"})],
)
def test_what_moves_all_of_the_table_moves_all_of_it(optimizer, settings):
    model = network(optimizer, **settings)
    x, y = data(16)
    model.train_on_batch(*data(200, seed=1))
    before = model.layers[0].embeddings.copy()
    others = np.setdiff1d(data(200, seed=1)[0], x)
    model.train_on_batch(x, y)
    assert (model.layers[0].embeddings[others] != before[others]).all()


@pytest.mark.parametrize("size", [7, 300, 3000])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_after_a_step_are_all_of_it(dtype, size, monkeypatch):
    """Whatever has written to them before, and however many threads it was."""
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    random = np.random.default_rng(0)
    model, other = (network(dtype=dtype, size=size) for _ in range(2))
    for step in range(60):
        batch = data(int(random.choice([1, 5, 70, 700, 1100])), size, step)
        with fw.threads(int(random.integers(1, 4))):
            which = random.integers(0, 6)
            if which == 0:
                model.loss_and_gradients(*data(9, size, step + 100))
            elif which == 1:
                model.forward(batch[0])
                model.backward(batch[1])
            elif which == 2:
                model.compile("sgd", "mse")
            model.train_on_batch(*batch)
        with fw.threads(1):
            _, gradient, _ = other.loss_and_gradients(*batch)
            other.apply_gradients()
        same_bits(model.gradients, gradient)
        same_bits(model.parameters, other.parameters)


def test_a_call_that_several_inputs_share():
    a, b = fw.Input(2), fw.Input(1)
    table = layers.Embedding(6, 3)
    both = [layers.Flatten()(table(one)) for one in (a, b)]
    model = fw.Model([a, b], layers.Dense(2)(layers.Concatenate()(both)), "float64", seed=0)
    model.compile(optimizers.SGD(0.1), "mse")
    random = np.random.default_rng(0)
    x = [random.integers(0, 6, (8, n)) for n in (2, 1)]
    y = random.standard_normal((8, 2))
    assert fw.check_gradients(model, x, y, tolerance=1e-8)
    before, (_, gradient, dx) = model.parameters.copy(), model.loss_and_gradients(x, y)
    assert dx == (None, None)
    model.train_on_batch(x, y)
    np.testing.assert_allclose(model.parameters, before - 0.1 * gradient, rtol=1e-13, atol=1e-15)


def test_a_table_that_is_not_trained_stays():
    model = network()
    model.layers[0].trainable = False
    before = model.layers[0].embeddings.copy()
    x, y = data(20)
    model.fit(x, y, 5, 2, verbose=0)
    same_bits(model.layers[0].embeddings, before)
    model.layers[0].trainable = True
    model.fit(x, y, 5, 2, verbose=0)
    assert (model.layers[0].embeddings != before).any()


def test_the_loss_has_what_the_table_costs():
    model, plain = network(embeddings_regularizer="l2"), network()
    x, y = data(20)
    cost = 0.01 * (model.layers[0].embeddings ** 2).sum()
    assert model.evaluate(x, y) == pytest.approx(plain.evaluate(x, y) + cost, rel=1e-12)
    assert fw.check_gradients(model, x[:5], y[:5], tolerance=1e-8)


# ---- what is read --------------------------------------------------------------------------------


def test_whole_numbers_of_every_kind_are_the_same():
    x, y = data(30)
    wide = np.repeat(x, 2, axis=1)
    frame = pd.DataFrame(x, columns=list("abcd"))
    kinds = [
        *map(x.astype, ("i1", "u1", "i2", ">i4", "u4", ">i8", "u8", "f2", "f4", "f8", "g")),
        x.tolist(), np.asfortranarray(x), wide[:, ::2], x.astype(object), frame,
        frame.astype("Int64"), frame.astype({"a": "int8", "c": "float32"}),
    ]  # fmt: skip
    expected = network().predict(x)
    for kind in kinds:
        model = network()
        same_bits(model.predict(kind), expected)
        model.fit(kind, y, 8, 1, verbose=0)
        same_bits(model.parameters, trained(x, y))
    x = x % 2
    same_bits(network().predict(x.astype(bool)), network().predict(x))


def trained(x, y):
    model = network()
    model.fit(x, y, 8, 1, verbose=0)
    return model.parameters


def wrong(change):
    x, _ = data(12)
    x = x.astype(change[1])
    x[5, 2] = change[0]
    return x


@pytest.mark.parametrize(
    ("change", "got"),
    [
        ((SIZE, int), "50 at (5, 2)"),
        ((-1, int), "-1 at (5, 2)"),
        ((2**32, int), "4294967296 at (5, 2)"),
        ((2**64 - 1, np.uint64), "18446744073709551615 at (5, 2)"),
        ((3.5, float), "3.5 at (5, 2)"),
        ((-1e300, float), "-1e+300 at (5, 2)"),
        ((np.nan, float), "1 NaN or inf, the first at (5, 2)"),
        ((np.inf, np.float32), "1 NaN or inf, the first at (5, 2)"),
    ],
)
def test_numbers_out_of_range_are_refused_on_every_call(change, got):
    model, bad, (x, y) = network(), wrong(change), data(12)
    model.forward(x)
    held_out = {"validation_data": (bad, y), "verbose": 0}
    calls = [
        lambda: model.fit(bad, y, verbose=0),
        lambda: model.predict(bad),
        lambda: model(bad),
        lambda: model.evaluate(bad, y),
        lambda: model.train_on_batch(bad, y),
        lambda: model.loss_and_gradients(bad, y),
        lambda: model.forward(bad),
        lambda: fw.check_gradients(model, bad, y),
        lambda: network_without_shape().fit(bad, y, verbose=0),
        lambda: model.fit(x, y, **held_out),
        lambda: network_without_shape().fit(x, y, **held_out),
    ]
    before = model.parameters.copy()
    for call in calls:
        with pytest.raises(ValueError, match="x: got") as caught:
            call()
        assert got in str(caught.value)
        if "NaN" not in got:
            assert "expected whole numbers from 0 to 49" in str(caught.value)
    same_bits(model.parameters, before)


def network_without_shape():
    stack = [layers.Embedding(SIZE, WIDTH), layers.Flatten(), layers.Dense(2)]
    model = fw.Sequential(stack, dtype="float64", seed=0)
    model.compile("sgd", "mse")
    return model


def test_a_stack_is_built_at_the_first_whole_numbers_that_it_sees():
    x, y = data(20)
    model = network_without_shape()
    model.fit(x, y, 8, 1, verbose=0)
    same_bits(model.parameters, trained(x, y))
    one = fw.Sequential([layers.Embedding(SIZE, WIDTH), layers.Flatten()], 1)
    assert one.predict(x[:, 0]).shape == (20, WIDTH)


def test_names_of_columns_and_inputs_are_in_the_refusal():
    frame = pd.DataFrame(data(9)[0], columns=list("abcd"))
    frame.loc[3, "c"] = 99
    with pytest.raises(ValueError, match=r"^x: got 99 in column 'c', row 3, expected whole"):
        network().predict(frame)
    x, _ = rows_of_both()
    x["categories"][1, 0] = 9
    with pytest.raises(ValueError, match=r"^x\['categories'\]: got 9 at \(1, 0\), expected whole"):
        tabular().predict(x)


def test_what_is_written_into_x_while_it_is_trained_on_changes_nothing():
    class Vandal(callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            x[...] = 2**30

    for kind in (np.int32, np.int64):
        x, y = data(20)
        expected = trained(x, y)
        x = np.ascontiguousarray(x, kind)
        model = network()
        model.fit(x, y, 8, 1, verbose=0, callbacks=[Vandal()], shuffle=True)
        same_bits(model.parameters, expected)


# ---- networks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_whole_numbers_beside_reals(dtype, optimizer, tmp_path):
    model, (x, y) = tabular(dtype, optimizer), rows_of_both()
    table, kernel, bias, last, shift = (w.astype(float) for w in model.get_weights())
    joined = np.concatenate([table[x["categories"]].reshape(40, 8), x["numbers"]], axis=1)
    exact = np.tanh(joined @ kernel + bias) @ last + shift
    np.testing.assert_allclose(model.predict(x), exact, rtol=1e-5, atol=1e-6)
    model.fit(x, y, 8, 2, verbose=0, validation_split=0.2)
    report = fw.check_gradients(model, {name: part[:6] for name, part in x.items()}, y[:6])
    assert report, report
    assert [row.name for row in report.rows][-1] == "numbers"
    model.save(tmp_path / "m.safetensors")
    for twin in (fw.load(tmp_path / "m.safetensors"), model.copy()):
        same_bits(twin.predict(list(x.values())), model.predict(x))
        before = model.copy()
        for one in (twin, before):
            one.fit(x, y, 8, 2, verbose=0)
            assert one.evaluate(x, y) < 2
        same_bits(twin.parameters, before.parameters)
    _, _, (by_categories, by_numbers) = model.loss_and_gradients(x, y)
    assert by_categories is None
    assert by_numbers.shape == (40, 3)
    model.forward(x)
    same_bits(
        model.backward(np.ones((40, 2)))[1].astype(dtype), model.backward(np.ones((40, 2)))[1]
    )


def test_the_smallest_table_says_what_an_input_may_hold():
    x = fw.Input(2)
    both = [layers.Embedding(size, 3)(layers.Reshape((2, 1))(x)) for size in (9, 4, 7)]
    model = fw.Model(x, layers.Add()(both), seed=0)
    tables = [layer.embeddings for layer in model.layers if isinstance(layer, layers.Embedding)]
    rows = np.array([[0, 3], [1, 2]])
    np.testing.assert_allclose(
        model.predict(rows), sum(table[rows[..., np.newaxis]] for table in tables), rtol=1e-6
    )
    with pytest.raises(
        ValueError, match=r"^x: got 4 at \(0, 1\), expected whole numbers from 0 to 3"
    ):
        model.predict([[0, 4]])


def test_networks_that_are_refused():
    x = fw.Input(4)
    table = layers.Flatten()(layers.Embedding(3, 2)(x))
    message = r"^inputs: got one of whole numbers for 'embedding' that 'dense' reads, expected an"
    with pytest.raises(ValueError, match=message):
        fw.Model(x, layers.Concatenate()([table, layers.Dense(2)(x)]))
    with pytest.raises(ValueError, match=message):
        fw.Model(x, layers.Concatenate()([layers.Dense(2)(x), table]))
    with pytest.raises(ValueError, match=r"^inputs of 'embedding': got what a layer made"):
        fw.Sequential([layers.Dense(3), layers.Embedding(3, 2)], 4)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"input_dim": 0}, ValueError, "input_dim: got 0, expected at least 1"),
        ({"input_dim": 2**31}, ValueError, "input_dim: got 2147483648, expected at most"),
        ({"input_dim": 2.0}, TypeError, "input_dim: got 2.0, expected a whole number"),
        ({"output_dim": 0}, ValueError, "output_dim: got 0, expected at least 1"),
        ({"mask_zero": 1}, TypeError, "mask_zero: got 1, expected"),
        ({"embeddings_initializer": "unif"}, ValueError, "embeddings_initializer: got 'unif'"),
        ({"embeddings_regularizer": "l3"}, ValueError, "embeddings_regularizer: got 'l3'"),
    ],
)
def test_settings_that_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        layers.Embedding(**{"input_dim": 3, "output_dim": 2, **arguments})


def test_settings_by_name_and_the_first_layer_of_a_stack():
    layer = layers.Embedding(input_dim=5, output_dim=2, input_shape=(3,), trainable=False)
    model = fw.Sequential([layer], seed=0)
    assert model.input_shape == (3,)
    assert model.output_shape == (3, 2)
    assert abs(layer.embeddings).max() <= 0.05
    assert not layer.trainable


def test_the_dtype_of_an_input():
    assert fw.Input(3, dtype="int32").shape == fw.Input(3, dtype=np.float64).shape == (None, 3)
    for dtype, error in (("string", TypeError), ("complex64", ValueError), ("M8[s]", ValueError)):
        with pytest.raises(error, match=r"dtype: got .* expected a dtype of"):
            fw.Input(3, dtype=dtype)


def test_files_hold_tables_as_torch_does(tmp_path):
    model = network("adam")
    model.save(tmp_path / "m.safetensors", include_optimizer=False)
    with fw.serialization.opened(tmp_path / "m.safetensors") as file:
        same_bits(file.read("0.weight"), model.layers[0].embeddings)


# ---- both ways -----------------------------------------------------------------------------------


def language(size=SIZE, width=WIDTH, dtype="float64", **settings):
    """A table, something between, and the table again."""
    x, table = fw.Input(POSITIONS), layers.ReversibleEmbedding(size, width, **settings)
    hidden = layers.Dense(width, "tanh", name="hidden")(table(x))
    model = fw.Model(x, table(hidden, reverse=True), dtype, seed=0)
    model.compile("sgd", losses.SparseCategoricalCrossentropy(from_logits=True))
    random = np.random.default_rng(0)
    for weight in table.weights.values():
        weight[...] = 0.3 * random.standard_normal(weight.shape)
    return model


def series(rows, size=SIZE, seed=0):
    random = np.random.default_rng(seed)
    return tuple(random.integers(0, size, (rows, POSITIONS)) for _ in range(2))


@pytest.mark.parametrize("rows", [1, 7, 300, 1100])
@pytest.mark.parametrize(("size", "width"), [(7, 3), (50, 12), (300, 9), (13, 260), (600, 40)])
def test_steps_of_a_table_that_both_ways_have_are_those_of_numpy(size, width, rows):
    """Gradients of both uses are added; a step moves all of it."""
    if rows * size * width > 4e6:
        rows = 64
    model = language(size, width)
    table, kernel, bias = model.get_weights()
    x, y = series(rows, size)
    for _ in range(2):
        read = table[x].reshape(-1, width)
        hidden = np.tanh(read @ kernel + bias)
        p = np.exp(hidden @ table.T)
        p /= p.sum(axis=1, keepdims=True)
        p[np.arange(len(p)), y.reshape(-1)] -= 1
        p /= len(p)
        by_hidden = p @ table * (1 - hidden**2)
        change = p.T @ hidden
        np.add.at(change, x.reshape(-1), by_hidden @ kernel.T)
        found = model.loss_and_gradients(x, y)[1][: table.size].reshape(table.shape)
        np.testing.assert_allclose(found, change, rtol=1e-9, atol=1e-14)
        table = table - 0.01 * change
        kernel, bias = kernel - 0.01 * read.T @ by_hidden, bias - 0.01 * by_hidden.sum(axis=0)
        model.train_on_batch(x, y)
    for found, expected in zip(model.get_weights(), (table, kernel, bias), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("settings", [{}, {"logit_soft_cap": 0.5}, {"tie_weights": False}])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_gradients_of_both_ways_are_right(settings, optimizer):
    model = language(9, 4, **settings)
    model.compile(optimizer, model.loss)
    x, y = series(5, 9)
    assert fw.check_gradients(model, x, y, tolerance=1e-7)
    model.fit(x, y, 5, 2, verbose=0)
    logits = model.predict(x)
    table = model.layers[0]
    kernel = table.embeddings.T if table.tie_weights else table.reverse_embeddings
    hidden = model.layers[1]
    expected = np.tanh(table.embeddings[x] @ hidden.kernel + hidden.bias) @ kernel
    if "logit_soft_cap" in settings:
        expected = 0.5 * np.tanh(expected / 0.5)
    np.testing.assert_allclose(logits, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_way_back_has_the_same_bits_for_any_rows_and_threads(dtype, monkeypatch):
    """Few lines make the transpose of the table as they go; many have it made before."""
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    model = language(200, 40, dtype)
    x, y = series(150, 200)
    whole = model.predict(x)
    same_bits(np.stack([model.predict(x[i : i + 1])[0] for i in range(9)]), whole[:9])
    stream = model.stream(3)
    same_bits(np.stack([stream.step(x[:3, at]) for at in range(POSITIONS)], 1), whole[:3])
    trained = []
    for threads in (1, 2, 3):
        twin = model.copy()
        with fw.threads(threads):
            twin.fit(x, y, 50, 2, verbose=0)
        trained.append(twin.parameters.copy())
    same_bits(trained[0], trained[1])
    same_bits(trained[0], trained[2])


def test_a_table_with_bounds_is_kept_within_them():
    model = language(embeddings_constraint=constraints.MaxNorm(0.2, axis=1))
    model.train_on_batch(*series(6))
    norms = np.linalg.norm(model.layers[0].embeddings, axis=1)
    assert norms.max() <= 0.2 + 1e-12
    plain = network("sgd", embeddings_constraint="non_neg")
    plain.train_on_batch(*data(4))
    assert (plain.layers[0].embeddings >= 0).all()


def test_a_table_of_both_ways_goes_on_from_files_and_copies(tmp_path):
    for settings in ({}, {"tie_weights": False, "logit_soft_cap": 3.0, "mask_zero": True}):
        model = language(**settings)
        model.compile("adam", model.loss)
        x, y = series(9)
        model.train_on_batch(x, y)
        model.save(tmp_path / "m.safetensors")
        for twin in (model.copy(), fw.load(tmp_path / "m.safetensors")):
            assert twin.layers[0].config() == model.layers[0].config()
            before = model.copy()
            before.train_on_batch(x, y)
            twin.train_on_batch(x, y)
            same_bits(twin.parameters, before.parameters)


def test_files_of_torch_have_a_tied_table_once_or_twice(tmp_path):
    from safetensors.numpy import save_file

    model = language()
    table, kernel, bias = (weight.copy() for weight in model.get_weights())
    tensors = {"embed.weight": table, "fc.weight": kernel.T.copy(), "fc.bias": bias}
    for more in ({}, {"lm_head.weight": table.copy()}):
        path = tmp_path / "torch.safetensors"
        save_file({**tensors, **more}, path)
        model.parameters[:] = 0
        report = model.load_weights(path)
        for found, expected in zip(model.get_weights(), (table, kernel, bias), strict=True):
            same_bits(found, expected)
        names = {one.theirs for one in report.loaded if one.ours.endswith("/embeddings")}
        assert names == {"embed.weight", *more}
    save_file({**tensors, "lm_head.weight": table + 1}, path)
    with pytest.raises(ValueError, match="more than one way"):
        model.load_weights(path)


def test_logits_have_no_mask_and_vectors_have_one():
    x, table = fw.Input(POSITIONS), layers.ReversibleEmbedding(SIZE, WIDTH, mask_zero=True)
    rows = given((POSITIONS,))
    assert table.made_of(rows).mask is not None
    assert table.made_of(table.made_of(rows), reverse=True).mask is None
    model = fw.Model(x, layers.LSTM(3)(table(x)), seed=0)
    made = model.predict([[3, 4, 0, 0], [3, 4, 3, 0], [3, 0, 4, 0]])
    same_bits(made[0], made[2])
    assert (made[0] != made[1]).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: layers.ReversibleEmbedding(3, 2, reverse_dtype="float32"), "reverse_dtype: got"),
        (lambda: layers.ReversibleEmbedding(3, 2, logit_soft_cap=0), "logit_soft_cap: got 0"),
        (lambda: layers.ReversibleEmbedding(3, 2, tie_weights=1), "tie_weights: got 1"),
        (
            lambda: layers.ReversibleEmbedding(3, 2)(fw.Input((4, 5)), reverse=True),
            r"rows of shape \(4, 5\), expected rows \(..., 2\)",
        ),
        (lambda: layers.ReversibleEmbedding(3, 2)(fw.Input((4, 2)), reverse="yes"), "reverse: got"),
        (lambda: layers.Embedding(3, 2)(fw.Input(4), reverse=True), "reverse=True, expected"),
    ],
)
def test_ways_back_that_are_refused(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_a_plan_refuses_integers_that_an_op_made():
    model = network()
    model.predict(data(3)[0])
    table = OpSpec("embedding", (0,), 3, 4, 0, (150,), (50,))
    dense = OpSpec("dense", (0,), 4, 1, 150, (16,))
    for specs in ([dense, table._replace(reads=(1,))], [table, dense]):
        with pytest.raises(ValueError, match=r"specs: got .* expected"):
            plan_of(model, specs)


def plan_of(model, specs):
    from fastweights import _dispatch
    from fastweights._core import plan
    from fastweights.config import budget

    table, built = _dispatch.kernels(model.dtype).table, model._built
    weights = np.zeros(1000)
    return plan.Plan(table, specs, [4], weights, None, built.lock, 3, budget())


@pytest.mark.parametrize("again", ["fit", "train_on_batch"])
@pytest.mark.parametrize("applied", [False, True])
def test_what_is_written_to_gradients_is_no_part_of_the_next_step(applied, again):
    def model():
        inputs = fw.Input(2)
        rows = layers.Flatten()(layers.Embedding(50, 3)(inputs))
        made = fw.Model(inputs, layers.Dense(1)(rows), seed=0)
        made.compile("sgd", "mse")
        made.fit(x, y, verbose=0)
        return made

    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 50, (64, 2)), rng.standard_normal((64, 1))
    one, other = model(), model()
    gradients = one.gradients
    for _ in range(2):
        gradients[:] = 1.0
        if applied:
            weights = one.get_weights()
            one.apply_gradients()
            one.set_weights(weights)
        for each in (one, other):
            if again == "fit":
                each.fit(x, y, verbose=0)
            else:
                each.train_on_batch(x[:4], y[:4])
        same_bits(one.parameters, other.parameters)
