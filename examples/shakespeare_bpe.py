"""A small transformer that writes like Shakespeare, by tokens of several characters.

Learns which bytes go together (byte-pair encoding, of the library tokenizers: ``pip install
"fastweights[tokenizers]"``), then a language model of such tokens whose first and last layer are
one table; saves both, loads them, and lets them write. Takes some minutes on two cores and should
print a loss of about 1.6 nats for each character of the last tenth, which is unseen.
"""

import tempfile
from pathlib import Path

import numpy as np
from cosine import CosineDecay
from shakespeare import block, windows
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

import fastweights as fw
from fastweights import layers, losses, optimizers

PLACES, WIDTH, BLOCKS, TOKENS = 64, 96, 3, 512
EPOCHS = 4


def trained_tokenizer(text: str) -> Tokenizer:
    """Of the byte pairs that are most often next to each other."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=TOKENS, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(text.splitlines(keepends=True), trainer)
    return tokenizer


def language_model(tokens: int, seed: int) -> fw.Model:
    """Reads tokens, and tells of each place how likely each is to come next."""
    x = fw.Input(PLACES)
    table = layers.ReversibleEmbedding(tokens, WIDTH)
    value = table(x)
    value = layers.Add()([value, layers.PositionEmbedding(PLACES)(value)])
    for _ in range(BLOCKS):
        value = block(value)
    return fw.Model(x, table(layers.LayerNormalization()(value), reverse=True), seed=seed)


def train(seed: int = 0, epochs: int = EPOCHS) -> tuple[fw.Model, Tokenizer, float]:
    """Model and tokenizer, and the loss of the last tenth in nats a character."""
    text = (Path(__file__).parent / "data" / "shakespeare.txt").read_text(encoding="ascii")
    seen, unseen = text[: len(text) * 9 // 10], text[len(text) * 9 // 10 :]
    tokenizer = trained_tokenizer(seen)

    model = language_model(tokenizer.get_vocab_size(), seed)
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizers.Adam(0.003, beta_2=0.99), loss)
    x, y = windows(np.array(tokenizer.encode(seen).ids, np.int32), PLACES // 2, PLACES)
    model.fit(x, y, 32, epochs, verbose=2, callbacks=[CosineDecay(0.003, epochs)])
    numbers = np.array(tokenizer.encode(unseen).ids, np.int32)
    x, y = windows(numbers, PLACES, PLACES)
    nats = model.evaluate(x, y, return_dict=True)["loss"]
    return model, tokenizer, nats * len(numbers) / len(unseen)


def main() -> None:
    model, tokenizer, loss = train()
    print(f"{model.count_params():,} parameters; the unseen tenth: {loss:.3f} nats a character\n")
    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/model.safetensors")
        tokenizer.save(f"{folder}/tokenizer.json")
        model = fw.load(f"{folder}/model.safetensors")
        tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
    settings = {"temperature": 0.8, "top_p": 0.95, "seed": 1, "tokenizer": tokenizer}
    print("HAMLET.\n", end="")
    for piece in fw.generate_steps(model, "HAMLET.\n", 250, **settings):
        print(piece, end="", flush=True)
    print()


if __name__ == "__main__":
    main()
