"""What a model says by what it finds likely: drawn as told, and as it would be without a stream."""

import numpy as np
import pytest

import fastweights as fw
from fastweights import layers

NUMBERS, PLACES = 7, 12


def language(softmax=False, places=PLACES, learned=True):
    x = fw.Input(places)
    value = layers.Embedding(NUMBERS, 8)(x)
    if learned:
        value = layers.Add()([value, layers.PositionEmbedding(places)(value)])
    inner = layers.LayerNormalization()(value)
    attention = layers.MultiHeadAttention(2, 4)
    value = layers.Add()([value, attention(inner, inner, use_causal_mask=True)])
    value = layers.Dense(NUMBERS)(value)
    model = fw.Model(x, layers.Softmax()(value) if softmax else value, seed=3)
    random = np.random.default_rng(0)
    for layer in model.layers:
        for weight in layer.weights.values():
            weight[...] = random.standard_normal(weight.shape)
    return model


def recurrent():
    stack = [layers.Embedding(NUMBERS, 5), layers.LSTM(6, return_sequences=True)]
    return fw.Sequential([*stack, layers.Dense(NUMBERS)], (4,), seed=0)


def likeliest(model, told, places):
    """By `predict` of all that is there, filled up behind."""
    row = np.zeros((1, places), int)
    row[0, : len(told)] = told
    return int(model.predict(row)[0, len(told) - 1].argmax())


@pytest.mark.parametrize("softmax", [False, True])
def test_the_likeliest_is_what_predict_finds(softmax):
    model, told = language(softmax), [1, 4]
    for _ in range(PLACES - 2):
        told.append(likeliest(model, told, PLACES))
    for settings in ({"temperature": 0}, {"top_k": 1}, {"top_p": 1e-9}, {"temperature": 1e-300}):
        made = fw.generate(model, [1, 4], PLACES - 2, **settings)
        assert made.tolist() == told, settings


def test_rows_of_prompts_go_on_side_by_side():
    model = language()
    prompts = np.array([[1, 4, 2], [0, 0, 6]])
    made = fw.generate(model, prompts, 6, temperature=0)
    for prompt, row in zip(prompts, made, strict=True):
        assert fw.generate(model, prompt, 6, temperature=0).tolist() == row.tolist()


def test_behind_the_last_place_it_goes_on_from_the_last_half():
    model = language()
    made = fw.generate(model, [1, 4], 40, temperature=0)
    told = made.tolist()
    first = 0
    for end in range(2, 42):
        if end - first > PLACES:
            first = end - PLACES // 2
        assert told[end] == likeliest(model, told[first:end], PLACES)
    long = fw.generate(model, made[:30], 1, temperature=0)
    assert long[-1] == likeliest(model, made[24:30], PLACES)


def test_a_recurrent_model_goes_on_beyond_the_steps_it_was_trained_on():
    made = fw.generate(recurrent(), [1], 50, temperature=0)
    assert made.shape == (51,)


def test_draws_are_as_likely_as_the_model_says():
    model = language(softmax=True)
    expected = model.predict(np.array([[3] + [0] * (PLACES - 1)]))[0, 0]
    prompts = np.full((20_000, 1), 3)
    for settings, keep in (
        ({}, np.arange(NUMBERS)),
        ({"top_k": 3}, np.argsort(-expected)[:3]),
        ({"temperature": 2.0}, np.arange(NUMBERS)),
    ):
        drawn = fw.generate(model, prompts, 1, seed=1, **settings)[:, 1]
        p = np.zeros(NUMBERS)
        p[keep] = expected[keep] ** (1 / settings.get("temperature", 1.0))
        p /= p.sum()
        found = np.bincount(drawn, minlength=NUMBERS) / len(drawn)
        assert np.abs(found - p).max() < 5 * np.sqrt(0.25 / len(drawn)), settings


def test_top_p_keeps_the_fewest_that_are_likely_enough():
    model = language(softmax=True)
    expected = model.predict(np.array([[3] + [0] * (PLACES - 1)]))[0, 0]
    order = np.argsort(-expected)
    total = expected[order].cumsum()
    for count in (1, 2, 3):
        top_p = float(total[count - 1]) - 1e-4
        drawn = fw.generate(model, np.full((3000, 1), 3), 1, top_p=top_p)[:, 1]
        assert set(drawn) <= set(order[:count])


def test_one_seed_makes_one_series():
    model = recurrent()
    first, again, other = (fw.generate(model, [1, 2], 30, seed=seed) for seed in (5, 5, 6))
    assert first.tolist() == again.tolist() != other.tolist()
    assert first[:2].tolist() == [1, 2]
    assert fw.generate(model, [1, 2], 0).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prompt": []}, r"prompt: got shape \(0,\)"),
        ({"prompt": [[[1]]]}, "prompt: got shape"),
        ({"prompt": [NUMBERS]}, "prompt: got 7"),
        ({"prompt": [0.5]}, "prompt: got 0.5"),
        ({"length": -1}, "length: got -1"),
        ({"temperature": -1}, "temperature: got -1"),
        ({"top_k": 0}, "top_k: got 0"),
        ({"top_p": 0}, "top_p: got 0"),
        ({"top_p": 1.5}, "top_p: got 1.5"),
        ({"seed": -1}, "seed: got -1"),
    ],
)
def test_settings_that_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        fw.generate(recurrent(), **{"prompt": [1], "length": 2, **settings})


def test_models_that_are_refused():
    dense = fw.Sequential([layers.Dense(2)], (4, 3))
    with pytest.raises(ValueError, match=r"model: got one that makes \(4, 2\)"):
        fw.generate(dense, [1], 1)
    stack = [layers.Embedding(3, 2), layers.Dense(5)]
    with pytest.raises(ValueError, match="tells of 5 numbers and reads those below 3"):
        fw.generate(fw.Sequential(stack, (4,)), [1], 1)
    pooled = [layers.Embedding(3, 2), layers.LSTM(3, return_sequences=True, go_backwards=True)]
    with pytest.raises(ValueError, match="stream: got the layer 'lstm'"):
        fw.generate(fw.Sequential([*pooled, layers.Dense(3)], (4,)), [1], 1)
