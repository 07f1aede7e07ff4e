"""Numbers and dates in texts: what people and programs write, and what is none."""

from __future__ import annotations

import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastweights.table import Cells, dates
from fastweights.table.dates import moment, order_of, read_moments
from fastweights.table.numerals import MISSING_NUMBER, missing, missing_word, numeral, read_numbers

# ---- numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e5", 1e5),
        (".5", 0.5),
        ("5.", 5.0),
        ("+3", 3.0),
        ("007", 7.0),
        ("-2.5E-03", -2.5e-3),
        ("\u22125", -5.0),
        ("\u20135.5", -5.5),
        ("(1.50)", -1.5),
        ("5-", -5.0),
        ("22,661.05", 22661.05),
        ("1,234,567", 1234567.0),
        ("12,34,567", 1234567.0),
        ("1 234.5", 1234.5),
        ("1\u00a0234.5", 1234.5),
        ("1\u202f234\u202f567", 1234567.0),
        ("12'000", 12000.0),
        ("12\u2019000.50", 12000.5),
    ],
)
def test_numbers_without_a_unit(text, value):
    assert numeral(text) == (value, "", False)


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("$22,661.05", 22661.05, "$"),
        ("-$5.00", -5.0, "$"),
        ("$-5", -5.0, "$"),
        ("($1,200.50)", -1200.5, "$"),
        ("$(1,234.50)", -1234.5, "$"),
        ("12 €", 12.0, "€"),
        ("€110.5M", 110.5e6, "€"),
        ("CHF 12'000", 12000.0, "chf"),
        ("12.50 USD", 12.5, "usd"),
        ("Rs. 500", 500.0, "rs"),
        ("12.5%", 12.5, "%"),
        ("12.5 %", 12.5, "%"),
        ("3.2 kg", 3.2, "kg"),
        ("3.2 KG", 3.2, "kg"),
        ("21.5°C", 21.5, "°c"),
        ("63.2 m²", 63.2, "m²"),
        ("5 m2", 5.0, "m2"),
        ("3 kg/m3", 3.0, "kg/m3"),
        ("9.8 m/s^2", 9.8, "m/s^2"),
        ("1 year", 1.0, "year"),
        ("3 years", 3.0, "year"),
        ("8.7k", 8700.0, ""),
        ("3.4M", 3.4e6, ""),
    ],
)
def test_numbers_with_a_unit(text, value, unit):
    assert numeral(text) == (value, unit, False)


@pytest.mark.parametrize(
    ("text", "value"),
    [("<0.1", 0.1), ("< 0.1", 0.1), (">= 5", 5.0), ("\u22645", 5.0), ("~7", 7.0), ("10+", 10.0)],
)
def test_limits_are_the_number_itself(text, value):
    assert numeral(text) == (value, "", True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        ".",
        "abc",
        "1_000",
        "0x10",
        "2020-01-31",
        "12:30",
        "1.2.3",
        "120/80",
        "5'11\"",
        "-5-",
        "--5",
        "(5",
        "5)",
        "1,234",
        "1,23",
        "12,3456",
        "+49 170 1234",
        "2h 30m",
        "10-20",
        "1.2 x 10^3",
        "12.3 ± 0.4",
        "A320",
        "B2B",
        "192.168.0.1",
        "1e999",
        "inf",
        "nan",
        "$ €5",
    ],
)
def test_what_is_no_number_or_might_be_two(text):
    assert numeral(text) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [("1.234,56", 1234.56), ("1,5E+03", 1500.0), ("1.234", 1234.0), ("1.234.567", 1234567.0)],
)
def test_marks_of_german_files(text, value):
    assert numeral(text, decimal=",", thousands=".") == (value, "", False)


def test_marks_that_the_file_is_not_known_to_have_are_not_guessed():
    assert numeral("1,234", thousands=",").value == 1234.0
    assert numeral("1.5", decimal=",", thousands=".") is None
    assert numeral("1.234", decimal=",") is None
    assert numeral("1.234", decimal=".").value == 1.234


@given(st.text(alphabet="0123456789.,' -+()%$€<eEkgM/²\u00a0x"), st.sampled_from([".", ","]))
def test_any_text_is_a_finite_number_or_none(text, decimal):
    found = numeral(text.strip(), decimal)
    assert found is None or np.isfinite(found.value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_as_python_writes_them_keep_their_bits(value):
    assert numeral(repr(value)).value == value


def column(*texts: str, repeat: int = 1) -> Cells:
    return Cells.from_texts([text for text in texts for _ in range(repeat)])


def test_words_for_missing_are_missing_and_said():
    cells = column("1.5", "NA", "unknown", "see note 3", "#DIV/0!", "")
    read = read_numbers(cells)
    np.testing.assert_array_equal(read.values, [1.5, *[np.nan] * 5])
    assert [t for t, odd in zip(cells.texts, read.strange, strict=True) if odd] == ["see note 3"]
    assert [t for t, odd in zip(cells.texts, read.words, strict=True) if odd] == ["unknown"]


@pytest.mark.parametrize(
    "text", ["", "NA", "n/a", "<NA>", "NaN", "NaT", "NULL", "?", "-", "\u2013", ".", "#DIV/0!"]
)
def test_texts_without_a_value(text):
    assert missing(column("x", text)).tolist() == [False, True]


def test_words_that_may_be_categories_are_missing_among_numbers_alone():
    assert not missing(column("None", "unknown")).any()
    assert {"none", "unknown"} <= MISSING_NUMBER
    assert missing_word("N/A\u2013") == "n/a-"


def test_another_unit_is_no_number():
    read = read_numbers(column("3 kg", "4 kg", "5 lb", "6"))
    np.testing.assert_array_equal(read.values, [3.0, 4.0, np.nan, 6.0])
    assert read.unit == "kg"
    assert read.strange.tolist() == [False, False, True]
    again = read_numbers(column("3 lb", "4 kg"), unit="kg")
    np.testing.assert_array_equal(again.values, [np.nan, 4.0])


def test_percent_among_shares_are_shares():
    read = read_numbers(column("0.125", "0.5", "12.5%"))
    np.testing.assert_array_equal(read.values, [0.125, 0.5, 0.125])
    read = read_numbers(column("12", "50", "12.5%"))
    np.testing.assert_array_equal(read.values, [12.0, 50.0, 12.5])


# ---- dates ---------------------------------------------------------------------------------------


def seconds(*parts: int) -> float:
    return datetime.datetime(*parts, tzinfo=datetime.timezone.utc).timestamp()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("2024-01-31", (2024, 1, 31)),
        ("2024/1/5", (2024, 1, 5)),
        ("2024.01.05", (2024, 1, 5)),
        ("31 Jan 2024", (2024, 1, 31)),
        ("31-Jan-24", (2024, 1, 31)),
        ("5th of March 2024", (2024, 3, 5)),
        ("January 31, 2024", (2024, 1, 31)),
        ("Wed, 31 Jan 2024 10:00:00 GMT", (2024, 1, 31, 10)),
        ("January 2024", (2024, 1, 1)),
        ("2024-05", (2024, 5, 1)),
        ("2024Q2", (2024, 4, 1)),
        ("Q2 2024", (2024, 4, 1)),
        ("2024-W05", (2024, 1, 29)),
        ("20240131T123005", (2024, 1, 31, 12, 30, 5)),
        ("2024-01-31T12:30:00Z", (2024, 1, 31, 12, 30)),
        ("2024-01-31 12:30:00+02:00", (2024, 1, 31, 12, 30)),
        ("2024-01-31 24:00", (2024, 2, 1)),
        ("3/18/2021 3:45:10 PM", (2021, 3, 18, 15, 45, 10)),
        ("31.12.2021", (2021, 12, 31)),
        ("12:30", (1970, 1, 1, 12, 30)),
        ("12:05 AM", (1970, 1, 1, 0, 5)),
        ("9 pm", (1970, 1, 1, 21)),
        ("24:00", (1970, 1, 1)),
    ],
)
def test_dates_and_times(text, parts):
    assert seconds(*parts) in (moment(text, False), moment(text, True))


def test_fractions_of_seconds_and_years_of_two_digits():
    assert moment("2024-01-31 00:00:00.25") == seconds(2024, 1, 31) + 0.25
    assert moment("1/2/68") == seconds(2068, 1, 2)
    assert moment("1/2/69") == seconds(1969, 1, 2)
    assert moment("1/2/69", day_first=True) == seconds(1969, 2, 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2024",
        "May",
        "2024-02-30",
        "0000-00-00",
        "31/31/2024",
        "25:00",
        "12:60",
        "120/80",
        "1/2",
        "5 m",
        "13 PM",
        "2024-W60",
        "10-20",
        "1.5",
        "2024-01-31x",
        "next Monday",
    ],
)
def test_what_is_no_date(text):
    assert moment(text, False) is None
    assert moment(text, True) is None


@given(st.datetimes(), st.sampled_from(["%Y-%m-%d %H:%M:%S", "%Y/%m/%dT%H:%M:%S", "%d %b %Y"]))
def test_dates_as_python_writes_them(when, form):
    if when.year < 1000:
        when = when.replace(year=when.year + 1000)
    text = when.strftime(form)
    assert (
        moment(text)
        == datetime.datetime.strptime(text, form).replace(tzinfo=datetime.timezone.utc).timestamp()
    )


@given(st.text(alphabet="0123456789-/.: TZQWapm+Jan", max_size=30))
def test_any_text_is_a_moment_or_none(text):
    found = moment(text.strip())
    assert found is None or np.isfinite(found)


@pytest.mark.parametrize(
    ("texts", "form", "is_open"),
    [
        (["01/02/2024", "31/01/2024"], "dmy", False),
        (["01/02/2024", "01/31/2024"], "mdy", False),
        (["01/02/2024", "03/04/2024"], "mdy", True),
        (["01.02.2024", "03.04.2024"], "dmy", True),
        (["2024-01-31"], "dmy", False),
    ],
)
def test_days_or_months_first_by_all_cells(texts, form, is_open):
    matters = not texts[0].startswith("2024")
    assert order_of(column(*texts), ".") == (form, matters, is_open)
    assert order_of(column(*texts), ",").form == ("dmy" if is_open else form)


@pytest.mark.parametrize(
    ("numbers", "name", "form"),
    [
        ([1.6e9, 1.7e9], ["created", "at"], "s"),
        ([1.6e9, 1.7e9], ["phone"], ""),
        ([1.6e12, 1.7e12], ["x"], "ms"),
        ([1.6e15, 1.7e15], ["x"], "us"),
        ([1.6e18, 1.7e18], ["x"], "ns"),
        ([45000.0, 45321.5], ["date"], "excel"),
        ([45000.0, 45321.5], ["price"], ""),
        ([20240131, 20231231], ["date"], dates.COMPACT),
        ([20240131, 20231331], ["date"], ""),
        ([20240131, 20231231], ["units"], ""),
        ([1999, 2024], ["date"], ""),
        ([0.5, 3.0], ["time"], ""),
    ],
)
def test_numbers_that_count_time(numbers, name, form):
    assert dates.number_form(np.array(numbers, dtype=float), name) == form


@pytest.mark.parametrize("unit", ["D", "m", "s"])
@pytest.mark.parametrize("odd", ["", "soon", "2024-02-30", "2024-01-31T12:30:00+02:00"])
def test_many_dates_that_are_written_alike_are_read_as_one_is(unit, odd):
    texts = [str(np.datetime64("1969-12-30", unit) + 1234 * k) for k in range(300)]
    for column_of_texts in (texts, [*texts, odd]):
        found = read_moments(Cells.from_texts(column_of_texts), "dmy").values
        alone = [moment(text) for text in column_of_texts]
        np.testing.assert_array_equal(found, np.array(alone, dtype=np.float64))


def test_numbers_become_moments():
    when = seconds(2024, 1, 31)
    for form, number in {
        "s": when,
        "ms": when * 1e3,
        "excel": 45322.0,
        dates.COMPACT: 20240131.0,
    }.items():
        read = read_moments(Cells.from_numbers(np.array([number, np.nan])), form)
        np.testing.assert_array_equal(read.values, [when, np.nan])
    absent = read_moments(Cells.from_numbers(np.array([20240230.0, 5.0])), dates.COMPACT)
    assert np.isnan(absent.values).all()


def test_words_among_dates_are_strange_and_zero_dates_are_not():
    cells = column("2024-01-31", "0000-00-00", "soon", "")
    assert read_moments(cells, "dmy").strange.tolist() == [False, False, True, False]


@pytest.mark.parametrize("text", ["Mon, {}x", "1{}x", "jan-{}", "T{}1", "<{}x", "({}1", "1{}"])
def test_many_spaces_take_no_time(text):
    """Of 20,000 the searches of before took hours."""
    assert moment(text.format(" " * 20_000)) is None
    assert numeral(text.format(" " * 20_000)) is None
    assert numeral("<" + " " * 300 + "1").value == 1
