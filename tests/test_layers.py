"""Every layer that looks at no other row: against the oracle, alone and in batches, saved."""

import numpy as np
import pytest
from layer_cases import CASES

import fastweights as fw

pytestmark = pytest.mark.usefixtures("merged_is_known")


def model_of(case, dtype="float64"):
    """The layer alone, its weights drawn."""
    model = fw.Sequential([case.make()], case.shape, dtype, seed=0)
    random = np.random.default_rng(1)
    for weight in model.weights:
        weight[...] = 1 + 0.3 * random.standard_normal(weight.shape)
    return model, [weight.astype(float) for weight in model.weights]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_layer_agrees_with_the_oracle(name, dtype):
    case = CASES[name]
    for rows in (1, 5, 300):
        model, weights = model_of(case, dtype)
        x = np.random.default_rng(rows).standard_normal((rows, *case.shape)).astype(dtype)
        exact = case.oracle(x.astype(float), *weights)
        found = model.predict(x)
        assert found.shape == exact.shape
        tolerance = 3e-6 if dtype == "float32" else 1e-14
        np.testing.assert_allclose(found, exact, rtol=tolerance, atol=tolerance)
