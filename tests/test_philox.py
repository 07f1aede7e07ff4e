"""The generator against its published answers, and what is drawn from it, to the bit."""

import hashlib
import itertools
import math

import mpmath
import numpy as np
import pytest

from fastweights._core import gram_schmidt, philox

REALS = [philox.uniform, philox.normal, philox.truncated_normal]


def draw(function, n, seed=42, stream=philox.STREAM_INIT, offset=0):
    out = np.full(n, np.nan)
    function(out, seed, stream, offset)
    return out


def permutation(n, seed=42, stream=philox.STREAM_SHUFFLE):
    out = np.full(n, -1, dtype=np.int64)
    philox.permutation(out, seed, stream)
    return out


def digest(array):
    return hashlib.sha256(array.astype(array.dtype.newbyteorder("<")).tobytes()).hexdigest()


# ---- the generator -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        # The rows "philox4x32 10" of tests/kat_vectors in Random123, the library of the paper's
        # authors: 32-bit words, the least significant first.
        ("00000000 00000000 00000000 00000000", "00000000 00000000",
         "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
         "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
         "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)  # fmt: skip
def test_known_answers(counter, key, expected):
    def pairs(text):
        words = [int(word, 16) for word in text.split()]
        return [low | high << 32 for low, high in zip(words[::2], words[1::2], strict=True)]

    low, high = pairs(counter)
    (seed,) = pairs(key)
    assert philox.block(seed, high, low) == tuple(pairs(expected))


def test_numbers_are_the_words_of_the_stream_in_order():
    words = [w for counter in range(4) for w in philox.block(42, philox.STREAM_INIT, counter)]
    assert draw(philox.uniform, 8).tolist() == [(w >> 11) * 2.0**-53 for w in words]


@pytest.mark.parametrize("function", REALS)
@pytest.mark.parametrize("offset", [0, 1, 2, 7])
@pytest.mark.parametrize("n", [0, 1, 2, 9])
def test_a_number_depends_on_its_index_alone(function, offset, n):
    whole = draw(function, 20)
    assert np.array_equal(draw(function, n, offset=offset), whole[offset : offset + n])


@pytest.mark.parametrize("function", REALS)
def test_seeds_and_streams_differ(function):
    keys = [(0, 0), (1, 0), (0, 1), (2**32, 0), (0, 2**32), (2**64 - 1, 0), (0, 2**64 - 1)]
    drawn = [draw(function, 1000, *key) for key in keys]
    for a, b in itertools.combinations(drawn, 2):
        assert abs(np.corrcoef(a, b)[0, 1]) < 0.13  # 4 standard deviations
    purposes = [philox.STREAM_INIT, philox.STREAM_SHUFFLE, philox.STREAM_DROPOUT]
    assert len({stream >> 56 for stream in purposes}) == 3
    assert all(stream % 2**56 == 0 for stream in purposes)


# ---- distributions -------------------------------------------------------------------------------


def normal_cdf(x):
    return 0.5 * np.array([math.erfc(-v / math.sqrt(2)) for v in x])


def truncated_cdf(x):
    return (normal_cdf(x) - normal_cdf([-2])) / (normal_cdf([2]) - normal_cdf([-2]))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("function", "variance", "kurtosis", "cdf"),
    [
        (philox.uniform, 1 / 12, 1.8, lambda x: x),
        (philox.normal, 1.0, 3.0, normal_cdf),
        (philox.truncated_normal, 0.7737413035499232, 2.3655505, truncated_cdf),
    ],
)
def test_distribution(function, variance, kurtosis, cdf, seed):
    n = 100_000
    values = np.sort(draw(function, n, seed))
    centre = 0.5 if function is philox.uniform else 0.0
    error = math.sqrt(variance / n)
    assert abs(values.mean() - centre) < 4 * error
    spread = variance * math.sqrt((kurtosis - 1) / n)
    assert abs(((values - centre) ** 2).mean() - variance) < 4 * spread
    # Kolmogorov and Smirnov: the largest distance exceeds 1.95 / sqrt(n) once in a thousand times.
    ranks = np.arange(n)
    expected = cdf(values)
    distance = max((expected - ranks / n).max(), ((ranks + 1) / n - expected).max())
    assert distance < 1.95 / math.sqrt(n)


def test_bounds():
    uniform = draw(philox.uniform, 1_000_000)
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert np.array_equal(uniform * 2**53, np.floor(uniform * 2**53))
    truncated = draw(philox.truncated_normal, 1_000_000)
    assert 1.9999 < np.abs(truncated).max() < 2


def test_normal_quantile_is_exact_to_a_few_units_in_the_last_place():
    near_ends = [0.5 - 2.0**-k for k in range(2, 54)]
    seams = [0.425, math.nextafter(0.425, 1), 0.5 - math.exp(-25), 0.4772498680518207]
    spread = np.linspace(-0.49999, 0.49999, 998).tolist()
    tiny = [2.0**-k for k in range(2, 54)]
    with mpmath.workdps(40):
        for q in near_ends + seams + spread + tiny:
            exact = mpmath.sqrt(2) * mpmath.erfinv(2 * mpmath.mpf(q))
            assert abs(philox.normal_quantile(q) / exact - 1) < 8 * 2.0**-53
            assert philox.normal_quantile(-q) == -philox.normal_quantile(q)


# ---- permutations --------------------------------------------------------------------------------


@pytest.mark.parametrize("bound", [1, 2, 3, 10, 2**32 + 1, 2**63, 2**63 + 1, 3 << 62, 2**64 - 1])
def test_whole_numbers_below_a_bound(bound):
    """The upper half of word * bound, of the words that leave each number equally many."""
    surplus = 2**64 % bound
    refused = 0
    for index in range(200):
        for word in (philox.block(1, 2, i // 2)[i % 2] for i in range(index, index + 50)):
            if word * bound % 2**64 >= surplus:
                break
            refused += 1
        assert philox.below(bound, 1, 2, index) == word * bound >> 64
    assert (refused > 0) == (bound in (2**63 + 1, 3 << 62))


def test_permutation_exchanges_each_place_with_one_not_after_it():
    n = 1001
    expected = list(range(n))
    for draw, last in enumerate(range(n - 1, 0, -1)):
        chosen = philox.below(last + 1, 42, philox.STREAM_SHUFFLE, draw)
        expected[last], expected[chosen] = expected[chosen], expected[last]
    assert permutation(n).tolist() == expected


@pytest.mark.parametrize("n", [0, 1, 2, 3, 17, 1000, 65537])
def test_permutation_holds_every_index_once(n):
    assert np.array_equal(np.sort(permutation(n)), np.arange(n))


def test_permutations_are_equally_likely():
    rounds = 24_000
    counts = dict.fromkeys(itertools.permutations(range(4)), 0)
    for stream in range(rounds):
        counts[tuple(permutation(4, 1, stream).tolist())] += 1
    expected = rounds / 24
    chi_square = sum((count - expected) ** 2 / expected for count in counts.values())
    assert 6 < chi_square < 50  # 23 degrees of freedom: 2 in 10,000 below, 1 in 1000 above


def test_epochs_shuffle_differently():
    first, second = (permutation(1000, 1, philox.STREAM_SHUFFLE + epoch) for epoch in range(2))
    assert np.count_nonzero(first == second) < 8


# ---- orthonormal rows ----------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 64])
@pytest.mark.parametrize("more", [0, 1, 30])
def test_rows_become_orthonormal_and_span_what_they_did(count, more):
    length = count + more
    before = draw(philox.normal, count * length).reshape(count, length)
    rows = before.copy()
    gram_schmidt.orthonormalise(rows, count, length)
    assert np.abs(rows @ rows.T - np.eye(count)).max() < 1e-14
    factors = before @ rows.T
    assert np.allclose(factors @ rows, before, rtol=0, atol=1e-12)
    assert np.allclose(factors, np.tril(factors), rtol=0, atol=1e-12)
    assert (np.diag(factors) > 0).all()


def test_nearly_dependent_rows_become_orthonormal():
    before = 1.0 + 1e-9 * draw(philox.normal, 5 * 40).reshape(5, 40)
    gram_schmidt.orthonormalise(before, 5, 40)
    assert np.abs(before @ before.T - np.eye(5)).max() < 1e-14


# ---- the same bits everywhere --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "first", "all_of_them"),
    [
        (
            philox.uniform,
            ["0x1.d97529d52f20fp-1", "0x1.d9cc73d07dea0p-4", "0x1.46515f0f7bc48p-4"],
            "40165f3e95ee5797bb3865da9a85558efdaeb98f0860bc257913bd999680eb33",
        ),
        (
            philox.normal,
            ["0x1.70049d7c3e370p+0", "-0x1.3267cb08b98b1p+0", "-0x1.6845997dcd49cp+0"],
            "b0f672f92fd5d8e5221d70ad5e2a1f38e04db81c2e94e708e5a67ed2e57a6655",
        ),
        (
            philox.truncated_normal,
            ["0x1.501c4da325e8fp+0", "-0x1.1c902e996c36bp+0", "-0x1.49d89c45bf7f6p+0"],
            "f3a2006aa661364d907d10d4cccdfe37eee80513b056923f16d69dcd6885476f",
        ),
    ],
)
def test_bits_of_numbers(function, first, all_of_them):
    values = draw(function, 1_000_000)
    assert [value.hex() for value in values[:3].tolist()] == first
    assert digest(values) == all_of_them


def test_bits_of_a_permutation():
    assert permutation(10).tolist() == [0, 3, 4, 7, 9, 8, 6, 2, 5, 1]
    expected = "05a7e9755f958949d6cf9e59d65246fd38f55bcf491ff702fc6065930246c8ab"
    assert digest(permutation(1_000_000)) == expected


def test_bits_of_orthonormal_rows():
    rows = draw(philox.normal, 100 * 137).reshape(100, 137)
    gram_schmidt.orthonormalise(rows, 100, 137)
    assert digest(rows) == "d23a9279d982a67b6fb5625ed888f7b80136408ddc4e7a30d5b5f8b0c22e128b"


# ---- arrays it does not fill ---------------------------------------------------------------------


@pytest.mark.parametrize("function", REALS)
def test_refuses_arrays_it_cannot_write_to(function):
    read_only = np.empty(4)
    read_only.flags.writeable = False
    for out in (read_only, np.empty(8)[::2], np.empty((3, 4)).T):
        with pytest.raises((ValueError, BufferError)):
            function(out, 0, 0)
