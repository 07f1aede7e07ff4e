"""Nets of images and series: a training step of each, and single layers forward and back.

``python -m bench.bench_convolution`` prints what share of the float32 peak a step on one thread
reaches: 3 products of 2 operations for each multiply-add of a layer, 2 for the first.
"""

import math
import time

import numpy as np
import pytest

import fastweights as fw
from bench.peers.race import peak
from fastweights import layers, losses


def lenet():
    stack = [
        layers.Conv2D(6, 5, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Conv2D(16, 5, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dense(120, "relu"),
        layers.Dense(84, "relu"),
        layers.Dense(10),
    ]
    return stack, (28, 28, 1), 128


def cnn():
    stack = [
        layers.Conv2D(16, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Conv2D(32, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dense(64, "relu"),
        layers.Dense(10),
    ]
    return stack, (28, 28, 1), 64


def stages():
    """A resnet's convolutions in a row."""
    stack = []
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        stack.append(layers.Conv2D(filters, 3, stride, "same", activation="relu"))
        stack += [layers.Conv2D(filters, 3, padding="same", activation="relu") for _ in range(3)]
    return [*stack, layers.GlobalAveragePooling2D(), layers.Dense(10)], (32, 32, 3), 64


def series():
    stack = [
        layers.Conv1D(32, 5, padding="same", activation="relu"),
        layers.Conv1D(64, 5, 2, "causal", activation="relu"),
        layers.GlobalMaxPooling1D(),
        layers.Dense(10),
    ]
    return stack, (128, 12), 32


NETS = {net.__name__: net for net in (lenet, cnn, stages, series)}

#: Batches of an epoch.
STEPS = 8


def flops(stack, shape):
    """Operations that a step has to do for a row."""
    total, first = 0, True
    for layer in stack:
        made = layer.output_shape(shape)
        for variable in layer.variables(shape):
            if variable.name == "kernel":
                places = math.prod(made[:-1])
                total += 2 * (2 if first else 3) * places * math.prod(variable.shape)
                first = False
        shape = made
    return total


def training(name):
    """An epoch of that net, and the operations of a step."""
    stack, shape, batch = NETS[name]()
    work = flops(stack, shape) * batch
    model = fw.Sequential(stack, shape, seed=0)
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss)
    random = np.random.default_rng(0)
    x = random.standard_normal((batch * STEPS, *shape)).astype("float32")
    y = random.integers(0, 10, len(x))
    return lambda: model.fit(x, y, batch, 1, verbose=0), work


@pytest.mark.parametrize("name", NETS)
def bench_epoch(benchmark, name):
    benchmark.group = f"convolution epoch of {STEPS} {name}"
    epoch, _ = training(name)
    epoch()
    benchmark(epoch)


LAYERS = {
    "Conv2D": (lambda: layers.Conv2D(32, 3, padding="same"), (16, 16, 32)),
    "Conv2D of a few": (lambda: layers.Conv2D(6, 5), (28, 28, 1)),
    "Conv2D strided": (lambda: layers.Conv2D(32, 3, 2, "same"), (16, 16, 32)),
    "Conv2DTranspose": (lambda: layers.Conv2DTranspose(32, 3, 2, "same"), (8, 8, 32)),
    "Conv1D": (lambda: layers.Conv1D(32, 5, padding="causal"), (128, 32)),
    "DepthwiseConv2D": (lambda: layers.DepthwiseConv2D(3, padding="same"), (16, 16, 32)),
    "SeparableConv2D": (lambda: layers.SeparableConv2D(32, 3, padding="same"), (16, 16, 32)),
    "MaxPooling2D": (lambda: layers.MaxPooling2D(2), (16, 16, 32)),
    "AveragePooling2D": (lambda: layers.AveragePooling2D(2), (16, 16, 32)),
    "GlobalAveragePooling2D": (layers.GlobalAveragePooling2D, (16, 16, 32)),
    "ZeroPadding2D": (lambda: layers.ZeroPadding2D(1), (16, 16, 32)),
    "UpSampling2D": (lambda: layers.UpSampling2D(2), (8, 8, 32)),
    "UpSampling2D bilinear": (lambda: layers.UpSampling2D(2, None, "bilinear"), (8, 8, 32)),
    "Resizing": (lambda: layers.Resizing(12, 12), (16, 16, 32)),
    "CenterCrop": (lambda: layers.CenterCrop(12, 12), (16, 16, 32)),
    "RandomCrop": (lambda: layers.RandomCrop(12, 12), (16, 16, 32)),
}


@pytest.mark.parametrize("name", LAYERS)
def bench_forward_and_backward(benchmark, name, dtype):
    benchmark.group = f"convolution forward_and_backward of 32 images {dtype}"
    make, shape = LAYERS[name]
    model = fw.Sequential([make()], shape, dtype, seed=0)
    x = np.random.default_rng(0).standard_normal((32, *shape)).astype(dtype)
    dy = np.ones_like(model.forward(x))

    def both():
        model.forward(x)
        model.backward(dy)

    benchmark(both)


def main():
    fw.set_num_threads(1)
    for name in NETS:
        epoch, work = training(name)
        epoch()
        best, end = math.inf, time.perf_counter() + 3
        while time.perf_counter() < end:
            began = time.perf_counter()
            epoch()
            best = min(best, (time.perf_counter() - began) / STEPS)
        share = work / best / peak(1)
        print(f"{name:8} {best * 1e6:9,.0f} us {work / best / 1e9:7.1f} GFLOP/s {share:5.0%}")


if __name__ == "__main__":
    main()
