"""Plans for inference do what inference needs: the same values by fewer ops, in less memory."""

import sys

import numpy as np
import pytest
from helpers import run_python
from layer_cases import CASES, model_between, rows_for

import fastweights as fw
from fastweights import _dispatch, activations, layers
from fastweights._core.plan import ModelLock, Plan
from fastweights._lowering import inference_ops, training_ops
from fastweights._plans import plan_for
from fastweights.config import budget
from fastweights.layers.ops import OpSpec

RELU = activations.get("relu")
DENSE = OpSpec("dense", (0,), 4, variables=(12, 4))
DROPOUT = OpSpec("dropout", (1,), 4, sizes=(0, 100), options=(1.1, 0.0, 0.0))
NORM = OpSpec("batch_norm", (1,), 4, offset=16, variables=(4, 4), sizes=(1, 1), states=8)
ACTIVATION = OpSpec("activation", (1,), 4, activation=RELU)
SAME = OpSpec("activation", (1,), 4)
SQUARE = OpSpec("dense", (1,), 4, variables=(16, 4))
#: Of a series of 3 steps of 4 channels, in windows of 1.
CONV = OpSpec("conv", (0,), 12, variables=(16, 4), sizes=(1, 3, 4, 1, 3, 4, *(1,) * 6, 0, 0, 1))


def reading(*chain):
    """Ops of which each reads the one before it."""
    return [op._replace(reads=(number,)) for number, op in enumerate(chain)]


def kinds(ops):
    return [op.kind for op in ops]


@pytest.mark.parametrize("idle", [DROPOUT, SAME, OpSpec("gaussian_noise", (1,), 4)])
def test_what_acts_in_training_alone_is_left_out(idle):
    chain = reading(idle, idle, DENSE, idle, SQUARE, idle, idle)
    ops, numbers, _ = inference_ops(chain, 1, {7})
    assert ops == reading(DENSE, SQUARE)
    assert numbers == {7: 2}


def test_all_readers_of_an_idle_op_read_what_it_read():
    merge = OpSpec("add", (2, 3, 2), 4)
    ops, _, _ = inference_ops([DENSE, DROPOUT, SQUARE._replace(reads=(2,)), merge], 1, {4})
    assert ops == [DENSE, SQUARE, merge._replace(reads=(1, 2, 1))]


def test_each_value_that_is_wanted_has_an_op_of_its_own():
    idle = reading(DROPOUT, SAME)
    assert inference_ops(idle, 1, {2})[:2] == (reading(SAME), {2: 1})
    assert inference_ops(idle, 1, {1, 2})[:2] == (idle, {1: 1, 2: 2})
    two = [DENSE, DROPOUT, SAME]
    assert inference_ops(two, 1, {2, 3})[:2] == ([DENSE, SAME], {2: 1, 3: 2})
    assert inference_ops([DENSE, DROPOUT], 1, {1, 2})[:2] == ([DENSE, DROPOUT], {1: 1, 2: 2})


def test_a_value_that_nobody_wants_is_not_made():
    ops, numbers, _ = inference_ops([DENSE, SQUARE, ACTIVATION, SQUARE], 1, {3})
    assert (kinds(ops), numbers) == (["dense"], {3: 1})


def test_dense_does_the_normalisation_and_the_activation_that_alone_read_it():
    fused = DENSE._replace(activation=RELU)
    within = NORM._replace(kind="batch_norm_within")
    for chain, expected in [
        ((DENSE, ACTIVATION), (fused,)),
        ((DENSE, NORM), (DENSE, within)),
        ((DENSE, NORM, ACTIVATION), (fused, within)),
        ((DENSE, DROPOUT, NORM, DROPOUT, ACTIVATION, DROPOUT), (fused, within)),
        ((DENSE, NORM, NORM), (DENSE, within, NORM)),
        ((DENSE, ACTIVATION, ACTIVATION), (fused, ACTIVATION)),
        ((fused, NORM, ACTIVATION), (fused, NORM._replace(activation=RELU))),
        ((DENSE, NORM._replace(lines=2, outputs=2)), (DENSE, NORM._replace(lines=2, outputs=2))),
        ((NORM, DENSE), (NORM, DENSE)),
    ]:
        ops, numbers, _ = inference_ops(reading(*chain), 1, {len(chain)})
        assert ops == reading(*expected)
        assert numbers == {len(chain): len(expected)}


@pytest.mark.parametrize("kind", ["conv", "depthwise", "conv_transpose"])
def test_a_convolution_does_the_normalisation_of_its_channels(kind):
    conv = CONV._replace(kind=kind)
    norm = NORM._replace(lines=3, offset=20)
    ops, _, _ = inference_ops(reading(conv, norm, ACTIVATION), 1, {3})
    within = norm._replace(kind="batch_norm_within")
    assert ops == reading(conv._replace(activation=RELU), within)
    # Of numbers that are no channels, or of what is activated already.
    for chain in [
        (conv, norm._replace(lines=6, outputs=2)),
        (conv, norm._replace(lines=1, outputs=12)),
        (conv._replace(activation=RELU), norm),
    ]:
        ops, _, _ = inference_ops(reading(*chain), 1, {2})
        assert ops == reading(*chain)
    merge = OpSpec("add", (1, 2), 12)
    assert inference_ops([conv, norm, merge], 1, {3}).ops == [conv, norm, merge]
    assert inference_ops([conv, norm], 1, {1, 2}).ops == [conv, norm]


def test_in_training_an_op_does_the_activation_that_alone_reads_it():
    linear = ACTIVATION._replace(activation=DENSE.activation)
    normed = NORM._replace(activation=RELU)
    for chain, expected, sources in [
        ((DENSE, ACTIVATION), (DENSE._replace(activation=RELU),), [0]),
        ((DENSE, NORM, ACTIVATION, SQUARE), (DENSE, normed, SQUARE), [0, 1, 3]),
        (
            (DENSE, linear, ACTIVATION, ACTIVATION),
            (DENSE._replace(activation=RELU), ACTIVATION),
            [0, 3],
        ),
        ((DENSE, DROPOUT, ACTIVATION), (DENSE, DROPOUT, ACTIVATION), [0, 1, 2]),
        ((ACTIVATION, DENSE), (ACTIVATION, DENSE), [0, 1]),
    ]:
        ops, numbers, found = training_ops(reading(*chain), 1, {len(chain)})
        assert ops == reading(*expected)
        assert numbers == {len(chain): len(expected)}
        assert found == sources
    own = OpSpec("callback", (0,), 4)
    assert training_ops([own, ACTIVATION], 1, {2}).ops == [own, ACTIVATION]
    merge = OpSpec("add", (1, 2), 4)
    assert training_ops([DENSE, ACTIVATION, merge], 1, {3}).ops == [DENSE, ACTIVATION, merge]
    assert training_ops([DENSE, ACTIVATION], 1, {1, 2}).ops == [DENSE, ACTIVATION]


@pytest.mark.parametrize("activation", ["relu", "tanh", "silu"])
@pytest.mark.parametrize("first", ["dense", "member_dense", "batch_norm"])
def test_an_activation_apart_trains_as_one_within(first, activation):
    """The layer in between does nothing, and keeps them apart."""
    stacks = {
        "dense": lambda: [layers.Dense(24)],
        "member_dense": lambda: [layers.Reshape((4, 6)), layers.MemberDense(6)],
        "batch_norm": lambda: [layers.Dense(24), layers.BatchNormalization()],
    }
    random = np.random.default_rng(0)
    x, y = random.standard_normal((96, 24)), random.standard_normal((96, 1))
    trained = []
    for between in ([], [layers.Rescaling(1.0)]):
        stack = [*stacks[first](), *between, layers.Activation(activation)]
        model = fw.Sequential([*stack, layers.Flatten(), layers.Dense(1)], 24, "float64", seed=1)
        model.compile("adam", "mse")
        model.fit(x, y, 32, 3, verbose=0)
        trained.append((model.parameters.copy(), model.predict(x)))
    (first_weights, first_outputs), (weights, outputs) = trained
    np.testing.assert_allclose(first_weights, weights, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(first_outputs, outputs, rtol=1e-11, atol=1e-13)


def test_what_others_look_at_as_well_stays_apart():
    merge = OpSpec("add", (1, 2), 4)
    for reader in (NORM, ACTIVATION):
        assert kinds(inference_ops([DENSE, reader], 1, {1, 2})[0]) == ["dense", reader.kind]
        assert kinds(inference_ops([DENSE, reader, merge], 1, {3})[0]) == [
            "dense", reader.kind, "add",
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("specs", "inputs"),
    [
        ([NORM._replace(kind="batch_norm_within", reads=(0,))], (4,)),
        (reading(ACTIVATION, NORM._replace(kind="batch_norm_within")), (4,)),
        ([DENSE, NORM._replace(kind="batch_norm_within"), OpSpec("add", (1, 2), 4)], (3,)),
        ([DENSE, NORM._replace(kind="batch_norm_within", lines=2, outputs=2, variables=(2, 2),
                               states=4)], (3,)),
        ([CONV, NORM._replace(kind="batch_norm_within", lines=6, outputs=2, offset=20,
                              variables=(2, 2), states=4)], (12,)),
        ([OpSpec("max_pool", (0,), 12, sizes=(1, 3, 4, 1, 3, 4, 1, 1, 1, 1, 0)),
          NORM._replace(kind="batch_norm_within", lines=3)], (12,)),
    ],
)  # fmt: skip
def test_an_op_within_another_is_refused_where_it_cannot_be(specs, inputs):
    table = _dispatch.kernels(np.dtype("float32")).table
    zeros = np.zeros(40, np.float32)
    with pytest.raises(ValueError, match=r"specs: got OpSpec.*expected"):
        Plan(table, specs, inputs, zeros, None, ModelLock(), 1, budget(), states=zeros)
    specs = [DENSE, NORM._replace(kind="batch_norm_within")]
    with pytest.raises(ValueError, match="expected to read, in inference"):
        Plan(table, specs, (3,), zeros, zeros.copy(), ModelLock(), 1, budget(), states=zeros)


# ---- models --------------------------------------------------------------------------------------


def normalized(units, activation, dtype="float64", inputs=9, lead=(), **settings):
    """Dense, normalised and activated, with weights and state drawn."""
    use_bias = settings.pop("use_bias", True)
    stack = [
        layers.Dense(units, use_bias=use_bias),
        layers.Dropout(0.5),
        layers.BatchNormalization(**settings),
        layers.Activation(activation),
    ]
    model = fw.Sequential(stack, (*lead, inputs), dtype, seed=1)
    random = np.random.default_rng(units)
    for layer in model.layers:
        for name, weight in layer.weights.items():
            weight[...] = random.standard_normal(weight.shape)
            if name == "moving_variance":
                weight[...] = weight**2 + 0.1
    return model


FUNCTIONS = {"relu": lambda z: np.maximum(z, 0), "tanh": np.tanh, "linear": lambda z: z}


def by_hand(model, x):
    """Its output in double, and how large what is added up for a number is."""
    dense, _, norm, activation = model.layers
    first = {name: weight.astype(float) for name, weight in dense.weights.items()}
    then = {name: weight.astype(float) for name, weight in norm.weights.items()}
    kernel, bias = first["kernel"], first.get("bias", 0.0)
    scale = then.get("gamma", 1.0) / np.sqrt(then["moving_variance"] + norm.epsilon)
    shift, mean = then.get("beta", 0.0), then["moving_mean"]
    size = (np.abs(x) @ np.abs(kernel) + np.abs(bias) + np.abs(mean)) * np.abs(scale)
    z = (x.astype(float) @ kernel + bias - mean) * scale + shift
    return FUNCTIONS[activation.activation.name](z), size + np.abs(shift)


#: Narrow ones, one panel, several and a part, a depth that is cut.
SHAPES = [(1, 9), (7, 9), (8, 9), (70, 9), (300, 33), (65, 1100)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", FUNCTIONS)
@pytest.mark.parametrize(("units", "inputs"), SHAPES)
def test_a_normalised_dense_layer_is_as_exact_as_one_after_the_other(
    units, inputs, activation, dtype
):
    model = normalized(units, activation, dtype, inputs)
    x = np.random.default_rng(0).standard_normal((130, inputs)).astype(dtype)
    expected, size = by_hand(model, x)
    for found in (model.predict(x), model.forward(x)):
        assert np.max(np.abs(found - expected) / size) <= 4 * np.finfo(dtype).eps
    assert kinds_of(model) == ["dense", "batch_norm_within"]


def kinds_of(model):
    ops = model._built.ops
    return kinds(inference_ops(ops, 1, {len(ops)})[0])


@pytest.mark.parametrize("lead", [(), (4,)])
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize(("center", "scale"), [(True, False), (False, True), (False, False)])
def test_a_normalisation_without_some_of_its_numbers(center, scale, use_bias, lead):
    model = normalized(20, "relu", lead=lead, center=center, scale=scale, use_bias=use_bias)
    x = np.random.default_rng(0).standard_normal((30, *lead, 9))
    np.testing.assert_allclose(model.predict(x), by_hand(model, x)[0], rtol=1e-11, atol=1e-11)


def test_weights_and_state_are_those_of_the_moment():
    model = normalized(20, "tanh")
    x = np.random.default_rng(0).standard_normal((30, 9))
    for rows in (1, 30):
        for layer in model.layers:
            for name, weight in layer.weights.items():
                before = model.predict(x[:rows])
                weight *= 1.5
                after = model.predict(x[:rows])
                assert not np.array_equal(before, after), name
                expected = by_hand(model, x[:rows])[0]
                np.testing.assert_allclose(after, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_row_is_the_same_among_any_rows(threads, monkeypatch):
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    x = np.random.default_rng(0).standard_normal((700, 9)).astype("float32")
    for units in (5, 20, 300):
        model = normalized(units, "relu", "float32")
        alone = np.concatenate([model.predict(row[None]) for row in x[:40]])
        with fw.threads(threads):
            np.testing.assert_array_equal(model.predict(x)[:40], alone)
            np.testing.assert_array_equal(model.predict(x[:40]), alone)


# ---- convolutions --------------------------------------------------------------------------------

CONVOLUTIONS = {
    "steps": (lambda **s: layers.Conv1D(5, 3, padding="causal", **s), (9, 4)),
    "above a panel": (lambda **s: layers.Conv2D(70, 2, **s), (4, 4, 3)),
    "merged": (lambda **s: layers.Conv2D(2, 3, padding="same", **s), (4, 6, 3)),
    "grouped": (lambda **s: layers.Conv2D(6, 3, groups=2, padding="same", **s), (6, 5, 4)),
    "strided": (lambda **s: layers.Conv2D(17, 3, 2, **s), (9, 8, 3)),
    "one by one": (lambda **s: layers.Conv2D(5, 1, **s), (3, 4, 6)),
    "depthwise": (lambda **s: layers.DepthwiseConv2D(3, padding="same", **s), (5, 6, 11)),
    "depthwise steps": (lambda **s: layers.DepthwiseConv1D(3, **s), (9, 70)),
    "depthwise of several": (
        lambda **s: layers.DepthwiseConv2D(2, strides=2, depth_multiplier=3, **s), (6, 6, 7),
    ),
    "separable": (lambda **s: layers.SeparableConv2D(9, 3, depth_multiplier=2, **s), (5, 5, 3)),
    "transposed": (lambda **s: layers.Conv2DTranspose(5, 3, 2, padding="same", **s), (4, 3, 6)),
    "transposed apart": (lambda **s: layers.Conv1DTranspose(2, 2, 3, **s), (5, 3)),
}  # fmt: skip


def drawn(stack, shape, dtype):
    """A model whose weights and state are drawn."""
    model = fw.Sequential(stack, shape, dtype, seed=1)
    random = np.random.default_rng(3)
    for layer in model.layers:
        for name, weight in layer.weights.items():
            weight[...] = random.standard_normal(weight.shape)
            if name == "moving_variance":
                weight[...] = weight**2 + 0.1
    return model


def convolved(name, activation="relu", dtype="float64", use_bias=True, **settings):
    """The same as `normalized` of a convolution."""
    make, shape = CONVOLUTIONS[name]
    stack = [
        make(use_bias=use_bias),
        layers.Dropout(0.5),
        layers.BatchNormalization(**settings),
        layers.Activation(activation),
    ]
    return drawn(stack, shape, dtype)


def apart_by_hand(model, name, x):
    """What `by_hand` says, of what the convolution alone makes in double."""
    conv, _, norm, activation = model.layers

    def alone(turn):
        """What it makes of numbers and weights that are turned."""
        make, shape = CONVOLUTIONS[name]
        same = fw.Sequential([make(use_bias=conv.use_bias)], shape, "float64")
        for weight, own in conv.weights.items():
            same.layers[0].weights[weight][...] = turn(own.astype(float))
        return same.predict(turn(x.astype(float)))

    then = {weight: own.astype(float) for weight, own in norm.weights.items()}
    scale = then.get("gamma", 1.0) / np.sqrt(then["moving_variance"] + norm.epsilon)
    shift, mean = then.get("beta", 0.0), then["moving_mean"]
    size = (alone(np.abs) + np.abs(mean)) * np.abs(scale) + np.abs(shift)
    z = (alone(np.array) - mean) * scale + shift
    return FUNCTIONS[activation.activation.name](z), size


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", FUNCTIONS)
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_normalised_convolution_is_as_exact_as_one_after_the_other(name, activation, dtype):
    model = convolved(name, activation, dtype)
    x = np.random.default_rng(0).standard_normal((5, *model.input_shape)).astype(dtype)
    expected, size = apart_by_hand(model, name, x)
    for found in (model.predict(x), model.forward(x)):
        assert np.max(np.abs(found - expected) / size) <= 4 * np.finfo(dtype).eps
    assert kinds_of(model)[-1] == "batch_norm_within"
    assert "batch_norm" not in kinds_of(model)


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize(("center", "scale"), [(True, False), (False, True), (False, False)])
@pytest.mark.parametrize("name", ["merged", "depthwise", "transposed", "separable"])
def test_a_normalised_convolution_without_some_of_its_numbers(name, center, scale, use_bias):
    model = convolved(name, center=center, scale=scale, use_bias=use_bias)
    x = np.random.default_rng(0).standard_normal((3, *model.input_shape))
    expected, _ = apart_by_hand(model, name, x)
    np.testing.assert_allclose(model.predict(x), expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("trainable", [True, False])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_convolution_s_weights_and_state_are_those_of_the_moment(name, trainable):
    model = convolved(name, "tanh")
    model.layers[0].trainable = trainable
    x = np.random.default_rng(0).standard_normal((2, *model.input_shape))
    for layer in model.layers:
        for weight, own in layer.weights.items():
            before = model.predict(x)
            own *= 1.5
            after = model.predict(x)
            assert not np.array_equal(before, after), weight
            expected, _ = apart_by_hand(model, name, x)
            np.testing.assert_allclose(after, expected, rtol=1e-11, atol=1e-11)


def test_a_shared_convolution_has_the_normalisation_of_each_call():
    """Its own kernel each time; a third call's value is read by others too."""
    first, second = fw.Input((6, 5, 3)), fw.Input((6, 5, 3))
    conv, norms = layers.Conv2D(4, 3), [layers.BatchNormalization() for _ in range(3)]
    values = [conv(x) for x in (first, second, first)]
    read = [norm(value) for norm, value in zip(norms, values, strict=True)]
    model = fw.Model([first, second], [*read, layers.Add()([values[2], read[0]])], dtype="float64")
    random = np.random.default_rng(0)
    for weight in model.weights:
        weight[...] = random.uniform(0.1, 1.0, weight.shape)
    ops = model._built.ops
    wanted = {number for number, op in enumerate(ops, 2) if op.kind in ("batch_norm", "add")}
    assert kinds(inference_ops(ops, 2, wanted)[0]).count("batch_norm_within") == 2
    alone = fw.Sequential([layers.Conv2D(4, 3)], (6, 5, 3), "float64")
    alone.set_weights(conv.get_weights())
    x = [random.standard_normal((2, 6, 5, 3)) for _ in range(2)]
    made = [alone.predict(x[which]) for which in (0, 1, 0)]
    expected = [
        (y - norm.moving_mean) * norm.gamma / np.sqrt(norm.moving_variance + norm.epsilon)
        + norm.beta
        for norm, y in zip(norms, made, strict=True)
    ]
    expected.append(made[2] + expected[0])
    for found, value in zip(model.predict(x), expected, strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_normalised_image_is_the_same_among_any(name, threads, monkeypatch):
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    model = convolved(name, "relu", "float32")
    x = np.random.default_rng(0).standard_normal((300, *model.input_shape)).astype("float32")
    alone = np.concatenate([model.predict(row[None]) for row in x[:9]])
    with fw.threads(threads):
        np.testing.assert_array_equal(model.predict(x)[:9], alone)
        np.testing.assert_array_equal(model.predict(x[:9]), alone)


HASHES = """
import hashlib
import fastweights as fw
from test_inference import CONVOLUTIONS, SHAPES, convolved, normalized, np

found = hashlib.sha256()
for dtype in ("float32", "float64"):
    for units, inputs in SHAPES:
        model = normalized(units, "tanh", dtype, inputs)
        x = np.random.default_rng(0).standard_normal((700, inputs)).astype(dtype)
        for threads in (1, 3):
            with fw.threads(threads):
                found.update(model.predict(x).tobytes())
    for name in CONVOLUTIONS:
        model = convolved(name, "tanh", dtype)
        x = np.random.default_rng(0).standard_normal((9, *model.input_shape)).astype(dtype)
        found.update(model.predict(x).tobytes())
print(found.hexdigest())
"""


def test_normalised_layers_have_the_same_bits_on_every_level_that_fuses():
    found = set()
    for level in set(_dispatch.available_levels()) - {"baseline", "amx"}:
        done = run_python(HASHES, FASTWEIGHTS_ISA=level, FASTWEIGHTS_GRAIN="0")
        assert done.returncode == 0, done.stderr
        found.add(done.stdout)
    assert len(found) <= 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", CASES)
def test_every_layer_predicts_what_it_makes_where_all_is_kept(name, threads, dtype, monkeypatch):
    """Values share places, but not while they are read, and no thread has another one's."""
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    model = model_between(CASES[name], dtype)
    x = rows_for(model, 777, np.random.default_rng(2))
    with fw.threads(threads):
        np.testing.assert_array_equal(model.predict(x), model.forward(x))


def branching(dtype="float64"):
    """Values of many widths, some read once more much later."""
    inputs = [fw.Input(5), fw.Input(3)]
    x = layers.Dense(17)(inputs[0])
    early = layers.BatchNormalization()(x)
    shared = layers.Dense(6, "tanh")
    branches = [shared(layers.Dropout(0.3)(early)), layers.Dropout(0.1)(shared(x)), inputs[1]]
    for units in (40, 2, 9):
        x = layers.BatchNormalization()(layers.Dense(units)(layers.Concatenate()([x, early])))
        branches.append(layers.Activation("relu")(x))
    joined = layers.Concatenate()([*branches, early])
    out = layers.Dropout(0.5)(layers.Softmax()(layers.Dropout(0.2)(layers.Dense(4)(joined))))
    return fw.Model(inputs, out, dtype=dtype, seed=3)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_graph_predicts_what_it_makes_where_all_is_kept(threads, monkeypatch):
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    model, random = branching(), np.random.default_rng(0)
    for weight in model.weights:
        weight[...] = np.abs(random.standard_normal(weight.shape)) + 0.1
    x = [random.standard_normal((900, 5)), random.standard_normal((900, 3))]
    with fw.threads(threads):
        np.testing.assert_allclose(model.predict(x), model.forward(x), rtol=1e-10)


STACKS = {
    "an idle layer last": lambda: [layers.Dense(3, "softmax"), layers.Dropout(0.5)],
    "an idle layer before": lambda: [layers.Dense(3), layers.Dropout(0.5), layers.Softmax()],
    "an idle layer, then a part of the loss": lambda: [layers.Dropout(0.5), layers.Softmax()],
    "nothing but idle layers": lambda: [layers.Dropout(0.5), layers.GaussianNoise(1.0)],
    "identity": lambda: [layers.Identity(), layers.Activation("linear")],
    "a normalisation last": lambda: [layers.Dense(3), layers.BatchNormalization()],
    "a normalisation before": lambda: [
        layers.Dense(3), layers.BatchNormalization(), layers.Dropout(0.1), layers.Softmax(),
    ],
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:loss")
@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("loss", ["mse", "categorical_crossentropy"])
def test_losses_and_metrics_are_those_of_the_values_that_are_kept(name, loss):
    model = fw.Sequential(STACKS[name](), 3, "float64", seed=0)
    model.compile("sgd", loss, metrics=["mae"])
    random = np.random.default_rng(0)
    x, y = random.uniform(0.1, 0.9, (600, 3)), np.eye(3)[random.integers(0, 3, 600)]
    expected = model.forward(x)
    np.testing.assert_allclose(model.predict(x), expected, rtol=1e-13)
    found = model.evaluate(x, y)
    assert found[1] == pytest.approx(np.abs(expected - y).mean(), rel=1e-12)
    assert found[0] == pytest.approx(model.loss_and_gradients(x, y)[0], rel=1e-12)


def test_each_of_several_outputs_is_there():
    """A value that others read is an output too, twice; one's loss takes its activation in."""
    x = fw.Input(5)
    hidden = layers.Dense(6)(x)
    norm = layers.BatchNormalization()(hidden)
    late = layers.Dropout(0.5)(layers.Dense(4)(layers.Activation("tanh")(norm)))
    outputs = [hidden, layers.Softmax()(late), layers.Dropout(0.5)(hidden), norm]
    model = fw.Model(x, outputs, dtype="float64", seed=0)
    model.compile("sgd", ["mse", "categorical_crossentropy", "mse", "mae"])
    random = np.random.default_rng(0)
    for weight in model.weights:
        weight[...] = random.uniform(0.1, 1.0, weight.shape)
    x = random.standard_normal((300, 5))
    y = [random.uniform(0.1, 1.0, (300, width)) for width in (6, 4, 6, 6)]
    y[1] /= y[1].sum(axis=1, keepdims=True)
    for found, expected in zip(model.predict(x), model.forward(x), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    expected = model.loss_and_gradients(x, y)[0]
    assert model.evaluate(x, y)[0] == pytest.approx(expected, rel=1e-12)


# ---- memory --------------------------------------------------------------------------------------


def arena(stack, width, rows, purpose="infer"):
    model = fw.Sequential(stack, width, "float32", seed=0)
    if purpose == "infer":
        return plan_for(model, "infer", rows).arena_bytes
    model.compile("sgd", "mse")
    return model.memory(rows)["arena"]


def test_a_long_chain_needs_the_room_of_two_values():
    def scales(count):
        return [layers.Rescaling(2.0) for _ in range(count)]

    with fw.threads(1):
        assert arena(scales(50), 100, 200) == arena(scales(2), 100, 200)
        # Two, and the rows of targets.
        assert arena(scales(50), 100, 200) <= 3 * 100 * 200 * 4 + 4096


def test_long_rows_go_through_a_few_at_a_time():
    stack = [layers.Rescaling(2.0), layers.Activation("tanh"), layers.Rescaling(0.5)]
    width = 1_000_000
    with fw.threads(1):
        assert arena(stack, width, 10_000) < 1 << 27
        assert arena([*stack, layers.Dense(1)], width, 10_000, "fit") < 1 << 29
        # Where rows are short nothing has changed.
        plan = plan_for(fw.Sequential([layers.Dense(9)], 8000, seed=0), "infer", 10_000)
        assert plan.chunk_limit == 256


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_images_are_trained_on_a_few_at_a_time(threads):
    """However many threads work on a batch, each on images of its own."""
    stack = [
        layers.Conv2D(16, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(32, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
        layers.Dense(10),
    ]
    with fw.threads(threads):
        for purpose in ("fit", "infer"):
            most = 64 << 20 if purpose == "fit" else (14 << 20) * threads
            assert arena(stack, (28, 28, 1), 1024, purpose) < most


@pytest.mark.parametrize("purpose", ["fit", "infer"])
@pytest.mark.parametrize("settings", [{}, {"use_causal_mask": True}])
def test_attention_makes_no_matrix_of_steps(settings, purpose):
    def needed(steps):
        x = fw.Input((steps, 64))
        y = layers.MultiHeadAttention(4, 16, dropout=0.1)(x, x, **settings)
        model = fw.Model(x, y, seed=0)
        if purpose == "infer":
            return plan_for(model, "infer", 1).arena_bytes
        model.compile("sgd", "mse")
        return model.memory(1)["arena"]

    with fw.threads(1):
        # Of one head, in float32.
        assert needed(2048) < 2048 * 2048 * 4
        assert needed(4096) - needed(2048) < 2.2 * (needed(2048) - needed(1024))


def test_long_rows_are_predicted_and_trained_as_others():
    width, rows = 1 << 17, 70
    model = fw.Sequential(
        [layers.Rescaling(0.5), layers.PReLU(), layers.Dense(1)], width, "float64"
    )
    model.compile("sgd", "mse")
    random = np.random.default_rng(0)
    x, y = random.standard_normal((rows, width)), random.standard_normal((rows, 1))
    prelu, dense = model.layers[1:]
    prelu.weights["alpha"][...] = random.uniform(0, 1, width)
    half = 0.5 * x
    hidden = np.where(half > 0, half, prelu.weights["alpha"] * half)
    expected = hidden @ dense.kernel
    assert plan_for(model, "infer", rows).chunk_limit < rows
    np.testing.assert_allclose(model.predict(x), expected, rtol=1e-9, atol=1e-9)
    assert model.evaluate(x, y) == pytest.approx(np.mean((expected - y) ** 2), rel=1e-12)
    loss, gradient, _ = model.loss_and_gradients(x, y)
    assert loss == pytest.approx(np.mean((expected - y) ** 2), rel=1e-12)
    dz = 2 * (expected - y) / rows
    wanted = [((dz * dense.kernel.T) * np.where(half > 0, 0, half)).sum(0), (hidden.T @ dz).ravel()]
    np.testing.assert_allclose(
        gradient, np.concatenate([*wanted, [dz.sum()]]), rtol=1e-9, atol=1e-12
    )
