"""Translates numbers from words to digits: "forty two thousand six" is 42006.

An encoder reads the words and a decoder says the digits; both are transformers, made of layers by
plain functions. Rows are of unequal lengths, filled up with 0: `mask_zero` has attention, loss and
accuracy leave that out. Takes about half a minute and should print that more than 99 % of the
numbers that it has not seen are right to the last digit.
"""

from typing import Any

import numpy as np
from cosine import CosineDecay

import fastweights as fw
from fastweights import layers, optimizers

SMALL = [
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
WORDS = ["", *SMALL, *TENS, "hundred", "thousand"]
#: Of words and of digits, and what the decoder says besides: digit d is d + 1, and 0 fills up.
MOST_WORDS, MOST_DIGITS, START, END = 11, 6, 11, 12
WIDTH, HEADS, EPOCHS = 64, 4, 4


def words_of(number: int) -> list[str]:
    """Of a number below a million; none of 0."""
    if number >= 1000:
        return [*words_of(number // 1000), "thousand", *words_of(number % 1000)]
    if number >= 100:
        return [SMALL[number // 100 - 1], "hundred", *words_of(number % 100)]
    if number >= 20:
        return [TENS[number // 10 - 2], *words_of(number % 10)]
    return [SMALL[number - 1]] if number else []


def rows_of(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Words; what the decoder has said before each digit; and what it is to say."""
    words = np.zeros((len(numbers), MOST_WORDS), np.int32)
    before, digits = np.zeros((2, len(numbers), MOST_DIGITS + 1), np.int32)
    for row, number in enumerate(numbers.tolist()):
        told = [WORDS.index(word) for word in words_of(number)]
        said = [int(digit) + 1 for digit in str(number)]
        words[row, : len(told)] = told
        before[row, : len(said) + 1] = [START, *said]
        digits[row, : len(said) + 1] = [*said, END]
    return words, before, digits


def added(x: Any, inner: Any) -> Any:
    """What was found is added to what there was."""
    return layers.LayerNormalization()(layers.Add()([x, inner]))


def attended(x: Any, source: Any, **settings: Any) -> Any:
    """Each step of x looks at the steps of the source."""
    return added(x, layers.MultiHeadAttention(HEADS, WIDTH // HEADS)(x, source, **settings))


def worked_on(x: Any) -> Any:
    """Each step alone."""
    return added(x, layers.Dense(WIDTH)(layers.Dense(2 * WIDTH, "relu")(x)))


def encoder_block(x: Any) -> Any:
    return worked_on(attended(x, x))


def decoder_block(x: Any, source: Any) -> Any:
    return worked_on(attended(attended(x, x, use_causal_mask=True), source))


def embedded(tokens: Any, kinds: int) -> Any:
    """What stands where; the mask of what is 0 goes with it."""
    x = layers.Embedding(kinds, WIDTH, mask_zero=True)(tokens)
    return layers.Add()([x, layers.PositionEmbedding(MOST_WORDS)(x)])


def translator(seed: int) -> fw.Model:
    """Reads words and what was said before, and tells how likely each digit is to come next."""
    words, before = fw.Input(MOST_WORDS, name="words"), fw.Input(MOST_DIGITS + 1, name="before")
    source, said = embedded(words, len(WORDS)), embedded(before, END + 1)
    for _ in range(2):
        source = encoder_block(source)
    for _ in range(2):
        said = decoder_block(said, source)
    return fw.Model([words, before], layers.Dense(END + 1, "softmax")(said), seed=seed)


def translated(model: fw.Model, words: np.ndarray) -> list[str]:
    """Digit by digit, each time the most likely one."""
    before = np.zeros((len(words), MOST_DIGITS + 2), np.int32)
    before[:, 0] = START
    for place in range(MOST_DIGITS + 1):
        shares = model.predict([words, before[:, :-1]])
        before[:, place + 1] = shares[:, place].argmax(axis=-1)
    ends = [[*said, END].index(END) for said in before[:, 1:].tolist()]
    return [
        "".join(str(digit - 1) for digit in said[1 : end + 1])
        for said, end in zip(before.tolist(), ends, strict=True)
    ]


def train(seed: int = 0) -> tuple[fw.Model, np.ndarray]:
    """The model, and numbers that it has not seen."""
    numbers = np.random.default_rng(seed).choice(10**MOST_DIGITS - 1, 14_000, replace=False) + 1
    words, before, digits = rows_of(numbers[:12_000])
    model = translator(seed)
    model.compile(optimizers.Adam(0.003), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(
        [words, before], digits, 64, EPOCHS, verbose=2, callbacks=[CosineDecay(0.003, EPOCHS)]
    )
    return model, numbers[12_000:]


def main() -> None:
    model, unseen = train()
    found = translated(model, rows_of(unseen)[0])
    for number, said in zip(unseen[:5].tolist(), found, strict=False):
        print(f"{' '.join(words_of(number))}: {said}")
    right = np.mean([str(number) == said for number, said in zip(unseen, found, strict=True)])
    print(f"right to the last digit: {right:.1%} of {len(unseen):,} numbers that it has not seen")


if __name__ == "__main__":
    main()
