from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")

def finite(array: np.ndarray) -> bool: ...
def taken(array: object, size: int, columns: int) -> np.ndarray | None: ...
def in_float_mode(function: Callable[..., T], *arguments: Any) -> T: ...
