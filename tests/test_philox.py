"""The generator against its published answers, and what is drawn from it, to the bit."""

import hashlib
import itertools
import math
import signal

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


def words(seed, stream, index=0):
    """The 32-bit words of a stream from `index` on: the paper's rounds, in whole numbers."""
    for counter in itertools.count(index // 4):
        c = [counter % 2**32, counter >> 32, stream % 2**32, stream >> 32]
        key0, key1 = seed % 2**32, seed >> 32
        for _ in range(10):
            high0, low0 = divmod(0xD2511F53 * c[0], 2**32)
            high2, low2 = divmod(0xCD9E8D57 * c[2], 2**32)
            c = [high2 ^ c[1] ^ key0, low2, high0 ^ c[3] ^ key1, low0]
            key0, key1 = (key0 + 0x9E3779B9) % 2**32, (key1 + 0xBB67AE85) % 2**32
        yield from c[index % 4 :] if counter == index // 4 else c


def number_below(bound, source):
    """A whole number below `bound` from these words, and how many draws were refused for it."""
    for refused in itertools.count():
        if bound <= 2**32:
            number, rest = divmod(next(source) * bound, 2**32)
            if rest >= 2**32 % bound:
                return number, refused
        else:
            pair = next(source) + (next(source) << 32)
            if pair >= 2**64 % bound:
                return pair % bound, refused


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
    def number(text):
        return sum(int(word, 16) << 32 * i for i, word in enumerate(text.split()))

    stream, block = divmod(number(counter), 2**64)
    answer = philox.block(number(key), stream, block)
    assert answer == tuple(int(word, 16) for word in expected.split())
    assert answer == tuple(itertools.islice(words(number(key), stream, 4 * block), 4))


def test_numbers_are_the_words_of_the_stream_in_order():
    source = words(42, philox.STREAM_INIT)
    pairs = [next(source) + (next(source) << 32) for _ in range(200)]
    assert draw(philox.uniform, 200).tolist() == [(pair >> 11) * 2.0**-53 for pair in pairs]


@pytest.mark.parametrize("function", REALS)
@pytest.mark.parametrize("offset", [0, 1, 2, 7, 31, 32, 33])
@pytest.mark.parametrize("n", [0, 1, 2, 9, 70])
def test_a_number_depends_on_its_index_alone(function, offset, n):
    whole = draw(function, 110)
    assert np.array_equal(draw(function, n, offset=offset), whole[offset : offset + n])


@pytest.mark.parametrize("function", REALS)
def test_seeds_and_streams_differ(function):
    keys = [(0, 0), (1, 0), (0, 1), (2**32, 0), (0, 2**32), (2**64 - 1, 0), (0, 2**64 - 1)]
    drawn = [draw(function, 1000, *key) for key in keys]
    for a, b in itertools.combinations(drawn, 2):
        assert abs(np.corrcoef(a, b)[0, 1]) < 0.13  # 4 standard deviations
    purposes = [philox.STREAM_INIT, philox.STREAM_SHUFFLE, philox.STREAM_PASS]
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


@pytest.mark.parametrize(
    ("bound", "refusals"),
    [
        *((bound, False) for bound in (1, 2, 3, 10, 2**31, 2**32 - 1, 2**32, 2**32 + 1)),
        *((bound, True) for bound in (2**31 + 1, 3 << 30, 2**63 + 1, 3 << 62)),
        *((bound, False) for bound in (2**63, 2**64 - 1)),
    ],
)
def test_whole_numbers_below_a_bound(bound, refusals):
    drawn = [number_below(bound, words(1, 2, index)) for index in range(200)]
    assert [philox.below(bound, 1, 2, index) for index in range(200)] == [n for n, _ in drawn]
    assert any(refused for _, refused in drawn) == refusals


@pytest.mark.parametrize(("n", "refusals"), [(0, 0), (1, 0), (2, 0), (64, 0), (65, 0), (90_000, 1)])
def test_permutation_gives_each_number_a_place_up_to_its_own(n, refusals):
    source = words(11, philox.STREAM_SHUFFLE)
    expected, refused = [], 0
    for last in range(n):
        chosen, more = number_below(last + 1, source)
        expected.append(last)
        expected[last], expected[chosen] = expected[chosen], last
        refused += more
    assert permutation(n, 11).tolist() == expected
    assert refused == refusals


@pytest.mark.parametrize("n", [0, 1, 2, 3, 17, 1000, 65537])
def test_permutation_holds_every_index_once(n):
    assert np.array_equal(np.sort(permutation(n)), np.arange(n))


@pytest.mark.parametrize(
    ("n", "least", "most"),
    # Chi-square with n! - 1 degrees of freedom: beyond each limit once in 1000 times.
    [(2, 0.0, 10.83), (3, 0.21, 20.52), (4, 7.53, 49.73), (5, 76.9, 172.5)],
)
@pytest.mark.parametrize("seed", [1, 3])
def test_permutations_are_equally_likely(n, least, most, seed):
    rounds = 24_000
    counts = dict.fromkeys(itertools.permutations(range(n)), 0)
    for stream in range(rounds):
        counts[tuple(permutation(n, seed, stream).tolist())] += 1
    expected = rounds / len(counts)
    chi_square = sum((count - expected) ** 2 / expected for count in counts.values())
    assert least < chi_square < most


def test_epochs_shuffle_differently():
    first, second = (permutation(1000, 1, philox.STREAM_SHUFFLE + epoch) for epoch in range(2))
    assert np.count_nonzero(first == second) < 8


# ---- orthonormal rows ----------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 15, 16, 17, 64, 100])
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


@pytest.mark.parametrize("count", [5, 16, 40, 100])
def test_nearly_dependent_rows_become_orthonormal(count):
    # Within a block of rows and from block to block.
    before = 1.0 + 1e-9 * draw(philox.normal, count * 130).reshape(count, 130)
    gram_schmidt.orthonormalise(before, count, 130)
    assert np.abs(before @ before.T - np.eye(count)).max() < 1e-14


# ---- interrupts ----------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here")
@pytest.mark.parametrize("what", ["normal", "permutation", "orthonormalise"])
def test_an_interrupt_is_seen_on_the_way(what):
    # What comes last is as it was, and nobody holds the memory.
    if what == "orthonormalise":
        out = bytearray(draw(philox.uniform, 2000 * 2000))
        function, arguments = gram_schmidt.orthonormalise, (out, 2000, 2000)
    else:
        out = bytearray(8 * 20_000_000)
        function, arguments = getattr(philox, what), (out, 1, 2)
    last = out[-8:]

    def interrupted(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupted)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        with pytest.raises(KeyboardInterrupt):
            function(*arguments)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert out[-8:] == last
    out.clear()


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
    assert permutation(10).tolist() == [6, 5, 8, 0, 3, 2, 1, 7, 4, 9]
    expected = "e7957c3daa0ec3aae08cf93b7e8aacea4064892905594ffb84b6fe081dcdf02e"
    assert digest(permutation(1_000_000)) == expected


def test_bits_of_orthonormal_rows():
    rows = draw(philox.normal, 100 * 137).reshape(100, 137)
    gram_schmidt.orthonormalise(rows, 100, 137)
    assert digest(rows) == "25e7288d68d4c4563c1b646e55f135a2d4b13044d4ec6a26020af5c3907dca6f"


# ---- arrays it does not fill ---------------------------------------------------------------------


@pytest.mark.parametrize("function", REALS)
def test_refuses_arrays_it_cannot_write_to(function):
    read_only = np.empty(4)
    read_only.flags.writeable = False
    for out in (read_only, np.empty(8)[::2], np.empty((3, 4)).T):
        with pytest.raises((ValueError, BufferError)):
            function(out, 0, 0)
