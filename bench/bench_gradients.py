"""The ladder: compiled gradients, NumPy's, and those that differences of the loss find."""

from fastweights import benchmarks

#: By central differences, in float64, whose rounding is most of it.
TOLERANCE = {"float64": 1e-7, "float32": 1e-5}

_found_by_nudging = {}


def by_nudging(network):
    """Every parameter nudged, once for all the rows of a network."""
    if network not in _found_by_nudging:
        nudging = benchmarks.Differences(network.model("float64"), *network.batch())
        nudging(range(nudging.parameters.size))
        _found_by_nudging[network] = nudging.gradients
    return _found_by_nudging[network]


def announce(benchmark, network, contender, dtype):
    benchmark.group = f"gradient {network.name}, batch {network.rows}"
    benchmark.extra_info.update(network=network.name, contender=contender, dtype=dtype)


def bench_compiled(benchmark, network, dtype):
    announce(benchmark, network, "compiled", dtype)
    model, (x, y) = network.model(dtype), network.batch()
    by_hand = benchmarks.NumpyGradient(model, x, y)
    by_hand()
    benchmark(benchmarks.compiled_gradient(model, x, y))
    errors = {
        "error_to_differences": benchmarks.largest_error(model.gradients, by_nudging(network)),
        "error_to_numpy": benchmarks.largest_error(model.gradients, by_hand.gradients),
    }
    benchmark.extra_info.update(errors)
    assert max(errors.values()) < TOLERANCE[dtype]


def bench_numpy(benchmark, network, dtype):
    announce(benchmark, network, "NumPy", dtype)
    by_hand = benchmarks.NumpyGradient(network.model(dtype), *network.batch())
    benchmark(by_hand)
    error = benchmarks.largest_error(by_hand.gradients, by_nudging(network))
    benchmark.extra_info["error_to_differences"] = error
    assert error < TOLERANCE[dtype]


def bench_differences(benchmark, network):
    announce(benchmark, network, "differences", "float64")
    nudging = benchmarks.Differences(network.model("float64"), *network.batch())
    every = range(nudging.parameters.size)
    benchmark.pedantic(nudging, (every,), rounds=1 if len(every) > 1000 else 20)
