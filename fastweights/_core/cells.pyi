import numpy as np

class Tokens:
    rows: int
    bad_count: int
    comments: int
    longer: int
    columns: list[tuple[np.ndarray, np.ndarray, tuple[str, ...], tuple[int, ...]]]
    bad: list[tuple[int, int, int, int, int]]

def tokenise(
    data: bytes,
    start: int,
    line: int,
    delimiter: str,
    points: str,
    skip_bad: bool,
    at_once: int = ...,
) -> Tokens: ...
def records(
    data: bytes, start: int, line: int, delimiter: str, most: int
) -> list[tuple[int, int, int, list[str]]]: ...
