"""Every loss: values and gradient of a batch; also with the last activation taken into the loss."""

import numpy as np
import pytest

from fastweights import _dispatch, losses

SHAPE = (256, 12)


#: (loss, name of a kernel of it)
KERNELS = [
    (loss, name)
    for loss in (kind() for kind in dict.fromkeys(losses.LOSSES.values()))
    for name in (loss.kernel, loss.fused_kernel)
    if name is not None
]


@pytest.mark.parametrize(("loss", "name"), KERNELS, ids=[name for _, name in KERNELS])
def bench_value_and_gradient(benchmark, dtype, loss, name):
    benchmark.group = f"loss {SHAPE[0]}x{SHAPE[1]} {dtype}"
    random = np.random.default_rng(0)
    prediction = random.dirichlet(np.ones(SHAPE[1]), SHAPE[0]).astype(dtype)
    classes = random.integers(0, SHAPE[1], SHAPE[0])
    y = (
        classes
        if loss.takes_labels
        else np.eye(SHAPE[1])[classes][:, : loss.target_columns(SHAPE[1])]
    )
    target = loss.prepare_targets(y, *SHAPE, prediction.dtype)
    values, dy = np.empty(SHAPE[0]), np.empty_like(prediction)
    benchmark(
        _dispatch.kernels(prediction.dtype).apply_loss,
        name,
        *(array.ctypes.data for array in (values, dy, prediction, target)),
        *SHAPE,
        loss.options,
        1 / SHAPE[0],
    )
