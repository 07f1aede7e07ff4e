"""The compiled tokeniser of tables against Python's csv module, str.strip and float."""

from __future__ import annotations

import csv
import io
import itertools
import math
import signal
import struct
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fastweights._core import cells as tokens
from fastweights.table import Cells
from fastweights.table.cells import plain_number


def tokenised(text: str | bytes, delimiter: str = ",", points: str = "..", **options):
    data = text if isinstance(text, bytes) else text.encode()
    return tokens.tokenise(data, 0, 1, delimiter, points, options.pop("skip", True), **options)


def column(text: str, point: str = ".") -> Cells:
    """The cells of a file of one column."""
    values, codes, texts, _ = tokenised(text, "\n", point).columns[0]
    return Cells(values, codes, texts)


def same_cells(found, expected: Cells) -> None:
    values, codes, texts, *_ = found
    assert values.tobytes() == np.ascontiguousarray(expected.values).tobytes()
    np.testing.assert_array_equal(codes, expected.codes)
    assert texts == expected.texts


# ---- numbers -------------------------------------------------------------------------------------


def test_numbers_of_any_bits_are_those_of_float():
    random = np.random.default_rng(0)
    bits = random.integers(0, 2**64, 20_000, dtype=np.uint64).view(np.float64)
    floats = [*bits[np.isfinite(bits)].tolist(), *random.normal(size=5_000).tolist()]
    texts = [repr(value) for value in floats]
    texts += [f"{value:.18e}" for value in floats[:3000]]
    texts += [f"{value:.3f}" for value in floats[-3000:]]
    digits, powers = random.integers(1, 2**63, 5_000), random.integers(-345, 300, 5_000)
    texts += [f"{w}e{q}" for w, q in zip(digits.tolist(), powers.tolist(), strict=True)]
    expected = np.array([float(text) for text in texts])
    finite = np.isfinite(expected)
    found = column("\n".join(texts)).values
    assert found[finite].tobytes() == expected[finite].tobytes()
    assert np.isnan(found[~finite]).all()


def test_numbers_halfway_between_two_doubles_are_the_even_one():
    """And those next to halfway the nearer one: up to 800 digits decide it."""
    random = np.random.default_rng(1)
    texts = []
    for bits in random.integers(0, 2**63 - 2**52, 1_000).tolist():
        lower, upper = struct.unpack("2d", struct.pack("2Q", bits, bits + 1))
        if math.isfinite(upper):
            with_all_digits = (Decimal(lower) + Decimal(upper)) / 2
            if lower < 2**60 and lower > 2**-60:
                texts.append(f"{with_all_digits:f}")
    texts += [f"{text}{tail}" for text in texts for tail in ("0" * 30, "1") if "." in text]
    texts += [str(2**53 + k) for k in range(20)] + [str(2**63 + 1024 + k) for k in range(-3, 4)]
    texts += [
        "4.9e-324",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "2.2250738585072011e-308",
    ]
    texts += ["1.7976931348623158e308", "0.000000000000000000000000000001234", "9007199254740993"]
    expected = np.array([float(text) for text in texts])
    assert column("\n".join(texts)).values.tobytes() == expected.tobytes()


@settings(max_examples=300, deadline=None)
@given(st.text("0123456789.,eE+-_ xn\u0664", max_size=8), st.sampled_from(".,"))
@example("-0", ".")
@example("1e999", ".")
@example("0e5", ".")
@example("1e", ".")
@example("1.2.3", ".")
def test_what_a_plain_number_is(text, point):
    """By the compiled parser as by the regular expression, whose numbers are all float's."""
    stripped = text.strip()
    expected = plain_number(stripped, point)
    if not math.isnan(expected):
        assert expected == float(stripped.replace(",", "."))
    found = column(f"{text},\nx", point) if not stripped else column(f"{text}\nx", point)
    assert struct.pack("d", found.values[0]) == struct.pack("d", expected if stripped else math.nan)


@pytest.mark.parametrize(
    "text", ["007", "02134", "00", "-01", "1_0", "1,0", "0x1", "inf", "nan", "1e400"]
)
def test_what_is_no_plain_number_is_text(text):
    assert column(text).texts == (text,)


# ---- records -------------------------------------------------------------------------------------

CELLS = st.one_of(
    st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=6),
    st.text('a,;"\r\n\t #1.', max_size=5),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers().map(str),
)
TABLES = st.integers(2, 4).flatmap(
    lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1, max_size=8)
)


@settings(max_examples=200, deadline=None)
@given(
    TABLES,
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
    st.integers(1, 40),
)
def test_same_cells_as_the_csv_module(rows, delimiter, line_end, quote_all, at_once):
    """Whatever the cells are, and wherever it is looked for signals."""

    def written(cell: str) -> str:
        needed = quote_all or not {delimiter, '"', "\r", "\n"}.isdisjoint(cell)
        return '"{}"'.format(cell.replace('"', '""')) if needed else cell

    text = "".join(delimiter.join(map(written, row)) + line_end for row in rows)
    read = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    assert read == rows
    found = tokenised(text, delimiter, "." * len(rows[0]), at_once=at_once)
    assert (found.rows, found.bad_count) == (len(rows), 0)
    for place, cells in enumerate(zip(*rows, strict=True)):
        same_cells(found.columns[place], Cells.from_texts(cells))
    listed = tokens.records(text.encode(), 0, 1, delimiter, 100)
    assert [one[3] for one in listed] == [[cell.strip() for cell in row] for row in rows]
    assert listed[-1][2] == len(text.encode())


def test_every_place_where_signals_are_looked_for_gives_the_same():
    text = 'a,"x\ny"\n\n1, 2 \r\n"q""q",\r-1e5,ä\n"3","4"\n'
    whole = tokenised(text)
    for at_once in range(1, len(text) + 2):
        found = tokenised(text, at_once=at_once)
        assert found.rows == whole.rows == 5
        for one, other in zip(found.columns, whole.columns, strict=True):
            same_cells(one, Cells(*other[:3]))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60).map(lambda b: b.replace(b"\0", b"")), st.sampled_from(",; \t\n"))
@example(b'"', ",")
@example(b'"a"b\n', ",")
@example(b'""""', ",")
@example(b"\r", ",")
def test_whatever_bytes_there_are_every_line_is_a_row_or_left_out(data, delimiter):
    text = data.decode("latin-1").encode()
    found = tokenised(text, delimiter)
    assert found.rows + found.bad_count + found.comments <= max(
        1, text.count(b"\n") + text.count(b"\r") + 1
    )
    for values, codes, texts, _ in found.columns:
        assert values.shape == codes.shape == (found.rows,)
        assert ((codes >= -1) & (codes < len(texts))).all()
        np.testing.assert_array_equal(np.isnan(values), codes >= 0)
        assert all(one == one.strip() for one in texts)
        assert len(set(texts)) == len(texts)


def test_all_white_space_is_stripped_that_str_strip_strips():
    for number in itertools.chain(range(1, 0x3100), [0xFEFF, 0x10FFFF]):
        character = chr(number)
        if character in '\r\n,"' or 0xD800 <= number < 0xE000:
            continue
        found = tokenised(f"{character}a{character},b\n")
        assert found.columns[0][2] == (f"{character}a{character}".strip(),), hex(number)


def test_white_space_of_any_length_parts_aligned_columns():
    found = tokenised('  a   "b c"  \n 1\t2\n"x" y\n', " ")
    assert [one[2] for one in found.columns] == [("a", "x"), ("b c", "y")]
    assert found.rows == 3


def test_what_is_left_out_is_told_by_line():
    text = 'a,b\n1\n1,2,3\n"x\ny",z\n#c\n5,"6"7\n8,9,,\n"x\n,y\n'
    found = tokenised(text)
    assert found.rows == 4
    assert [(line, cells) for line, cells, *_ in found.bad] == [(2, 1), (3, 3), (7, -2), (9, -1)]
    assert (found.bad_count, found.comments, found.longer) == (4, 1, 1)
    assert [text[begin:end] for *_, begin, end in found.bad][:2] == ["1", "1,2,3"]


def test_it_is_over_after_a_few_bad_lines_unless_they_are_to_be_skipped():
    text = "a\n" * 1000 + "a,b\n"
    assert tokenised(text, skip=True).rows == 1
    assert tokenised(text, skip=True).bad_count == 1000
    assert len(tokenised(text, skip=True).bad) == 16
    assert tokenised(text, skip=False, at_once=1).bad_count == 16


def test_cells_of_lines_that_are_left_out_are_in_no_row():
    """Also where they wait to be looked up among many."""
    many = [f"text {n}" if n % 7 != 1 else str(n) for n in range(20_000)]
    lines = [f"{text},{n}" if n % 7 else f"bad {text}" for n, text in enumerate(many)]
    found = tokenised("\n".join(lines))
    kept = [text for n, text in enumerate(many) if n % 7]
    assert list(Cells(*found.columns[0][:3])) == kept
    assert found.columns[1][0].tolist() == [n for n in range(20_000) if n % 7]


def test_many_texts_keep_the_order_in_which_they_appear():
    random = np.random.default_rng(0)
    cells = [
        ["", "1.5", 'say "so"', f"name {n}", f"name {n}"][kind]
        for kind, n in zip(
            random.integers(0, 5, 60_000), random.integers(0, 20_000, 60_000), strict=True
        )
    ]
    file = io.StringIO()
    csv.writer(file).writerows([cell, "x"] for cell in cells)
    same_cells(tokenised(file.getvalue()).columns[0], Cells.from_texts(cells))


def test_columns_of_one_kind_take_no_memory_for_the_other():
    found = tokenised("1,x\n2,y\n3,x\n")
    assert found.columns[0][1].strides == (0,)
    assert found.columns[1][0].strides == (0,)


def test_a_cell_may_be_large_and_a_table_wide():
    large = "x" * 3_000_000
    assert tokenised(f'"{large}",b\n').columns[0][2] == (large,)
    wide = ",".join(map(str, range(30_000)))
    found = tokenised(f"{wide}\n{wide}\n", points="." * 30_000)
    assert [one[0][1] for one in found.columns] == list(range(30_000))


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here")
def test_an_interrupt_is_seen_on_the_way():
    def interrupted(*_):
        raise KeyboardInterrupt

    data = b"1.25,x\n" * 5_000_000
    before = signal.signal(signal.SIGALRM, interrupted)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        with pytest.raises(KeyboardInterrupt):
            tokens.tokenise(data, 0, 1, ",", "..", False)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# ---- the forms of numbers ------------------------------------------------------------------------

FORMS = [
    "few_digits", "many_digits", "point", "point_maybe", "comma", "comma_maybe", "point_groups",
    "comma_groups", "space_groups", "apostrophe_groups", "no_number",
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "forms"),
    [
        ("12", "few_digits"),
        ("1234", "many_digits"),
        ("1.5", "point"),
        ("1.234", "point_maybe"),
        ("0.234", "point"),
        ("1234.567", "point"),
        ("1,5", "comma"),
        ("1,234", "comma_maybe"),
        ("0,234", "comma"),
        ("-1.234,5", "comma point_groups"),
        ("$1,234.50", "point comma_groups"),
        ("1.234.567", "many_digits point_groups"),
        ("12,34,567", "many_digits comma_groups"),
        ("1 234,5 €", "comma space_groups"),
        ("1\u00a0234\u00a0567", "many_digits space_groups"),
        ("1\u202f234.5", "point space_groups"),
        ("CHF 12'000", "many_digits apostrophe_groups"),
        ("12\u2019000.50", "point apostrophe_groups"),
        ("3,2 kg", "comma"),
        ("1,5E+03", "comma"),
        ("12 kg", "few_digits"),
        ("01.02.2020", "no_number"),
        ("2020-01-31", "no_number"),
        ("12:30", "no_number"),
        ("192.168.1.17", "no_number"),
        ("1,2,3", "no_number"),
        ("room 12 in house 5", "no_number"),
        ("unknown", ""),
        ("", ""),
    ],
)
def test_in_what_form_a_text_holds_a_number(text, forms):
    counts = tokenised(f'"{text}",x\n').columns[0][3]
    assert {name for name, count in zip(FORMS, counts, strict=True) if count} == set(forms.split())


def test_plain_numbers_are_counted_by_their_own_mark():
    by_point = tokenised("1.5\n1.234\n12\n", "\n", ".").columns[0][3]
    by_comma = tokenised("1,5\n1,234\n12\n", "\n", ",").columns[0][3]
    assert dict(zip(FORMS, by_point, strict=True))["point_maybe"] == 1
    assert dict(zip(FORMS, by_comma, strict=True))["comma_maybe"] == 1
    assert by_point[:4] == (1, 0, 1, 1)
    assert by_comma[:6] == (1, 0, 0, 0, 1, 1)
