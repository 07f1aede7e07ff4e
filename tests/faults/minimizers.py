"""Faults of optimizers that look at all rows several times a step."""

from planted import Fault

LBFGS = "lbfgs.pxi"
SEARCH = "line_search.pxi"
MARQUARDT = "levenberg_marquardt.pxi"
PANELS = "kernels/panel_products.pxi"

#: With the optimizer whose steps must show it.
STEPS = {
    Fault("no curvature of the newest pair", LBFGS, "d[k] *= «curvature»", "1.0"): "LBFGS",
    Fault(
        "one pair for all",
        LBFGS,
        "slot = «slot + 1 if slot + 1 < self.history else 0»\n        slope",
        "slot",
    ): "LBFGS",
    Fault(
        "a gradient for a difference",
        LBFGS,
        "self.tried_gradient[k] - «self.gradient[k]»\n",
        "0.0",
    ): "LBFGS",
    Fault(
        "next place forgotten",
        LBFGS,
        "numbers[2] = «slot + 1 if slot + 1 < self.history else 0»",
        "0",
    ): "LBFGS",
    Fault(
        "any slope is small enough",
        SEARCH,
        "fabs(slope) <= «-s.c2 * s.start.slope»:",
        "INFINITY",
    ): "LBFGS",
    Fault("missing 2 of a penalty", MARQUARDT, "share = «2.0» * self.plan.penalty_share(", "0.0"): (
        "LevenbergMarquardt"
    ),
    Fault(
        "weight of a line forgotten",
        MARQUARDT,
        "told = size * «sqrt(self.share_of(i, member, line))»",
        "1.0",
    ): "LevenbergMarquardt",
    Fault("gain not cubed", MARQUARDT, "1.0 - «gain * gain * gain»", "gain"): "LevenbergMarquardt",
    Fault(
        "weight of an output forgotten", MARQUARDT, "2.0 * «head.weight» * head.share", "1.0"
    ): "LevenbergMarquardt",
    Fault(
        "one call of a shared layer",
        MARQUARDT,
        "user = «self.plan.earlier_user[i]»\n",
        "-1",
    ): "LevenbergMarquardt",
    Fault(
        "another output's number",
        MARQUARDT,
        "self.ask_for(ops, member, «first_number + number»",
        "0",
    ): "LevenbergMarquardt",
    Fault(
        "a block added for taken off",
        MARQUARDT,
        "self.strip[i] = «-self.strip[i]»",
        "self.strip[i]",
    ): "LevenbergMarquardt",
    Fault(
        "first panel for all", PANELS, "at = «begin // PANEL * panel_stride»", "0"
    ): "LevenbergMarquardt",
}
