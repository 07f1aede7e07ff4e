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


# ---- several prompts, stops, one by one ----------------------------------------------------------


def test_prompts_of_unequal_length_go_on_as_they_would_alone():
    model = language()
    prompts = [[1, 4, 2, 5], [3], [0, 6]]
    made = fw.generate(model, prompts, 15, temperature=0)
    for prompt, row in zip(prompts, made, strict=True):
        assert fw.generate(model, prompt, 15, temperature=0).tolist() == row.tolist()
    drawn = fw.generate(model, prompts, 15, temperature=2.0, seed=4)
    assert [len(row) for row in drawn] == [19, 16, 17]
    first = fw.generate(model, prompts[0], 15, temperature=2.0, seed=4)
    assert first.tolist() == drawn[0].tolist()


@pytest.mark.parametrize("places", [2, 5, PLACES])
def test_each_prompt_goes_on_from_the_last_half_of_its_own_places(places):
    model = language(places=places)
    random = np.random.default_rng(0)
    prompts = [random.integers(0, NUMBERS, count).tolist() for count in (30, 5, 17, 1, 13, 12, 30)]
    made = fw.generate(model, prompts, 25, temperature=0)
    for prompt, row in zip(prompts, made, strict=True):
        assert fw.generate(model, prompt, 25, temperature=0).tolist() == row.tolist()


def test_a_temperature_next_to_0_is_one():
    """Without a warning of numbers that are too large."""
    model = language()
    expected = fw.generate(model, [1, 4], 8, temperature=0)
    for temperature in (5e-324, 1e-310, 1e-40):
        made = fw.generate(model, [1, 4], 8, temperature=temperature)
        np.testing.assert_array_equal(made, expected)


def test_what_a_row_becomes_depends_on_no_other_row():
    model = recurrent()
    few = fw.generate(model, [[1, 2], [3, 4]], 20, seed=3)
    more = fw.generate(model, [[1, 2], [3, 4], [1, 2]], 20, seed=3)
    np.testing.assert_array_equal(few, more[:2])
    assert (more[0] != more[2]).any()


@pytest.mark.parametrize("stop", [3, [3], (3, 5), {3}, np.array([3, 5])])
def test_a_series_ends_with_the_first_number_that_stops_it(stop):
    model = recurrent()
    prompts = np.ones((30, 1), int)
    whole = fw.generate(model, prompts, 12, seed=1)
    ended = fw.generate(model, prompts, 12, seed=1, stop=stop)
    stops = np.atleast_1d(list(stop) if isinstance(stop, set) else stop)
    lengths = set()
    for row, full in zip(ended, whole, strict=True):
        at = np.flatnonzero(np.isin(full[1:], stops))
        expected = full if not at.size else full[: at[0] + 2]
        assert row.tolist() == expected.tolist()
        lengths.add(len(row))
    assert len(lengths) > 3
    alone = fw.generate(model, [1], 12, seed=1, stop=stop)
    assert alone.tolist() == ended[0].tolist()


def test_a_number_of_the_prompt_stops_nothing():
    assert len(fw.generate(recurrent(), [3, 3], 1, stop=3)) == 3


def test_numbers_come_one_by_one_as_they_are_said():
    model = language()
    whole = fw.generate(model, [1, 4], 30, temperature=2.0, seed=2)
    said = fw.generate_steps(model, [1, 4], 30, temperature=2.0, seed=2)
    first = next(said)
    assert isinstance(first, int)
    assert [first, *said] == whole[2:].tolist()
    until = list(fw.generate_steps(model, [1, 4], 30, temperature=2.0, seed=2, stop=first))
    assert until == [first]
    assert list(fw.generate_steps(model, [1], 0)) == []


def test_one_by_one_is_refused_before_the_first_number():
    with pytest.raises(ValueError, match="prompt: got 2 of them, expected one"):
        fw.generate_steps(language(), [[1], [2]], 3)
    with pytest.raises(ValueError, match="length: got -1"):
        fw.generate_steps(language(), [1], -1)


def test_a_prompt_beyond_the_last_place_is_read_from_its_last_half():
    model = language()
    prompt = np.arange(40) % NUMBERS
    made = fw.generate(model, prompt, 3, temperature=0)
    told, first = prompt.tolist(), 40 - PLACES // 2
    for _ in range(3):
        told.append(likeliest(model, told[first:], PLACES))
    assert made.tolist() == told


@pytest.mark.parametrize("settings", [{}, {"top_p": 0.9}, {"top_k": 2}, {"temperature": 0}])
def test_a_model_whose_logits_are_no_numbers_is_refused(settings):
    model = language()
    for weight in model.weights:
        weight *= 1e30
    with pytest.raises(ValueError, match="model: got logits that are NaN or infinite"):
        fw.generate(model, [1], 3, **settings)


def test_what_softmax_finds_impossible_is_never_said():
    model = language(softmax=True)
    dense = model.layers[-2]
    dense.bias[...] = [0, 0, 0, -1e4, -1e4, 0, 0]
    drawn = fw.generate(model, np.ones((500, 1), int), 3, temperature=5.0)
    assert not np.isin(drawn, (3, 4)).any()
    assert np.unique(drawn[:, 1:]).size == NUMBERS - 2


# ---- texts ---------------------------------------------------------------------------------------


class Letters:
    """The first letters of the alphabet, and a number that is no whole character alone."""

    letters = "abcdef"

    def encode(self, text):
        return [self.letters.index(letter) for letter in text]

    def decode(self, numbers):
        raw = b""
        for number in numbers:
            raw += b"\xc3" if number == 5 else b"\xa9" if number == 4 else b"abcd"[number:][:1]
        return raw.decode(errors="replace")


class Encoded:
    """As the tokenizers of another library: an object that has the numbers."""

    def __init__(self, ids):
        self.ids = ids


class Tokens(Letters):
    def encode(self, text):
        return Encoded(super().encode(text))


def speller():
    stack = [layers.Embedding(6, 5), layers.LSTM(6, return_sequences=True), layers.Dense(6)]
    return fw.Sequential(stack, (4,), seed=0)


@pytest.mark.parametrize("tokenizer", [Letters(), Tokens()])
def test_a_text_goes_on(tokenizer):
    model = speller()
    numbers = fw.generate(model, [0, 1, 2], 40, seed=1)
    text = fw.generate(model, "abc", 40, seed=1, tokenizer=tokenizer)
    assert text == tokenizer.decode(numbers)
    assert text.startswith("abc")
    several = fw.generate(model, ["abc", "d"], 40, seed=1, tokenizer=tokenizer)
    assert several[0] == text
    assert several[1].startswith("d")
    assert fw.generate(model, ["abc"], 40, seed=1, tokenizer=tokenizer) == [text]


def test_pieces_of_a_text_are_whole_characters_and_make_it_up():
    model, tokenizer = speller(), Letters()
    text = fw.generate(model, "abc", 60, seed=1, tokenizer=tokenizer)
    pieces = list(fw.generate_steps(model, "abc", 60, seed=1, tokenizer=tokenizer))
    assert "abc" + "".join(pieces) == text
    assert "\N{LATIN SMALL LETTER E WITH ACUTE}" in text
    assert "" in pieces
    # What is no character in the end is shown once it is known to be none.
    assert all(len(piece) < 4 for piece in pieces)


def test_pieces_are_made_of_the_last_few_numbers():
    class Counting(Letters):
        most = 0

        def decode(self, numbers):
            self.most = max(self.most, len(numbers))
            return super().decode(numbers)

    model, tokenizer = speller(), Counting()
    for prompt in ("abc", "abcd" * 50):
        pieces = list(fw.generate_steps(model, prompt, 2000, seed=1, tokenizer=tokenizer))
        assert tokenizer.most < 200
        text = fw.generate(model, prompt, 2000, seed=1, tokenizer=Letters())
        assert prompt + "".join(pieces) == text


def test_a_text_stops_at_a_token():
    model, tokenizer = speller(), Letters()
    text = fw.generate(model, "abc", 60, seed=1, tokenizer=tokenizer, stop="d")
    assert text.index("d") == len(text) - 1
    assert text == fw.generate(model, "abc", 60, seed=1, tokenizer=tokenizer, stop=[3])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prompt": "abc"}, "prompt: got a text, expected whole numbers, or a tokenizer"),
        ({"prompt": ["a", "b"]}, "prompt: got a text, expected whole numbers, or a tokenizer"),
        ({"prompt": [1], "tokenizer": Letters()}, "prompt: got list, expected a text"),
        ({"prompt": ["a", 1], "tokenizer": Letters()}, "prompt: got int, expected a text"),
        ({"prompt": "", "tokenizer": Letters()}, "prompt: got '', of which the tokenizer makes no"),
        ({"prompt": [], "tokenizer": Letters()}, "prompt: got "),
        ({"prompt": "a", "tokenizer": str}, "tokenizer: got .*decode"),
        ({"prompt": [1], "stop": "a"}, "stop: got a text, expected whole numbers, or a tokenizer"),
        ({"prompt": [1], "stop": 6}, "stop: got 6, expected at most 5"),
        ({"prompt": [1], "stop": [1.5]}, "stop: got 1.5"),
        ({"prompt": "a", "stop": "ab", "tokenizer": Letters()}, "stop: got 'ab', 2 tokens"),
        ({"prompt": [[1], []]}, r"prompt: got shape \(0,\)"),
        ({"prompt": [[1], [2, 6]]}, "prompt: got 6"),
    ],
)
def test_texts_and_stops_that_are_refused(settings, message):
    with pytest.raises((TypeError, ValueError), match=message):
        fw.generate(speller(), **{"length": 2, **settings})


def test_a_tokenizer_of_more_tokens_than_the_model_reads_is_refused():
    small = [layers.Embedding(3, 2), layers.LSTM(3, return_sequences=True), layers.Dense(3)]
    model = fw.Sequential(small, (4,), seed=0)
    with pytest.raises(ValueError, match=r"tokens of 'ad' go up to 3, expected that of the model"):
        fw.generate(model, "ad", 2, tokenizer=Letters())


def test_a_tokenizer_of_byte_pairs_trained_saved_and_loaded(tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    text = "the cat sat on the mat. the dog sat on the log. déjà vu! " * 20
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<end>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([text], trainer)
    numbers = np.array(tokenizer.encode(text).ids)
    size = tokenizer.get_vocab_size()
    x, table = fw.Input(8), layers.ReversibleEmbedding(size, 16)
    hidden = layers.GRU(16, return_sequences=True)(table(x))
    model = fw.Model(x, table(hidden, reverse=True), seed=0)
    model.compile("adam", fw.losses.SparseCategoricalCrossentropy(from_logits=True))
    windows = np.lib.stride_tricks.sliding_window_view(numbers, 9)
    model.fit(windows[:, :-1], windows[:, 1:], 32, 2, verbose=0)
    model.save(tmp_path / "model.safetensors")
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    again = fw.load(tmp_path / "model.safetensors")
    loaded = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    said = fw.generate(model, "the cat", 30, seed=1, tokenizer=tokenizer, stop="<end>")
    assert said.startswith("the cat")
    assert fw.generate(again, "the cat", 30, seed=1, tokenizer=loaded, stop="<end>") == said
    pieces = fw.generate_steps(again, "the cat", 30, seed=1, tokenizer=loaded, stop="<end>")
    assert "the cat" + "".join(pieces) == said


@pytest.mark.parametrize("activation", ["sigmoid", "relu", "tanh"])
def test_what_is_neither_a_probability_nor_a_logit_is_refused(activation):
    stack = [layers.Embedding(3, 4), layers.Dense(3, activation)]
    model = fw.Sequential(stack, 5, seed=0)
    with pytest.raises(ValueError, match=f"model: got one that ends in {activation}, expected"):
        fw.generate(model, [1], 3)


@pytest.mark.parametrize("model", ["m", None])
def test_what_is_no_model_is_refused(model):
    with pytest.raises(TypeError, match=r"model: got .*, expected a Model"):
        fw.generate(model, [1], 3)
