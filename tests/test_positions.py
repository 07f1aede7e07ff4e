"""Where a step of a series is."""

import numpy as np
import pytest
import reference_layers as oracle
from helpers import same_bits

import fastweights as fw
from fastweights import layers

RANDOM = np.random.default_rng(0)


def made_by(layer, shape, rows=3, dtype="float64", **told):
    """Rows, what a layer makes of them, and its model."""
    x = fw.Input(shape)
    model = fw.Model(x, layer(x, **told), dtype, seed=1)
    rows = RANDOM.standard_normal((rows, *shape))
    return rows, model.predict(rows), model


def test_learned_vectors_stand_in_a_table():
    layer = layers.PositionEmbedding(9)
    _, found, model = made_by(layer, (4, 5), start_index=3)
    same_bits(found, np.stack([layer.position_embeddings[3:7]] * 3))
    assert model.count_params() == 45


def test_vectors_of_places_that_are_not_used_stay():
    x = fw.Input((4, 5))
    layer = layers.PositionEmbedding(100)
    model = fw.Model(x, layer(x, start_index=50), seed=1)
    model.compile("adam", "mse")
    before = layer.position_embeddings.copy()
    model.fit(np.zeros((8, 4, 5)), np.ones((8, 4, 5)), verbose=0)
    moved = np.any(layer.position_embeddings != before, axis=1)
    np.testing.assert_array_equal(np.flatnonzero(moved), [50, 51, 52, 53])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("features", [1, 2, 7, 64])
def test_sines_are_right_far_out(features, dtype):
    """Places are counted in double, also where numbers are not."""
    layer = layers.SinePositionEncoding()
    _, found, _ = made_by(layer, (600, features), 1, dtype, start_index=100_000)
    exact = oracle.sine_positions(100_600, features)[100_000:]
    tolerance = 1e-7 if dtype == "float32" else 1e-10
    np.testing.assert_allclose(found[0], exact, atol=tolerance)


def test_rotated_products_know_distances_alone():
    rows = RANDOM.standard_normal((1, 1, 8))
    x = fw.Input((1, 8))
    layer, products = layers.RotaryEmbedding(100.0), []
    for one, other in ((0, 5), (7, 12), (1000, 1005)):
        pair = [layer(x, start_index=one), layer(x, start_index=other)]
        a, b = fw.Model(x, pair, "float64").predict(rows)
        products.append((a * b).sum())
        np.testing.assert_allclose(np.linalg.norm(a), np.linalg.norm(rows), rtol=1e-12)
    np.testing.assert_allclose(products, products[0], rtol=1e-10)


def test_what_is_told_is_kept(tmp_path):
    x = fw.Input((4, 6))
    y = layers.RotaryEmbedding(7.0, 2.0)(x, start_index=2)
    y = layers.Add()([y, layers.PositionEmbedding(9)(y, start_index=5)])
    y = layers.Add()([y, layers.SinePositionEncoding(9.0)(y, start_index=1)])
    model = fw.Model(x, y, seed=1)
    model.save(tmp_path / "m.safetensors")
    rows = RANDOM.standard_normal((3, 4, 6))
    for again in (fw.load(tmp_path / "m.safetensors"), model.copy()):
        same_bits(again.predict(rows), model.predict(rows))


@pytest.mark.parametrize(
    ("make", "shape", "message"),
    [
        (lambda: layers.PositionEmbedding(3), (4, 5), "got 4 steps from place 0 on, expected at m"),
        (lambda: layers.PositionEmbedding(0), (4, 5), "sequence_length: got 0"),
        (lambda: layers.PositionEmbedding(4), (4,), r"got rows of shape \(4,\), expected rows"),
        (lambda: layers.SinePositionEncoding(0.5), (4, 5), "max_wavelength: got 0.5"),
        (lambda: layers.SinePositionEncoding(), (4,), r"got rows of shape \(4,\), expected rows"),
        (
            lambda: layers.RotaryEmbedding(),
            (4, 5),
            r"rows of shape \(4, 5\), expected .* an even",
        ),
        (lambda: layers.RotaryEmbedding(), (4,), r"got rows of shape \(4,\), expected rows"),
        (lambda: layers.RotaryEmbedding(scaling_factor=0), (4, 6), "scaling_factor: got 0"),
        (lambda: layers.RotaryEmbedding(sequence_axis=2), (4, 6), "sequence_axis: got 2, expect"),
        (lambda: layers.RotaryEmbedding(feature_axis=1), (4, 6), "feature_axis: got 1, expected"),
    ],
)
def test_what_makes_no_sense(make, shape, message):
    with pytest.raises(ValueError, match=message):
        make()(fw.Input(shape))


@pytest.mark.parametrize("options", [(np.inf, 1.0), (1.0, np.inf), (2.0, 1.0), (1.0, -1.0)])
@pytest.mark.parametrize("kind", ["rotary", "sine_positions"])
def test_angles_that_do_not_end_are_refused(kind, options):
    class Endless(layers.Layer):
        def ops(self, x):
            sizes = (1, 0) if kind == "rotary" else (0,)
            return layers.op(kind, x, lines=4, sizes=sizes, options=options)

    with pytest.raises(ValueError, match=f"'{kind}'.*expected"):
        fw.Sequential([Endless()], (4, 6))


@pytest.mark.parametrize("first", [-1, 0.5, "1", 2**40])
def test_a_place_is_a_whole_number(first):
    with pytest.raises((ValueError, TypeError), match="start_index: got"):
        layers.RotaryEmbedding()(fw.Input((4, 6)), start_index=first)
