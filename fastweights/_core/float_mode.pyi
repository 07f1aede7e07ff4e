from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

def in_default_float_mode(function: Callable[..., Result], *arguments: object) -> Result: ...
