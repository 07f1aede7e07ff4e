"""Faults of what is added up over rows, and of predictions of a pass."""

from planted import Fault

#: By the metric that must notice.
METRICS = {
    Fault("a weight is left out of a count", "kernels/counts.pxi", "state[column * cell_sums + 2 * level + positive] += «weight»", "1.0"): "precision",
    Fault("a threshold is passed by what equals it", "kernels/counts.pxi", "if «p > thresholds[middle]»:", "p >= thresholds[middle]"): "precision",
    Fault("classes are taken the other way round", "kernels/counts.pxi", "state[1 + 3 * «is_of» + 1] += weight", "(is_of if taken_for < 0 else taken_for)"): "balanced_accuracy",
    Fault("a distance is not squared", "kernels/counts.pxi", "weight * distance * («distance if options[1] == 2.0 else 1.0»)", "1.0"): "cohen_kappa",
    Fault("a mean moves by the whole difference", "kernels/metrics.pxi", "sums[3] += «share» * a", "1.0"): "explained_variance",
    Fault("parts are merged by the later's weight alone", "kernels/metrics.pxi", "left *= «share»", "1.0"): "pearson_correlation",
    Fault("predictions of a pass lie where they lay in the arena", "rows.pxi", "self.job.out[i] + «first» * row_bytes", "begin"): "auc",
}  # fmt: skip
