"""Faults of convolutions, pooling, frames and of images that change."""

from planted import Fault

from fastweights import layers

SEGMENTED = "kernels/segmented.pxi"
CORRELATION = "kernels/correlation.pxi"
CONVOLUTION = "kernels/convolution.pxi"
MINIMAL = "kernels/minimal.pxi"
DEPTHWISE = "kernels/depthwise.pxi"
POOLING = "kernels/pooling.pxi"
FRAMING = "kernels/framing.pxi"
WARPING = "kernels/warping.pxi"
AUGMENTATION = "kernels/augmentation.pxi"
RESIZING = "kernels/resizing.pxi"

#: With the network whose gradients must show it: what `net` of the test is told.
GRADIENTS = {
    Fault("share of the first line left out", RESIZING, "rest = vset1(«1 - share»)", "1"): {
        "layer": "resized images"
    },
    Fault(
        "share of the other line",
        RESIZING,
        "mixed, «mix.share», width * channels)",
        "1 - mix.share",
    ): {"layer": "bilinearly upsampled images"},
    Fault("part of the first image", RESIZING, "x_of(op, «row»), &f, 1)", "begin"): {
        "layer": "random part of images"
    },
    Fault("no skip of taps beside the image", SEGMENTED, "b += «p.skip» * ldb", "0"): {
        "layer": "conv same 5x7x4"
    },
    Fault("segments of a row of taps apart", SEGMENTED, "+ «inner * p.inner_step») * <Py", "0"): {
        "layer": "conv dilated 9x7x3"
    },
    Fault("last rows of a product not filled", SEGMENTED, "if rows - row > «FEW_ROWS»:", "9"): {
        "layer": "conv same 5x7x4"
    },
    Fault("columns beyond the first panel", SEGMENTED, "p.b + «column * p.depth» + p.first", "0"): {
        "layer": "conv above a panel 4x4x3"
    },
    Fault(
        "taps of the first phase for all",
        CORRELATION,
        "tap * tap_step % stride != «phase»:",
        "0",
    ): {"layer": "conv strided 9x8x3"},
    Fault("kernel not turned", CORRELATION, "axis.kernel_step = «-period»", "period"): {
        "layer": "conv without bias 6x6x2"
    },
    Fault("merged pixels read one place", CORRELATION, "across + «pixel * c.apart»\n", "0"): {
        "layer": "conv same merged 4x6x3"
    },
    Fault("tap above the image taken", CORRELATION, "begin[0] = 0 if «at >= 0» else", "at >= -1"): {
        "layer": "conv same 5x7x4"
    },
    Fault(
        "rows of images all at the top", CORRELATION, "c.down.begin + «row * c.down.stride»", "0"
    ): {"layer": "conv without bias 6x6x2"},
    Fault("first group's inputs for all", CORRELATION, "p.a = x + «group * c.inputs»", "0"): {
        "layer": "conv grouped 6x5x4"
    },
    Fault("images behind the first ones", CORRELATION, "x += «now» * c.down.size", "0"): {
        "layer": "conv of one channel 12x12x1",
        "rows": 14,
    },
    Fault("a sum of taps for a difference", MINIMAL, "to[2] = «ends - middle»", "middle"): {
        "layer": "conv minimal 7x6x10"
    },
    Fault("numbers of a tile spread wrongly", MINIMAL, "to[3] = «b - d»", "b"): {
        "layer": "conv minimal 7x6x10"
    },
    Fault("no bias of tiles", MINIMAL, "if «ends.start != NULL»:", "False"): {
        "layer": "conv minimal 7x6x10"
    },
    Fault("tiles beyond the first panel", MINIMAL, "        filter += «PANEL»", "filters"): {
        "layer": "conv minimal above a panel 6x6x9",
        "rows": 1,
    },
    Fault("pixels below each other", MINIMAL, "at + c.out_row if «below» else", "False"): {
        "layer": "conv minimal 7x6x10"
    },
    Fault(
        "gradient of the first row of taps", MINIMAL, "range(«0 if first == 0 else 4», 16", "4"
    ): {"layer": "conv minimal 7x6x10"},
    Fault("sums begun anew with each tile", MINIMAL, "p.start = «p.c»", "NULL"): {
        "layer": "conv minimal 7x6x10",
        "rows": 9,
    },
    Fault(
        "kernel's gradient of the last images", CONVOLUTION, "p.goes_on = «done > 0» or", "False"
    ): {
        "layer": "conv from above a panel 3x3x70",
        "rows": 99,
    },
    Fault(
        "merged pixels not folded", CONVOLUTION, "in range(1, «merged»):\n            total", "1"
    ): {"layer": "conv of one channel 12x12x1"},
    Fault("padding left out of the kernel's gradient", CONVOLUTION, "+ «g.top») * padded", "0"): {
        "layer": "conv same 5x7x4"
    },
    Fault(
        "first group's gradient for all",
        CONVOLUTION,
        "+ row * p.inner_step + «group * channels»",
        "0",
    ): {"layer": "conv grouped 6x5x4"},
    Fault(
        "bias of a transposed convolution",
        CONVOLUTION,
        "if expands:\n            pixel_sums(dkernel + op.variables[0], large, «end - begin»,",
        "1",
    ): {"layer": "conv transposed 4x3x2"},
    Fault(
        "stride of dx forgotten",
        DEPTHWISE,
        "+ column * c.across.stride + «kx * c.across.tap_step») * n\n                    w",
        "0",
    ): {"layer": "conv by channel 6x5x9"},
    Fault("columns beside the image", DEPTHWISE, "first = 0 if «at >= 0» else", "True"): {
        "layer": "conv by channel same 4x5x17"
    },
    Fault(
        "filters of a channel not added up", DEPTHWISE, "to[i] += «come[i * multiplier + m]»", "0"
    ): {"layer": "conv by channel twice 4x5x3"},
    Fault("gradient to the first number", POOLING, "below = vlt(here, «largest»)", "here"): {
        "layer": "Max pool of three 6x7x9"
    },
    Fault(
        "gradient of the last window alone",
        POOLING,
        "given = «given + load_part(ragged, dx + column * p.channels, tail)»",
        "given",
    ): {"layer": "Max pool that overlaps 6x5x8"},
    Fault(
        "share of a mean not divided",
        POOLING,
        "share = without_traces(load_part(ragged, dy, tail) / «seen_count(seen)»)",
        "vset1(2)",
    ): {"layer": "Average pool same 5x4x3"},
    Fault("frame's left side", FRAMING, "(f.top * f.width + «f.left») * f.channels", "0"): {
        "layer": "zeros around images"
    },
    Fault("first of the pixels alone", FRAMING, "dy + i * line + «j * channels» + k", "0"): {
        "layer": "upsampled images"
    },
}

#: Likewise, of layers that change images in training.
CHANGES = {
    Fault(
        "shares of a pixel for its neighbour",
        WARPING,
        "channels + k] += «across.second_share» * (down.first_share",
        "across.first_share",
    ): lambda: layers.RandomRotation(0.3),
    Fault(
        "pixels of one line in the place of the next",
        WARPING,
        "below = dx + «down.second» * stride\n            for k",
        "down.first",
    ): lambda: layers.RandomRotation(0.3, "wrap"),
    Fault(
        "a line's share for the next", WARPING, "+ right[column] * («above» * near", "below[column]"
    ): lambda: layers.RandomRotation(0.3),
    Fault(
        "lines blended by the other's shares",
        WARPING,
        "blend(warp.blended, source, «down.first_share»,",
        "down.second_share",
    ): lambda: layers.RandomZoom(0.4),
    Fault(
        "a run from its own place",
        WARPING,
        "source + «from_run.first * channels», from_run",
        "begin * channels",
    ): lambda: layers.RandomTranslation(0.0, 0.5, "constant"),
    Fault(
        "the map of the next row",
        WARPING,
        "rule(&warp.map, op, «row»)\n            warp_row_back",
        "row + 1",
    ): layers.RandomFlip,
    Fault(
        "mean without a gradient",
        AUGMENTATION,
        "spread_means(means, dx, «<real>(1 - factor)», op)",
        "0",
    ): lambda: layers.RandomContrast(0.5, (-9, 9)),
    Fault(
        "gradient beyond the bounds",
        AUGMENTATION,
        "vselect(«vand(vlt(least, value), vlt(value, most))», load_first(dy",
        "veq(value, value)",
    ): lambda: layers.RandomBrightness(0.5, (-0.5, 0.5)),
    Fault(
        "gradient of what is erased",
        AUGMENTATION,
        "patch.first, 0, «(patch.end - patch.first) * sizeof(real)»)",
        "0",
    ): lambda: layers.RandomErasing((1, 1), 0.5, 0.0),
}
