"""Mistakes of shape that are easily made, each with what its message says to change."""

import re
import warnings

import numpy as np
import pytest

import fastweights as fw
from fastweights import layers

RANDOM = np.random.default_rng(0)


def reals(*shape):
    return RANDOM.standard_normal(shape).astype("float32")


def labels(rows, classes=10):
    return np.arange(rows) % classes


def network(*stack, shape=None, loss="sparse_categorical_crossentropy", metrics=()):
    model = fw.Sequential(list(stack), shape, seed=0)
    model.compile("sgd", loss, metrics=list(metrics))
    return model


def classifier(*stack, **settings):
    return network(*stack, layers.Dense(10, "softmax"), **settings)


def images(shape=None):
    return classifier(layers.Conv2D(4, 3), layers.Flatten(), shape=shape)


def grey():
    """Built for grey images."""
    return images((28, 28, 1))


def series(*stack, shape=None):
    return classifier(*stack, layers.Flatten(), shape=shape)


def recurrent(*stack, shape=None):
    return classifier(*stack, layers.LSTM(4), shape=shape)


def texts(*stack):
    return classifier(layers.Embedding(100, 4), *stack, layers.Flatten())


def language(loss="sparse_categorical_crossentropy"):
    stack = layers.Embedding(20, 4), layers.LSTM(4, return_sequences=True)
    return network(*stack, layers.Dense(20, "softmax"), loss=loss)


def picture(channels=1, padding="same"):
    """Makes images of images."""
    return network(layers.Conv2D(channels, 3, padding=padding), loss="mse")


def fit(model, x, y):
    return model.fit(x, y, verbose=0)


def fits(make, x, y=None):
    """A fit, with labels unless others are given."""
    return lambda: fit(make(), x, labels(len(x)) if y is None else y)


def predicts(make, x):
    return lambda: make().predict(x)


def one_hot(given, classes):
    return np.eye(classes, dtype="float32")[given]


IMAGES = reals(8, 8, 8, 3)
TOKENS = RANDOM.integers(0, 20, (8, 5))
LAST = "np.moveaxis(x, 1, -1)"
PERMUTE = "layers.Permute((2, 3, 1))"
ONE_EACH = "layers.Flatten() or layers.GlobalAveragePooling2D()"
STEPS_OF_ONE = "x[..., None] or layers.Reshape((50, 1)) makes steps of one feature"
ALL_STEPS = "return_sequences=True"
CHANNEL = "x[..., None] or layers.Reshape((28, 28, 1)) gives them a channel"

#: What is done, and what its message says.
MISTAKES = {
    # ---- images, as they come -------------------------------------------------------------------
    "channels first for a model of channels last": (
        predicts(lambda: images((32, 32, 3)), reals(2, 3, 32, 32)),
        "x: got shape (2, 3, 32, 32)",
        LAST,
    ),
    "grey images with their channel first": (
        fits(images, reals(8, 1, 28, 28)),
        "(1, 28, 28)",
        LAST,
        PERMUTE,
    ),
    "the same for a model that is built": (
        predicts(grey, reals(8, 1, 28, 28)),
        "(8, 1, 28, 28)",
        LAST,
    ),
    "grey images without channels": (fits(images, reals(8, 28, 28)), "input of Conv2D", CHANNEL),
    "likewise for a model that is built": (predicts(grey, reals(8, 28, 28)), "x[..., None]"),
    "one image without the axis of rows": (
        predicts(grey, reals(28, 28, 1)),
        "x[None] makes a batch",
    ),
    "one grey image without any": (predicts(grey, reals(28, 28)), "x[None, ..., None]"),
    "one image of PyTorch's": (
        predicts(lambda: images((28, 28, 3)), reals(3, 28, 28)),
        "np.moveaxis(x, 0, -1)[None]",
    ),
    "one image to train on": (fits(images, reals(28, 28, 3)), "x[None] makes a batch of one"),
    "flat images": (fits(images, reals(8, 784)), "layers.Reshape((height, width, channels))"),
    "flat images for a model that is built": (
        predicts(grey, reals(8, 784)),
        "x.reshape(-1, 28, 28, 1)",
    ),
    "images for a model of flat ones": (
        predicts(lambda: classifier(shape=784), reals(8, 28, 28)),
        "expected shape (rows, 784)",
        "x.reshape(-1, 784)",
    ),
    "images in colours for a grey model": (
        predicts(grey, reals(8, 28, 28, 3)),
        "x.mean(axis=-1, keepdims=True) makes them grey",
    ),
    "grey images for a model of colours": (
        predicts(lambda: images((28, 28, 3)), reals(8, 28, 28, 1)),
        "np.repeat(x, 3, axis=-1)",
    ),
    "images of another size": (
        predicts(grey, reals(8, 32, 32, 1)),
        "(rows, 28, 28, 1)",
        "cut, pad or resize",
    ),
    "images of several sizes": (
        fits(images, [reals(8, 8, 3), reals(9, 9, 3)]),
        "rows of unequal length",
        "cut or pad",
    ),
    "rows counted in a model's shape": (lambda: images((32, 28, 28, 1)), "without the rows"),
    "rows of unknown number in a shape": (
        lambda: fw.Input((None, 28, 28, 1)),
        "the shape of one row, without the rows",
    ),
    "images for a convolution of series": (
        fits(lambda: series(layers.Conv1D(4, 3)), reals(8, 28, 28, 1)),
        "rows of (steps, channels)",
        "Conv2D is for images",
    ),
    "images for a transposed convolution of series": (
        fits(lambda: series(layers.Conv1DTranspose(4, 3)), IMAGES),
        "Conv2DTranspose is for images",
    ),
    "series for a convolution of images": (fits(images, reals(8, 50, 3)), "Conv1D is for series"),
    "pooling of images without channels": (
        fits(lambda: classifier(layers.GlobalAveragePooling2D()), reals(8, 28, 28)),
        CHANNEL,
    ),
    "augmenting images without channels": (
        fits(lambda: series(layers.RandomFlip()), reals(8, 28, 28)),
        CHANNEL,
    ),
    # ---- windows --------------------------------------------------------------------------------
    "an image smaller than the kernel": (
        fits(images, reals(8, 2, 2, 3)),
        "(2, 2, 3) for a window of (3, 3)",
        "a smaller window or padding='same'",
    ),
    "an image that pools have left little of": (
        fits(
            lambda: classifier(
                layers.Conv2D(4, 3),
                layers.MaxPooling2D(),
                layers.Conv2D(4, 3),
                layers.MaxPooling2D(),
                layers.Flatten(),
            ),
            reals(8, 9, 9, 1),
        ),
        "input of MaxPooling2D",
        "fewer pools before it",
    ),
    "a series shorter than the window": (
        fits(lambda: series(layers.Conv1D(4, 7)), reals(8, 5, 2)),
        "(5, 2) for a window of (7,)",
        "padding='same'",
    ),
    "a series with channels first": (
        fits(lambda: series(layers.Conv1D(4, 7)), reals(8, 2, 50)),
        LAST,
        "layers.Permute((2, 1))",
    ),
    "cropping of all there is": (
        fits(lambda: series(layers.Cropping2D(5)), IMAGES),
        "cropping: got ((5, 5), (5, 5))",
        "less than there is",
    ),
    "padding misspelt": (
        lambda: layers.Conv2D(4, 3, padding="samee"),
        "padding: got 'samee'",
        "did you mean 'same'?",
    ),
    "causal misspelt": (lambda: layers.Conv1D(4, 3, padding="casual"), "did you mean 'causal'?"),
    "causal images": (lambda: layers.Conv2D(4, 3, padding="causal"), "one of valid, same"),
    "padding by a number": (
        lambda: layers.Conv2D(4, 3, padding=1),
        "padding: got 1",
        "layers.ZeroPadding1D or 2D",
    ),
    "channels_first": (
        lambda: layers.Conv2D(4, 3, data_format="channels_first"),
        "expected 'channels_last'",
        LAST,
        "layers.Permute",
    ),
    "channels_first of a pool": (
        lambda: layers.MaxPooling2D(2, data_format="channels_first"),
        LAST,
    ),
    "a kernel of no size": (lambda: layers.Conv2D(4, 0), "kernel_size: got 0, expected at least 1"),
    "a kernel of three sizes": (
        lambda: layers.Conv2D(4, (3, 3, 3)),
        "kernel_size: got (3, 3, 3)",
        "one number, or 2",
    ),
    "a kernel of two sizes for series": (lambda: layers.Conv1D(4, (3, 3)), "expected one number"),
    "no filters": (lambda: layers.Conv2D(0, 3), "filters: got 0, expected at least 1"),
    "no strides": (lambda: layers.Conv2D(4, 3, 0), "strides: got 0, expected at least 1"),
    "a pool of no size": (lambda: layers.MaxPooling2D(0), "pool_size: got 0"),
    "groups that do not divide the filters": (
        lambda: layers.Conv2D(4, 3, groups=3),
        "divides the 4 filters",
    ),
    "groups that do not divide the channels": (
        fits(lambda: series(layers.Conv2D(4, 3, groups=2)), IMAGES),
        "groups: got 2",
        "divides the 3 channels",
    ),
    "output_padding as large as the strides": (
        lambda: layers.Conv2DTranspose(4, 3, strides=2, output_padding=2),
        "output_padding: got (2, 2)",
        "less than",
    ),
    "a shortcut of other channels": (
        lambda: fw.Model(
            x := fw.Input((8, 8, 3)), layers.Add()([x, layers.Conv2D(4, 3, padding="same")(x)])
        ),
        "got shapes (8, 8, 3), (8, 8, 4)",
        "expected one shape",
    ),
    # ---- targets --------------------------------------------------------------------------------
    "no Flatten before labels": (
        fits(lambda: classifier(layers.Conv2D(4, 3)), IMAGES),
        "y: got shape (8,)",
        "rows of shape (6, 6, 10)",
        ONE_EACH,
    ),
    "no Flatten before one-hot rows": (
        fits(
            lambda: classifier(layers.Conv2D(4, 3), loss="categorical_crossentropy"),
            IMAGES,
            one_hot(labels(8), 10),
        ),
        "y: got shape (8, 10)",
        ONE_EACH,
    ),
    "no Flatten before numbers": (
        fits(
            lambda: network(layers.Conv2D(4, 3), layers.Dense(1), loss="mse"), IMAGES, reals(8, 1)
        ),
        "y: got shape (8, 1)",
        "rows of shape (6, 6, 1)",
        ONE_EACH,
    ),
    "dense on images": (
        fits(lambda: classifier(layers.Dense(32, "relu")), reals(8, 28, 28)),
        "rows of shape (28, 10)",
        "layers.Flatten()",
    ),
    "all steps where the last is meant": (
        fits(lambda: classifier(layers.LSTM(4, return_sequences=True)), reals(8, 5, 3)),
        "return_sequences=False",
    ),
    "labels that are no whole numbers": (
        fits(images, IMAGES, labels(8) + 0.5),
        "y: got 0.5 in row 0",
        "a loss such as mean_squared_error",
    ),
    "more labels than units": (
        fits(images, IMAGES, labels(8) + 3),
        "got 10 in row 7",
        "one for each unit of the last layer",
    ),
    "labels below 0": (fits(images, IMAGES, labels(8) - 1), "got -1 in row 0", "from 0 to 9"),
    "one-hot rows where labels are meant": (
        fits(images, IMAGES, one_hot(labels(8), 10)),
        "got shape (8, 10)",
        "the loss categorical_crossentropy",
    ),
    "labels where one-hot rows are meant": (
        fits(lambda: classifier(layers.Flatten(), loss="categorical_crossentropy"), IMAGES),
        "got shape (8,)",
        "the loss sparse_categorical_crossentropy",
    ),
    "one-hot rows of too few classes": (
        fits(
            lambda: classifier(layers.Flatten(), loss="categorical_crossentropy"),
            IMAGES,
            one_hot(labels(8, 9), 9),
        ),
        "got shape (8, 9), expected shape (rows, 10)",
        "as many units as there are classes",
    ),
    "one-hot steps where labels are meant": (
        fits(language, TOKENS, one_hot(TOKENS, 20)),
        "got shape (8, 5, 20)",
        "the loss categorical_crossentropy",
    ),
    "labels of steps where one-hot ones are meant": (
        fits(lambda: language("categorical_crossentropy"), TOKENS, TOKENS),
        "the loss sparse_categorical_crossentropy",
    ),
    "two units for one yes or no": (
        fits(
            lambda: network(
                layers.Flatten(), layers.Dense(2, "softmax"), loss="binary_crossentropy"
            ),
            IMAGES,
            labels(8, 2),
        ),
        "expected shape (rows, 2)",
        "one unit with sigmoid",
    ),
    "one unit for two classes": (
        fits(lambda: network(layers.Flatten(), layers.Dense(1, "sigmoid")), IMAGES, labels(8, 2)),
        "2 outputs or more",
        "binary_crossentropy",
    ),
    "fewer labels than images": (fits(images, IMAGES, labels(7)), "y: got 7 rows", "8"),
    "images to be without channels": (
        fits(picture, reals(8, 8, 8, 1), reals(8, 8, 8)),
        "y[..., None]",
    ),
    "images to be larger than what is made": (
        fits(lambda: picture(padding="valid"), reals(8, 8, 8, 1), reals(8, 8, 8, 1)),
        "(rows, 6, 6, 1)",
        "padding='same'",
    ),
    "grey images to be made in colours": (
        fits(lambda: picture(3), IMAGES, reals(8, 8, 8, 1)),
        "np.repeat(y, 3, axis=-1)",
    ),
    # ---- series and texts -----------------------------------------------------------------------
    "series without channels": (
        fits(lambda: series(layers.Conv1D(4, 3)), reals(8, 50)),
        "x[..., None] or layers.Reshape((50, 1))",
    ),
    "steps without features": (fits(recurrent, reals(8, 50)), "rows of shape (50,)", STEPS_OF_ONE),
    "steps without features, both ways": (
        fits(lambda: classifier(layers.Bidirectional(layers.GRU(3))), reals(8, 50)),
        STEPS_OF_ONE,
    ),
    "a layer that keeps one step before another": (
        fits(lambda: recurrent(layers.GRU(4)), reals(8, 5, 3)),
        ALL_STEPS,
    ),
    "images as steps": (
        fits(recurrent, IMAGES),
        "(8, 8, 3)",
        "layers.TimeDistributed(layers.Flatten())",
    ),
    "one series without the axis of rows": (
        predicts(lambda: recurrent(shape=(20, 3)), reals(20, 3)),
        "x[None] makes a batch of one row",
    ),
    "series of another length": (
        predicts(lambda: recurrent(shape=(20, 3)), reals(2, 30, 3)),
        "cut, pad or resize",
    ),
    "series of several lengths": (
        fits(texts, [[1, 2, 3], [1, 2]]),
        "rows of unequal length",
        "cut or pad them",
    ),
    "a token beyond the table": (
        fits(texts, np.full((8, 5), 100)),
        "x: got 100 at (0, 0)",
        "from 0 to 99",
        "input_dim of the Embedding",
    ),
    "a token below 0": (fits(texts, np.full((8, 5), -1)), "x: got -1 at (0, 0)", "from 0 to 99"),
    "tokens that are no whole numbers": (
        fits(texts, reals(8, 5)),
        "whole numbers from 0 to 99",
        "places in its table",
    ),
    "words instead of tokens": (
        fits(texts, np.array([["a", "b"]] * 8)),
        "the text 'a' at (0, 0)",
        "numbers names alike",
    ),
    "more steps than positions": (
        fits(lambda: texts(layers.PositionEmbedding(4)), TOKENS),
        "got 5 steps",
        "at most 4 places, the sequence_length",
    ),
    "attention to nothing": (
        lambda: layers.MultiHeadAttention(2, 4)(fw.Input((5, 8))),
        "the same tensor twice",
    ),
    "attention without steps": (
        lambda: layers.MultiHeadAttention(2, 4)(x := fw.Input((8,)), x),
        "got rows of shape (8,)",
        "rows of (steps, features)",
    ),
}


def test_there_are_at_least_40():
    assert len(MISTAKES) >= 40


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_s_message_says_what_to_change(name):
    make, *parts = MISTAKES[name]
    with pytest.raises((ValueError, TypeError)) as refused:
        make()
    message = str(refused.value)
    assert ": got " in message
    assert ", expected " in message
    for part in parts:
        assert part in message


def test_what_the_messages_say_is_what_helps():
    """Each of their remedies, on what they were about."""
    model, x = grey(), reals(2, 28, 28)
    for given in (
        x[..., None],
        x[0][None, ..., None],
        x[0][..., None][None],
        np.moveaxis(x[:, None], 1, -1),
        np.moveaxis(x[:1], 0, -1)[None],
        x.reshape(2, 784).reshape(-1, 28, 28, 1),
        reals(2, 28, 28, 3).mean(axis=-1, keepdims=True),
    ):
        assert model.predict(given).shape == (len(given), 10)
    turned = classifier(layers.Permute((2, 3, 1)), layers.Conv2D(4, 3), layers.Flatten())
    fit(turned, reals(8, 3, 32, 32), labels(8))
    stack = layers.TimeDistributed(layers.Flatten()), layers.LSTM(4, return_sequences=True)
    fit(recurrent(*stack), reals(8, 5, 4, 3), labels(8))
    fit(recurrent(layers.Reshape((50, 1))), reals(8, 50), labels(8))
    fit(language("categorical_crossentropy"), TOKENS, one_hot(TOKENS, 20))
    fit(language(), TOKENS, TOKENS)
    fit(language(), TOKENS, TOKENS[..., None])


@pytest.mark.parametrize("axes", [1, 2, 4])
@pytest.mark.parametrize(
    "make",
    [
        *(lambda n=n: getattr(layers, f"Conv{n}D")(2, 3) for n in (1, 2)),
        lambda: layers.MaxPooling2D(),
        lambda: layers.Resizing(3, 3),
        lambda: layers.CenterCrop(3, 3),
        lambda: layers.RandomCrop(3, 3),
        lambda: layers.RandomFlip(),
    ],
)
def test_layers_that_a_message_names_are_there_and_take_such_rows(make, axes):
    """Where it names another layer, this one takes the rows."""
    shape = (8, 7, 6, 5)[:axes]
    if axes == 2 and isinstance(make(), layers.Conv1D):
        return
    with pytest.raises(ValueError, match=r"input of \w+: got rows of shape \(8,") as caught:
        fw.Sequential([make()], input_shape=shape)
    named = set(re.findall(r"(\w+) is for|(TimeDistributed)", str(caught.value)))
    named = {one or other for one, other in named}
    for name in named:
        fw.Sequential([getattr(layers, name)(2, 3)], input_shape=shape)
    assert named == ({"Conv1D"} if axes == 2 and isinstance(make(), layers.Conv2D) else named)


def test_strides_and_dilation_may_both_be_above_1():
    made = layers.Conv2D(4, 3, strides=2, dilation_rate=2)(fw.Input((9, 9, 1)))
    assert made.shape == (None, 3, 3, 4)


def test_labels_of_an_output_of_one_line_are_of_any_usual_shape():
    for y in (labels(8), labels(8)[:, None]):
        fit(classifier(layers.GlobalAveragePooling1D(keepdims=True)), reals(8, 5, 3), y)
    one = classifier(layers.Reshape((1, 3)), shape=3)
    with pytest.raises(ValueError, match=r"y: got shape \(\), expected shape \(rows\)"):
        fit(one, reals(1, 3), 2)


# ---- what is no mistake for sure, and warned of --------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_images_whose_channels_seem_to_come_first_are_warned_of(channels):
    model = classifier(layers.Conv2D(4, 3, padding="same"), layers.Flatten())
    with pytest.warns(UserWarning, match=r"32 channels for 'conv2d'.*np.moveaxis\(x, 1, -1\)"):
        fit(model, reals(4, channels, 32, 32), labels(4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for shape in [(32, 32, channels), (3, 32, 5), (5, 32, 32)]:
            images(shape)
        # Of what other layers made one knows what it is.
        classifier(
            layers.Permute((3, 1, 2)), layers.Conv2D(4, 3, padding="same"), shape=(32, 32, 3)
        )


PIXELS = RANDOM.integers(0, 256, (8, 8, 8, 3), np.uint8)


@pytest.mark.parametrize("make", [lambda: layers.Conv2D(4, 3), lambda: layers.Dense(4)])
def test_bytes_that_weights_meet_as_they_are_are_warned_of(make):
    with pytest.warns(UserWarning, match=r"bytes up to 255 come to '.*layers.Rescaling\(1 / 255\)"):
        fit(classifier(layers.Reshape((8, 8, 3)), make(), layers.Flatten()), PIXELS, labels(8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(classifier(layers.Rescaling(1 / 255), make(), layers.Flatten()), PIXELS, labels(8))
        fit(classifier(layers.BatchNormalization(), make(), layers.Flatten()), PIXELS, labels(8))
        fit(classifier(make(), layers.Flatten()), PIXELS % 2, labels(8))
        fit(classifier(layers.Embedding(256, 2), layers.Flatten()), PIXELS[:, 0, :, 0], labels(8))


def test_images_of_whole_numbers_are_like_bytes_whatever_their_kind():
    with pytest.warns(UserWarning, match="bytes up to 255 come to 'conv2d' as they are") as warned:
        images().fit(PIXELS.astype(np.float32), labels(8), verbose=0)
    assert warned[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for other in (PIXELS / 255, PIXELS % 100 * 1.0, PIXELS - 128.0, PIXELS + 0.5, PIXELS * 2.0):
            fit(images(), other.astype(np.float32), labels(8))


@pytest.mark.parametrize(
    "make",
    [
        lambda **more: layers.RandomBrightness(0.2, **more),
        lambda **more: layers.RandomContrast(0.2, **more),
        lambda **more: layers.RandomErasing(**more),
    ],
)
def test_layers_for_bytes_on_other_pixels_are_warned_of(make):
    def around(*before, **more):
        return classifier(*before, make(**more), layers.Rescaling(0.1), layers.Flatten())

    def to_one():
        return layers.Rescaling(1 / 255)

    message = r"pixels from 0 to 1 come to 'random_.*, which is for .* 255; value_range=\(0, 1\)"
    model = around(to_one(), layers.RandomFlip())
    with pytest.warns(UserWarning, match=message) as warned:
        model.fit(PIXELS, labels(8), verbose=0)
    assert warned[0].filename == __file__
    with pytest.warns(UserWarning, match=r"from -1 to 1 come to .*value_range=\(-1, 1\)"):
        fit(around(layers.Rescaling(1 / 127.5, -1)), PIXELS, labels(8))
    with pytest.warns(UserWarning, match=message):
        fit(around(), (PIXELS / 255).astype(np.float32), labels(8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(around(), PIXELS, labels(8))
        fit(around(to_one()), 255.0 * PIXELS, labels(8))
        fit(around(to_one(), value_range=(0, 1)), PIXELS, labels(8))
        fit(around(layers.Normalization(mean=[0] * 3, variance=[9] * 3)), PIXELS, labels(8))
