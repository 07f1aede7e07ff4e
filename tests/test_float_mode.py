"""Results depend on neither rounding mode nor flush-to-zero of the calling thread, which stay."""

import numpy as np
import pytest
import truth
from planted import compile_modules

import fastweights as fw
from fastweights import activations, initializers, kernels, layers
from fastweights._core import gram_schmidt, philox

CONTROL = '''
cdef extern from *:
    """
    #if defined(__SSE2__) || defined(_M_X64)
    #include <xmmintrin.h>
    #define FLUSH 0x8040u
    #define ROUND 13
    static unsigned long long control(void) { return _mm_getcsr() & 0xFFC0u; }
    static void set_control(unsigned long long bits) { _mm_setcsr((unsigned)bits); }
    #elif defined(__aarch64__)
    #define FLUSH 0x1000000u
    #define ROUND 22
    static unsigned long long control(void)
    { unsigned long long bits; __asm__ volatile("mrs %0, fpcr" : "=r"(bits)); return bits; }
    static void set_control(unsigned long long bits)
    { __asm__ volatile("msr fpcr, %0" : : "r"(bits)); }
    #else
    #define FLUSH 0
    #define ROUND 0
    static unsigned long long control(void) { return 0; }
    static void set_control(unsigned long long bits) { (void)bits; }
    #endif
    """
    unsigned long long control()
    void set_control(unsigned long long bits)
    enum: FLUSH
    enum: ROUND


def set_flush():
    set_control(control() | FLUSH)


def in_mode(bint flush, int rounding, function):
    """The function's result and what the control bits were before and after it."""
    cdef unsigned long long kept = control(), before, after
    before = kept | (FLUSH if flush else 0) | (<unsigned long long>rounding << ROUND)
    set_control(before)
    try:
        result = function()
        after = control()
    finally:
        set_control(kept)
    return result, before, after
'''

MODES = [(True, 0), (False, 1), (False, 2), (False, 3), (True, 3)]


@pytest.fixture(scope="module")
def control(tmp_path_factory):
    folder = tmp_path_factory.mktemp("control")
    (folder / "control.pyx").write_text(CONTROL)
    (module,) = compile_modules(folder, folder, ("control",), {}, ())
    return module


@pytest.fixture(scope="module")
def in_mode(control):
    return control.in_mode


def check(in_mode, function):
    """The same bits in every mode, and the mode as it was."""
    expected = function()
    for flush, rounding in MODES:
        got, before, after = in_mode(flush, rounding, function)
        assert after == before
        for one, other in zip(expected, got, strict=True):
            assert one.dtype == other.dtype
            assert truth.same_bits(one, other), (flush, rounding)


def test_the_modes_make_a_difference(in_mode):
    # Of arithmetic in this process; if they did not, the tests below would say nothing.
    third, subnormal = np.ones(4) / 3, np.full(4, 1e-310)
    (got,), _, _ = in_mode(False, 1, lambda: (np.ones(4) / np.full(4, 3.0),))
    (up,), _, _ = in_mode(False, 2, lambda: (np.ones(4) / np.full(4, 3.0),))
    assert (got != up).any()
    assert (third == got).all() or (third == up).all()
    (flushed,), _, _ = in_mode(True, 0, lambda: (subnormal * 0.5,))
    assert (flushed == 0).all()


@pytest.mark.parametrize("dtype", truth.DTYPES)
@pytest.mark.parametrize("name", initializers.INITIALIZERS)
def test_initializers(in_mode, name, dtype):
    rules = [initializers.get(name)]
    if name == "constant":
        rules = [initializers.Constant(value) for value in (0.1, 1e-40, 1e-310, -0.0)]
    check(in_mode, lambda: [rule((31, 17), dtype, 3, 4) for rule in rules])


@pytest.mark.parametrize("function", [philox.uniform, philox.normal, philox.truncated_normal])
def test_random_numbers(in_mode, function):
    def draw():
        out = np.empty(1000)
        function(out, 1, 2)
        return (out,)

    check(in_mode, draw)


def test_orthonormal_rows(in_mode):
    rows = np.empty((40, 50))
    philox.normal(rows, 1, 2)

    def orthonormal():
        out = rows.copy()
        gram_schmidt.orthonormalise(out, *out.shape)
        return (out,)

    check(in_mode, orthonormal)


@pytest.mark.parametrize("dtype", truth.DTYPES)
@pytest.mark.parametrize("name", activations.ACTIVATIONS)
def test_activations(in_mode, name, dtype):
    function, z = activations.get(name), truth.points(dtype)[:-3]
    z = z if function.is_elementwise else z[: z.size // 12 * 12].reshape(-1, 12)
    check(in_mode, lambda: (function(z),))
    if function.is_elementwise:
        check(in_mode, lambda: (function.derivative(z),))


@pytest.mark.parametrize("level", truth.LEVELS)
@pytest.mark.parametrize("dtype", truth.DTYPES)
def test_kernels(in_mode, dtype, level):
    module = truth.kernels(level, dtype)
    random = np.random.default_rng(0)
    p, t = random.uniform(0.01, 1, (2, 40, 12)).astype(dtype)
    p[::3] *= np.finfo(dtype).tiny

    def at(array):
        return array.ctypes.data

    def run():
        results = []
        for name in truth.ELEMENTARY:
            out = np.empty_like(p)
            module.apply_elementary(name, at(out), at(p), p.size)
            results.append(out)
        for name in ("softmax", "log_softmax", "softmin", "sparsemax"):
            y, dx = np.empty_like(p), np.empty_like(p)
            module.apply_row_activation(name, at(y), at(p), *p.shape)
            module.apply_row_activation_gradient(name, at(dx), at(t), at(y), *p.shape)
            results += [y, dx]
        for name in ("mean_squared_error", "huber", "poisson", "categorical_crossentropy"):
            values, dy = np.empty(len(p)), np.empty_like(p)
            module.apply_loss(name, at(values), at(dy), at(p), at(t), *p.shape, (0.1,), 0.3)
            results += [values, dy]
        state = np.zeros((12, 8))
        module.apply_metric("r2_score", at(state), at(p), at(t), False, 0, *p.shape, ())
        results.append(state)
        for name, slots in (("sgd", 0), ("momentum", 1), ("nesterov", 1), ("adam", 2)):
            w, memory = p.copy(), np.zeros((slots, p.size), dtype)
            numbers = np.array([0.01, 0.1, 0.9, 0.999, 1e-7, 1, 1])
            for _ in range(3):
                module.apply_update(name, at(w), at(t), at(memory), w.size, at(numbers))
            results += [w, memory, numbers]
        total, excess = p.copy(), np.zeros_like(p)
        module.apply_add_part(at(total), at(excess), at(t), p.size, False)
        return [*results, total, excess]

    check(in_mode, run)


@pytest.mark.parametrize("dtype", truth.DTYPES)
@pytest.mark.parametrize("outputs", [3, 20, 80])
def test_a_dense_layer(in_mode, outputs, dtype):
    random = np.random.default_rng(1)
    x, kernel = (random.standard_normal(shape).astype(dtype) for shape in ((30, 70), (70, outputs)))
    dy = random.standard_normal((30, outputs)).astype(dtype)
    check(in_mode, lambda: (kernels.dense_forward(x, kernel, activation="tanh"),))
    check(in_mode, lambda: kernels.dense_backward(dy, x, kernel))


@pytest.mark.parametrize("sets_its_own", [False, True])
def test_functions_of_own_layers(control, in_mode, sets_its_own):
    class Tiny(layers.NumpyLayer):
        def forward(self, x):
            y = (x + 0.1) * 1e-39 / 3
            if sets_its_own:
                control.set_flush()
            return y, None

        def backward(self, dy, kept):
            return dy * 1e-39 / 3

    model = fw.Sequential([Tiny(), layers.Rescaling(1e30)], 3, seed=0)
    model.compile()
    x = np.linspace(0, 1, 30, dtype="float32").reshape(10, 3)

    def function():
        _, gradient, dx = model.loss_and_gradients(x, x)
        return model.predict(x), gradient, dx

    check(in_mode, function)
    assert (function()[0] != 0).all()
