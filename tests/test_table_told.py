"""What somebody who uses a table's model from Python is told: of odd rows, labels and mistakes."""

import pickle
import zlib

import numpy as np
import pytest

from fastweights.cli import main
from fastweights.table import TableModel

pd = pytest.importorskip("pandas")

QUICK = {"layers": (8,), "epochs": 2, "nets": 1}
ROWS = 120


def houses():
    random = np.random.default_rng(0)
    area = random.uniform(20, 200, ROWS)
    town = np.array(["Ames", "Oslo", "Rome"])[np.arange(ROWS) % 3]
    holes = np.where(np.arange(ROWS) % 10 == 0, np.nan, area)
    return pd.DataFrame({"area": area, "town": town, "holes": holes, "price": 3 * area})


def model(target="price", **choices):
    return TableModel(target, **{**QUICK, **choices})


@pytest.fixture(scope="module")
def fitted():
    return model().fit(houses())


# ---- odd rows ------------------------------------------------------------------------------------


def test_columns_that_say_nothing_are_warned_of(fitted):
    strange = houses().head(3).assign(area="zzz", town="Mars")
    with pytest.warns(UserWarning, match="'zzz' in column 'area'.*'Mars' in column 'town'") as said:
        predicted = fitted.predict(strange)
    assert len(said) == 1
    assert len(predicted) == 3
    assert fitted.remarks_on(strange) == [
        "text among numbers counts as missing: 'zzz' in column 'area' and 2 more",
        "rare or unseen categories count as none: 'Mars' in column 'town' and 2 more",
    ]


def test_a_few_odd_cells_are_remarks_alone(fitted):
    """Numbers from beyond the training, all of a column even, are numbers all the same."""
    frame = houses().assign(area=1e6)
    frame.loc[:9, "town"] = "Mars"
    fitted.predict(frame)  # a warning is an error
    said = " ".join(fitted.remarks_on(frame))
    assert "far outside" in said
    assert "'Mars'" in said


def test_many_missing_cells_are_no_chance(fitted):
    fitted.predict(houses().head(1).assign(holes=np.nan))
    with pytest.warns(UserWarning, match="no known cell.*'holes'"):
        fitted.predict(houses().assign(holes=np.nan))


def test_rows_left_out_are_counted():
    frame = houses().assign(kind=np.where(houses().area > 100, "big", "small"))
    got = model("kind").fit(frame)
    other = frame.copy()
    other.loc[:4, "kind"] = "huge"
    other.loc[5, "kind"] = None
    with pytest.warns(UserWarning, match=r"5 rows left out, whose 'kind' .* such as 'huge'"):
        figures = got.score(other)
    assert (figures["rows"], figures["rows_left_out"]) == (ROWS - 6, 6)


# ---- labels --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "kind"),
    [((0, 1), np.int64), ((False, True), np.bool_), (("no", "yes"), object), ((0.5, 1.5), float)],
)
def test_labels_are_as_a_frame_has_them(labels, kind, tmp_path):
    frame = houses()
    frame["label"] = np.array(labels)[(frame.area > 100).astype(int)]
    got = model("label", task="classification", class_weight={labels[0]: 2}).fit(frame)
    predicted = got.predict(frame)
    assert predicted.dtype == kind
    assert set(predicted) <= set(frame["label"])
    assert got.classes == labels
    got.save(tmp_path / "m")
    np.testing.assert_array_equal(TableModel.load(tmp_path / "m").predict(frame), predicted)


def test_a_class_that_counts_as_missing_is_named():
    frame = houses().assign(kind=np.where(houses().area > 100, "NA", "small"))
    with pytest.raises(ValueError, match=r"got 1 class in .*, beside 'NA' in .* missing"):
        model("kind").fit(frame)


def test_dates_are_no_classes():
    days = pd.date_range("2020-01-01", periods=ROWS // 2).repeat(2)
    frame = houses().assign(day=days)
    with pytest.raises(ValueError, match="target: got dates, such as '2020-01-01'"):
        model("day").fit(frame)
    assert model("day", task="classification").fit(frame).recipe.task == "classification"


# ---- mistakes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: model(quantiles=(0.1,)).fit(houses()), ValueError, "quantiles: .*loss='quantile'"),
        (lambda: model(random_state=1), TypeError, "did you mean 'seed'"),
        (lambda: model(lr=1), TypeError, "did you mean 'learning_rate'"),
        (lambda: model(hidden_layer_sizes=(4,)), TypeError, "did you mean 'layers'"),
        (lambda: TableModel(houses(), "price"), TypeError, r"target: got DataFrame.*\.fit\(table"),
        (
            lambda: TableModel("price", "best"),
            TypeError,
            "got 1 more .*preset='best'",
        ),
        (lambda: TableModel(0), TypeError, "target: got 0, .*'0'"),
        (lambda: model().fit(houses(), houses().price), TypeError, "y: got Series.*'price'"),
        (
            lambda: model().fit(houses(), sample_weight=np.zeros(ROWS)),
            ValueError,
            "sample_weight: got 0 in all rows",
        ),
        (
            lambda: model().fit(houses(), sample_weight=-np.ones(ROWS)),
            ValueError,
            "sample_weight: got -1 in row 0",
        ),
        (
            lambda: model(split="time:year").fit(houses().assign(year=2020)),
            ValueError,
            "split: got one time in all rows of column 'year'",
        ),
    ],
)
def test_mistakes(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


def test_a_row_is_no_table(fitted):
    with pytest.raises(TypeError, match=r"got Series.*frame\.iloc\[\[0\]\]"):
        fitted.predict(houses().iloc[0])


def test_losses_have_all_their_names():
    assert model(loss="mae").fit(houses()).recipe.loss == "mean_absolute_error"
    assert model(loss="MSE").fit(houses()).recipe.loss == "mean_squared_error"


@pytest.mark.parametrize("pack", [bytes, zlib.compress])
def test_pickles_are_named(pack, tmp_path):
    (tmp_path / "m.joblib").write_bytes(pack(pickle.dumps({"model": [1.0] * 100})))
    with pytest.raises(ValueError, match=r"got a pickle.*joblib\.load.*save\(path\)"):
        TableModel.load(tmp_path / "m.joblib")


# ---- the command line ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["p.xlsx", "p.parquet", "p.csv.gz"])
def test_predictions_are_csv(name, fitted, tmp_path, capsys):
    fitted.save(tmp_path / "m")
    houses().to_csv(tmp_path / "t.csv")
    argv = ["predict", str(tmp_path / "m"), str(tmp_path / "t.csv"), "--out"]
    assert main([*argv, str(tmp_path / name)]) == 2
    assert "p.csv: predictions are a CSV table" in capsys.readouterr().err
    assert main([*argv, str(tmp_path / "p.txt")]) == 0


def test_metrics_are_of_one_value(tmp_path, capsys):
    model(loss="quantile").fit(houses()).save(tmp_path / "m")
    houses().to_csv(tmp_path / "t.csv")
    argv = ["evaluate", str(tmp_path / "m"), str(tmp_path / "t.csv")]
    assert main(argv) == 0
    assert main([*argv, "--metrics", "mae"]) == 2
    assert "--metrics: got 'mae', expected none for a model of quantiles" in capsys.readouterr().err
