"""The kernels on plain arrays, against NumPy. Whole numbers make the expected results exact."""

import numpy as np
import pytest
import reference

from fastweights import _dispatch, activations, kernels

REALS = ("float32", "float64")
#: One, odd, and around one and two vectors of every CPU level (2, 4, 8 and 16 lanes).
SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33)
SHAPES = [
    *((3, 5, outputs) for outputs in (*SIZES, 47, 48, 49, 64, 100)),
    *((rows, 4, 17) for rows in (*SIZES, 63, 64, 65, 129)),
    *((5, inputs, 9) for inputs in (*SIZES, 100)),
    (1, 1, 1),
    (70, 130, 90),
    (300, 20, 3),
]


def whole(random, shape, dtype):
    return random.integers(-4, 5, shape).astype(dtype)


def sample(shape, dtype):
    """x, kernel, bias and dy of whole numbers for (rows, inputs, outputs)."""
    rows, inputs, outputs = shape
    random = np.random.default_rng(shape)
    sizes = ((rows, inputs), (inputs, outputs), (outputs,), (rows, outputs))
    return [whole(random, size, dtype) for size in sizes]


@pytest.mark.parametrize("dtype", REALS)
@pytest.mark.parametrize("shape", SHAPES)
def test_dense_forward_is_exact(shape, dtype):
    x, kernel, bias, _ = sample(shape, dtype)
    product = x @ kernel
    for found, expected in (
        (kernels.dense_forward(x, kernel), product),
        (kernels.dense_forward(x, kernel, bias), product + bias),
        (kernels.dense_forward(x, kernel, bias, activation="relu"), np.maximum(product + bias, 0)),
    ):
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", REALS)
@pytest.mark.parametrize("shape", SHAPES)
def test_dense_backward_is_exact(shape, dtype):
    x, kernel, bias, dy = sample(shape, dtype)
    slope = whole(np.random.default_rng(1), dy.shape, dtype)
    for dz, settings in ((dy, {}), (dy * slope, {"slope": slope})):
        expected = dz @ kernel.T, x.T @ dz, dz.sum(axis=0)
        for found, wanted in zip(
            kernels.dense_backward(dy, x, kernel, **settings), expected, strict=True
        ):
            assert found.dtype == dtype
            np.testing.assert_array_equal(found, wanted)
        dkernel, dbias = kernel.copy(), bias.copy()
        dx, *_ = kernels.dense_backward(
            dy, x, kernel, dkernel=dkernel, dbias=dbias, accumulate=True, **settings
        )
        np.testing.assert_array_equal(dx, expected[0])
        np.testing.assert_array_equal(dkernel, kernel + expected[1])
        np.testing.assert_array_equal(dbias, bias + expected[2])


@pytest.mark.parametrize("dtype", REALS)
@pytest.mark.parametrize("n", [0, *SIZES, 1000])
def test_sgd_update_is_exact(n, dtype):
    random = np.random.default_rng(n)
    w, dw = whole(random, n, dtype), whole(random, n, dtype)
    expected = w - 0.25 * dw
    kept = dw.copy()
    assert kernels.sgd_update(w, dw, 0.25) is w
    np.testing.assert_array_equal(w, expected)
    np.testing.assert_array_equal(dw, kept)


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("outputs", [1, 3, 7, 8, 17, 33, 70, 130])
@pytest.mark.parametrize("rows", [1, 8, 9, 100, 70_001])
def test_a_bias_gradient_does_not_lose_digits_with_the_rows(rows, outputs, accumulate):
    # Numbers of one sign: 0.1, whose sums all round the same way, and some that differ a lot.
    random = np.random.default_rng(rows)
    for dz in (np.full((rows, outputs), 0.1), random.exponential(size=(rows, outputs)) ** 3):
        dz = dz.astype(np.float32)
        before = np.full(outputs, 3 if accumulate else 0, np.float32)
        given = before.copy()
        kernels.dense_backward(
            dz,
            np.ones((rows, 1), np.float32),
            np.ones((1, outputs), np.float32),
            dkernel=np.zeros((1, outputs), np.float32),
            dbias=given,
            accumulate=accumulate,
        )
        expected = before + dz.sum(axis=0, dtype=np.float64)
        np.testing.assert_allclose(given, expected, rtol=3e-7)


def test_more_options_than_there_is_room_for_are_refused():
    compiled, x = _dispatch.kernels(np.dtype(np.float64)), np.ones((2, 2))
    at, three = x.ctypes.data, (0.5, 0.5, 0.5)
    for call in (
        lambda: compiled.apply_activation("elu", at, 0, x.size, three),
        lambda: compiled.apply_activation_gradient("elu", at, at, at, x.size, three),
        lambda: compiled.apply_dense_forward(at, 0, at, at, 0, at, 2, 2, 2, "elu", three),
    ):
        with pytest.raises(ValueError, match="options: got 3 numbers, expected at most 2"):
            call()
    with pytest.raises(ValueError, match="options: got 66 numbers, expected at most 65"):
        compiled.apply_loss("quantile", at, 0, at, at, 2, 2, 66 * (0.5,), 1.0)
    assert (x == 1).all()


def test_sgd_update_of_any_shape():
    w = np.ones((2, 3, 4))
    kernels.sgd_update(w, np.full((4, 3, 2), 2.0).T, 0.5)
    np.testing.assert_array_equal(w, 0.0)
    scalar = np.array(1.0)
    kernels.sgd_update(scalar, 2.0, 1)
    assert scalar == -1.0


@pytest.mark.parametrize("dtype", REALS)
@pytest.mark.parametrize("name", reference.ACTIVATIONS)
def test_activation_and_slope(name, dtype):
    random = np.random.default_rng(0)
    x, kernel, bias = (random.standard_normal(s).astype(dtype) for s in ((19, 5), (5, 13), 13))
    z = x.astype(float) @ kernel + bias
    slope = np.full((19, 13), np.nan, dtype)
    y = kernels.dense_forward(x, kernel, bias, activation=name, slope=slope)
    without = kernels.dense_forward(x, kernel, bias, activation=name)
    np.testing.assert_array_equal(y, without)
    value, derivative = reference.ACTIVATIONS[name]
    tolerance = 3e-6 if dtype == "float32" else 1e-14
    relative = tolerance if name == "exponential" else 0  # which is large
    np.testing.assert_allclose(y, value(z), rtol=relative, atol=tolerance)
    np.testing.assert_allclose(slope, derivative(z), rtol=relative, atol=tolerance)


def test_settings_of_an_activation():
    x = np.array([[-1.0, 2.0]])
    slope = np.empty((1, 2))
    y = kernels.dense_forward(x, np.eye(2), activation=activations.LeakyReLU(0.5), slope=slope)
    np.testing.assert_array_equal(y, [[-0.5, 2.0]])
    np.testing.assert_array_equal(slope, [[0.5, 1.0]])


def test_forward_and_backward_are_one_layer():
    random = np.random.default_rng(0)
    x, kernel, bias = (random.standard_normal(s) for s in ((9, 4), (4, 3), 3))
    target, slope = random.standard_normal((9, 3)), np.empty((9, 3))
    for _ in range(3):
        layer = reference.MLP((4, 3), ["tanh"])
        layer.parameters = np.concatenate([kernel.ravel(), bias])
        y = kernels.dense_forward(x, kernel, bias, activation="tanh", slope=slope)
        _, dkernel, dbias = kernels.dense_backward(
            2 * (y - target) / y.size, x, kernel, slope=slope
        )
        layer.sgd_step(layer.gradients(x, target)[0], 0.1)
        kernels.sgd_update(kernel, dkernel, 0.1)
        kernels.sgd_update(bias, dbias, 0.1)
        np.testing.assert_allclose(
            np.concatenate([kernel.ravel(), bias]), layer.parameters, rtol=1e-13
        )


# ---- results in place ----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", REALS)
def test_results_go_where_they_are_told(dtype):
    x, kernel, bias, dy = sample((6, 5, 4), dtype)
    out, dx, dkernel, dbias = (np.full(s, np.nan, dtype) for s in ((6, 4), (6, 5), (5, 4), (4,)))
    assert kernels.dense_forward(x, kernel, bias, out=out) is out
    np.testing.assert_array_equal(out, x @ kernel + bias)
    found = kernels.dense_backward(dy, x, kernel, dx=dx, dkernel=dkernel, dbias=dbias)
    assert all(a is b for a, b in zip(found, (dx, dkernel, dbias), strict=True))
    np.testing.assert_array_equal(dkernel, x.T @ dy)


def test_nothing_is_written_beside_the_result():
    x, kernel, bias, dy = sample((5, 7, 9), "float32")
    frames = [np.full(size + 34, 99, np.float32) for size in (45, 35, 63, 9)]
    out, dx, dkernel, dbias = (
        frame[17:-17].reshape(shape)
        for frame, shape in zip(frames, ((5, 9), (5, 7), (7, 9), (9,)), strict=True)
    )
    kernels.dense_forward(x, kernel, bias, out=out)
    kernels.dense_backward(dy, x, kernel, dx=dx, dkernel=dkernel, dbias=dbias)
    kernels.sgd_update(dbias, bias, 1.0)
    np.testing.assert_array_equal(dbias, dy.sum(axis=0) - bias)
    for frame in frames:
        assert (frame[:17] == 99).all()
        assert (frame[-17:] == 99).all()


def variants(array):
    """The same numbers in other layouts."""
    wide = np.zeros(tuple(3 * size for size in array.shape), array.dtype)
    wide[tuple(slice(None, None, 3) for _ in array.shape)] = array
    yield wide[tuple(slice(None, None, 3) for _ in array.shape)]
    yield np.asfortranarray(array)
    yield array.T.copy().T
    yield array[::-1].copy()[::-1]
    yield array.astype(array.dtype.newbyteorder())
    unaligned = np.frombuffer(b"\0" + array.tobytes(), array.dtype, offset=1).reshape(array.shape)
    assert not unaligned.flags.aligned
    yield unaligned  # and read-only


@pytest.mark.parametrize("dtype", REALS)
def test_inputs_of_any_layout(dtype):
    x, kernel, bias, dy = sample((6, 5, 4), dtype)
    slope = dy + 1
    for others in zip(*map(variants, (x, kernel, bias, dy, slope)), strict=True):
        x2, kernel2, bias2, dy2, slope2 = others
        np.testing.assert_array_equal(kernels.dense_forward(x2, kernel2, bias2), x @ kernel + bias)
        dx, dkernel, dbias = kernels.dense_backward(dy2, x2, kernel2, slope=slope2)
        np.testing.assert_array_equal(dx, (dy * slope) @ kernel.T)
        np.testing.assert_array_equal(dkernel, x.T @ (dy * slope))
        np.testing.assert_array_equal(dbias, (dy * slope).sum(axis=0))
        w = np.ones(4, dtype)
        np.testing.assert_array_equal(kernels.sgd_update(w, bias2, 1.0), 1 - bias)
        for array, kept in zip(others, (x, kernel, bias, dy, slope), strict=True):
            np.testing.assert_array_equal(array, kept)


# ---- refusals ------------------------------------------------------------------------------------

X, KERNEL, BIAS, DY = sample((6, 5, 4), "float32")


def read_only(shape):
    array = np.zeros(shape, np.float32)
    array.flags.writeable = False
    return array


def bad_outs(shape, overlapping):
    """(array, error, what the message says) for a result of this shape."""
    double = tuple(2 * size for size in shape)
    memory = np.zeros(4 * int(np.prod(shape)) + 1, np.uint8)
    yield read_only(shape), ValueError, "a read-only array, expected a writeable array"
    yield (
        np.zeros(double, np.float32)[tuple(slice(None, None, 2) for _ in shape)],
        ValueError,
        "strides",
    )
    yield np.zeros(shape, np.float64), TypeError, "dtype float64, expected dtype float32"
    yield np.zeros(shape, ">f4"), TypeError, "dtype >f4, expected dtype float32"
    yield np.zeros(shape, np.int64), TypeError, "dtype int64, expected dtype float32"
    yield np.zeros((*shape, 1), np.float32), ValueError, "shape"
    yield np.zeros(double, np.float32), ValueError, "shape"
    yield np.zeros(shape).tolist(), TypeError, "list, expected a NumPy array"
    yield memory[1:].view(np.float32).reshape(shape), ValueError, "an unaligned array"
    if len(shape) > 1:
        yield np.zeros(shape, np.float32, order="F"), ValueError, "strides"
    yield overlapping, ValueError, "an array that overlaps"


SQUARE = np.ones((4, 4), np.float32)
ROW = np.ones(4, np.float32)
BUFFER = np.zeros(40, np.float32)

BAD_OUTS = [
    (name, call, *case)
    for name, call, shape, overlapping in (
        ("out", lambda a: kernels.dense_forward(SQUARE, SQUARE, ROW, out=a), (4, 4), SQUARE),
        ("slope", lambda a: kernels.dense_forward(SQUARE, SQUARE, ROW, slope=a), (4, 4), SQUARE),
        ("dx", lambda a: kernels.dense_backward(SQUARE, SQUARE, SQUARE, dx=a), (4, 4), SQUARE),
        (
            "dkernel",
            lambda a: kernels.dense_backward(SQUARE, SQUARE, SQUARE, dkernel=a),
            (4, 4),
            SQUARE,
        ),
        (
            "dbias",
            lambda a: kernels.dense_backward(SQUARE, SQUARE, SQUARE, dbias=a),
            (4,),
            SQUARE[1],
        ),
    )
    for case in bad_outs(shape, overlapping)
]


@pytest.mark.parametrize(("name", "call", "array", "error", "message"), BAD_OUTS)
def test_results_that_do_not_fit_are_refused(name, call, array, error, message):
    with pytest.raises(error) as caught:
        call(array)
    assert str(caught.value).startswith(f"{name}: got {message}")
    assert ", expected " in str(caught.value)
    assert (SQUARE == 1).all()


def test_results_may_not_overlap_each_other_or_a_strided_input():
    half = BUFFER[:16].reshape(4, 4), BUFFER[8:24].reshape(4, 4)
    strided = BUFFER[:32].reshape(4, 8)[:, ::2]
    for call, message in (
        (
            lambda: kernels.dense_forward(SQUARE, SQUARE, out=half[0], slope=half[1]),
            "slope: .* overlaps out",
        ),
        (lambda: kernels.dense_forward(strided, SQUARE, out=half[1]), "out: .* overlaps x"),
        (lambda: kernels.dense_forward(SQUARE, strided, out=half[1]), "out: .* overlaps kernel"),
        (
            lambda: kernels.dense_forward(SQUARE, SQUARE, BUFFER[:8:2], out=half[0]),
            "out: .* overlaps bias",
        ),
        (lambda: kernels.dense_backward(SQUARE, SQUARE, SQUARE, dx=half[0], dkernel=half[1]),
         "dkernel: .* overlaps dx"),
        (lambda: kernels.dense_backward(SQUARE, SQUARE, SQUARE, dx=half[0], dbias=BUFFER[3:7]),
         "dbias: .* overlaps dx"),
        (lambda: kernels.dense_backward(SQUARE, SQUARE, SQUARE, slope=half[1], dx=half[0]),
         "dx: .* overlaps slope"),
        (lambda: kernels.sgd_update(BUFFER[:8], BUFFER[4:12], 0.1), "w: .* overlaps dw"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            call()
    assert (BUFFER == 0).all()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: kernels.dense_forward(X.astype(np.int64), KERNEL),
            TypeError,
            "x: got dtype int64, expected float32 or",
        ),
        (
            lambda: kernels.dense_forward(X.astype("f2"), KERNEL),
            TypeError,
            "x: got dtype float16, expected float32",
        ),
        (
            lambda: kernels.dense_forward(X * 1j, KERNEL),
            TypeError,
            "x: got dtype complex64, expected",
        ),
        (lambda: kernels.dense_forward("x", KERNEL), TypeError, "x: got the text 'x', expected"),
        (
            lambda: kernels.dense_forward(X[0], KERNEL),
            ValueError,
            r"x: got shape \(5,\), expected shape \(any, any\)",
        ),
        (
            lambda: kernels.dense_forward(X[:0], KERNEL),
            ValueError,
            r"x: got shape \(0, 5\), expected",
        ),
        (
            lambda: kernels.dense_forward(X, KERNEL.T),
            ValueError,
            r"kernel: got shape \(4, 5\), expected shape \(5, any",
        ),
        (
            lambda: kernels.dense_forward(X, KERNEL[:, :0]),
            ValueError,
            r"kernel: got shape \(5, 0\), expected",
        ),
        (
            lambda: kernels.dense_forward(X, KERNEL.astype(float)),
            TypeError,
            "kernel: got dtype float64, .* as x has",
        ),
        (
            lambda: kernels.dense_forward(X, KERNEL, BIAS[:3]),
            ValueError,
            r"bias: got shape \(3,\), expected shape \(4\)",
        ),
        (
            lambda: kernels.dense_forward(X, KERNEL, BIAS[None]),
            ValueError,
            r"bias: got shape \(1, 4\), expected",
        ),
        (
            lambda: kernels.dense_forward(X, KERNEL, activation="softmax"),
            ValueError,
            "activation: got softmax, expected",
        ),
        (
            lambda: kernels.dense_forward(X, KERNEL, activation="rleu"),
            ValueError,
            "activation: got 'rleu'.*'relu'",
        ),
        (
            lambda: kernels.dense_backward(DY.T, X, KERNEL),
            ValueError,
            r"dy: got shape \(4, 6\), expected shape \(6, 4\)",
        ),
        (
            lambda: kernels.dense_backward(DY, X[:5], KERNEL),
            ValueError,
            r"dy: got shape \(6, 4\), expected",
        ),
        (
            lambda: kernels.dense_backward(DY, X, KERNEL, slope=DY[0]),
            ValueError,
            r"slope: got shape \(4,\), expected",
        ),
        (
            lambda: kernels.dense_backward(DY, X, KERNEL, accumulate=1),
            TypeError,
            "accumulate: got 1, expected True or",
        ),
        (
            lambda: kernels.dense_backward(DY, X, KERNEL, accumulate=True),
            ValueError,
            "dkernel: got None, expected an",
        ),
        (
            lambda: kernels.dense_backward(DY, X, KERNEL, dkernel=KERNEL * 0, accumulate=True),
            ValueError,
            "dbias: got None",
        ),
        (
            lambda: kernels.sgd_update([1.0], [1.0], 0.1),
            TypeError,
            "w: got list, expected a NumPy array",
        ),
        (
            lambda: kernels.sgd_update(X.astype(np.int64), X, 0.1),
            TypeError,
            "w: got dtype int64, expected float32 or",
        ),
        (
            lambda: kernels.sgd_update(X.astype(">f4"), X, 0.1),
            TypeError,
            "w: got dtype >f4, expected dtype float32",
        ),
        (
            lambda: kernels.sgd_update(X.copy(), X.astype(float), 0.1),
            TypeError,
            "dw: got dtype float64, .* as w has",
        ),
        (
            lambda: kernels.sgd_update(X.copy(), X[:3], 0.1),
            ValueError,
            r"dw: got shape \(3, 5\), expected shape",
        ),
        (lambda: kernels.sgd_update(X.copy()[::2], X[:3], 0.1), ValueError, "w: got strides"),
        (
            lambda: kernels.sgd_update(read_only(3), BIAS[:3], 0.1),
            ValueError,
            "w: got a read-only array, expected",
        ),
        (
            lambda: kernels.sgd_update(X.copy(), X, "0.1"),
            TypeError,
            "learning_rate: got '0.1', expected a number",
        ),
        (
            lambda: kernels.sgd_update(X.copy(), X, np.nan),
            ValueError,
            "learning_rate: got nan, expected a finite",
        ),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()
