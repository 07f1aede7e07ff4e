"""Layers that look at no other row, each with rows for it and what the oracle makes of them."""

from layer_cases import images, plain, series
from layer_cases.base import Begun, Case, Masked, Merged, model_between, rows_for
from layer_cases.plain import SAME

CASES = {**plain.CASES, **series.CASES, **images.CASES}

__all__ = ["CASES", "SAME", "Begun", "Case", "Masked", "Merged", "model_between", "rows_for"]
