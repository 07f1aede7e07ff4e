"""How often insured people see a doctor, and how sure one can be of it.

20,190 years of people in the RAND Health Insurance Experiment: what they pay themselves, their
health, and ``mdvis``, the visits of that year. Most see a doctor seldom, some very often, and
little of it is in the table: a model that gave one number would hide that. Three quantiles show
it: half of the people should have fewer visits than the median, and four in five should be
between the two others. Takes about half a minute. Writes doctor_visits.png.
"""

from pathlib import Path

import numpy as np

import fastweights as fw
from fastweights.table import TableModel, read, split

SEED = 0
QUANTILES = (0.1, 0.5, 0.9)


def main() -> None:
    table = read(Path(__file__).parent / "data" / "doctor_visits.csv.gz")
    train, test = split(len(table), 0.2, SEED)
    unseen = table.take(test)

    mean = TableModel("mdvis", seed=SEED).fit(table.take(train))
    figures = mean.score(unseen)
    print(f"one number for each: R2 {figures['r2']:.3f}, which is little")

    model = TableModel("mdvis", seed=SEED, loss="quantile", quantiles=QUANTILES)
    low, median, high = model.fit(table.take(train)).predict(unseen).T
    visits, _ = model.preprocessor.truth(unseen)
    between = np.mean((low <= visits) & (visits <= high))
    print(f"{between:.0%} of {len(test):,} unseen people are between the outer quantiles")
    for share in (0.0, 0.5, 0.99):
        person = np.argsort(high)[int(share * (len(high) - 1))]
        print(
            f"  of people like number {person}: half have {median[person]:.1f} visits at most, "
            f"one in ten more than {high[person]:.1f}"
        )
    # Nine in ten points should be above the line.
    fw.plot_predictions(visits, high, "visits in a year", to_file="doctor_visits.png")
    print("picture: doctor_visits.png")


if __name__ == "__main__":
    main()
