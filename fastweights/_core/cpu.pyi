OPS_STAMP: str
KERNELS_STAMP: str

def supported_levels() -> list[str]: ...
