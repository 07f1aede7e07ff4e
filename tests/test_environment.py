"""Environment variables with anything in them, and settings that several threads change at once."""

import sys
import threading

import pytest
from damage import cases
from helpers import data, network, run_python

import fastweights as fw

SETTINGS = sys.modules["fastweights.config"]

JUNK = ["abc", "-1", "1e400", "nan", "-inf", "²", "٣x", "1 2", "0x10", "9" * 5000, "1\n2", "'"]
EMPTY = ["", "  "]


@pytest.fixture
def nothing_set(monkeypatch):
    monkeypatch.setattr(SETTINGS, "_num_threads", {})
    monkeypatch.setattr(SETTINGS, "_grain", None)
    SETTINGS._default_grain.cache_clear()
    for name in ("FASTWEIGHTS_GRAIN", "FASTWEIGHTS_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    yield
    SETTINGS._default_grain.cache_clear()


def refused(call, variable, text, expected):
    # Python 3.11 goes on handling an error in whose handling a trace raised: other tests do that.
    handled = sys.exc_info()[1]
    with pytest.raises(ValueError, match=f"^{variable}: got ") as caught:
        call()
    assert str(caught.value).endswith(f", expected {expected}")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ in (None, handled)


@pytest.mark.parametrize("text", [*JUNK, "inf", "1e999", "-0.5"])
def test_a_grain_that_is_no_number_is_refused(nothing_set, monkeypatch, text):
    if text == "9" * 5000:
        text = "9" * 400  # beyond the largest double
    monkeypatch.setenv("FASTWEIGHTS_GRAIN", text)
    refused(SETTINGS.budget, "FASTWEIGHTS_GRAIN", text, "a finite number, at least 0")


@pytest.mark.parametrize(("text", "grain"), [("0", 0.0), (" 1e3 ", 1e3), ("٣", 3.0)])
def test_a_grain(nothing_set, monkeypatch, text, grain):
    monkeypatch.setenv("FASTWEIGHTS_GRAIN", text)
    assert SETTINGS.budget().grain == grain


@pytest.mark.parametrize("text", EMPTY)
def test_variables_with_nothing_in_them_are_not_set(nothing_set, monkeypatch, text):
    cpus = SETTINGS._available_cpus()
    for name in ("FASTWEIGHTS_GRAIN", "FASTWEIGHTS_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, text)
    assert SETTINGS.budget() == (cpus, cpus, 4e5)


@pytest.mark.parametrize("text", [*JUNK, "0", "1.5", "٣", "1_0", "+1"])
def test_a_number_of_threads_that_is_none(nothing_set, monkeypatch, text):
    """Our own variable is refused; the one that others read, too, is passed over."""
    monkeypatch.setenv("FASTWEIGHTS_NUM_THREADS", text)
    expected = "a whole number, at least 1"
    refused(fw.get_num_threads, "FASTWEIGHTS_NUM_THREADS", text, expected)
    monkeypatch.delenv("FASTWEIGHTS_NUM_THREADS")
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert fw.get_num_threads() == SETTINGS._available_cpus()


@pytest.mark.parametrize("grain", ["0", "4e5"])
def test_more_threads_than_any_machine_has(nothing_set, monkeypatch, grain):
    """They are an upper bound, and nothing overflows."""
    monkeypatch.setenv("FASTWEIGHTS_GRAIN", grain)
    model = network()
    x, y = data(40)
    for n in (2**31 - 1, 2**31, 2**63, 10**30):
        monkeypatch.setenv("FASTWEIGHTS_NUM_THREADS", str(n))
        assert fw.get_num_threads() == n
        model.fit(x, y, 10, 1, verbose=0)
    monkeypatch.delenv("FASTWEIGHTS_NUM_THREADS")
    monkeypatch.setenv("OMP_NUM_THREADS", str(10**30))
    model.fit(x, y, 10, 1, verbose=0)
    with fw.threads(2**63 - 1):
        model.fit(x, y, 10, 1, verbose=0)


@pytest.mark.parametrize("variable", ["ISA", "GRAIN", "NUM_THREADS"])
@pytest.mark.parametrize("text", cases(("abc", "1\n2"), [text for text in JUNK if len(text) < 10]))
def test_the_command_line_says_it_in_one_line(variable, text):
    name = f"FASTWEIGHTS_{variable}"
    done = run_python(
        "import sys; from fastweights.cli import main\n"
        "sys.exit(main(['gradcheck', '--layers', '3,2', '--loss', 'mse']))",
        **{name: text},
    )
    assert done.returncode == 2, done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"fastweights: error: {name}: got ")
    assert ", expected " in line


def test_the_command_line_says_in_one_line_what_this_cpu_cannot_run():
    impossible = "neon" if "neon" not in fw.config()["available_levels"] else "avx2"
    done = run_python(
        "import sys; from fastweights.cli import main; sys.exit(main(['info']))",
        FASTWEIGHTS_ISA=impossible,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"fastweights: error: FASTWEIGHTS_ISA: got '{impossible}', which this")


def test_help_needs_no_variable_to_be_right():
    done = run_python(
        "from fastweights.cli import main; print(main(['--version']), main(['train', '--help']))",
        FASTWEIGHTS_ISA="x",
        FASTWEIGHTS_GRAIN="x",
        FASTWEIGHTS_NUM_THREADS="x",
    )
    assert done.returncode == 0
    assert done.stdout.endswith("0 0\n")


def test_blocks_of_threads_within_each_other(nothing_set):
    fw.set_num_threads(5)
    with fw.threads(2):
        with fw.threads(3):
            assert fw.get_num_threads() == 3
        assert fw.get_num_threads() == 2
        with pytest.raises(ZeroDivisionError), fw.threads(4):
            raise ZeroDivisionError
        assert fw.get_num_threads() == 2
        with pytest.raises(ValueError, match="n: got 0"), fw.threads(0):
            pass
        assert fw.get_num_threads() == 2
    assert fw.get_num_threads() == 5


def test_a_number_set_within_a_block_holds_after_it(nothing_set):
    with fw.threads(2):
        fw.set_num_threads(7)
        assert fw.get_num_threads() == 2
    assert fw.get_num_threads() == 7


def test_blocks_left_in_the_order_they_were_entered(nothing_set):
    """As two Python threads do, of which neither knows of the other."""
    fw.set_num_threads(9)
    first, second = fw.threads(2), fw.threads(3)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert fw.get_num_threads() == 3
    second.__exit__(None, None, None)
    assert fw.get_num_threads() == 9


def test_blocks_in_many_threads_leave_nothing_behind(nothing_set):
    fw.set_num_threads(3)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    wrong = []

    def enter_and_leave(n):
        for i in range(300):
            with fw.threads(n + i):
                if fw.get_num_threads() < 10:
                    wrong.append(n)

    try:
        callers = [threading.Thread(target=enter_and_leave, args=(10 * k,)) for k in range(1, 9)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []
    assert fw.get_num_threads() == 3


def test_what_config_tells_is_a_copy(nothing_set):
    before = fw.config()
    told = fw.config()
    told.update(num_threads=99, matmul_precision="none", reproducible=None)
    told["available_levels"].clear()
    assert fw.config() == before
    with pytest.raises(TypeError):
        SETTINGS.PRECISIONS["low"] = 7
