"""Trains the byte-level BPE tokenizer on a sample of the training data.

python train_tokenizer.py --books BOOKS.tar.gz --work WORK
"""

import argparse
import random
import re
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from books import mine_phrases, read_paragraphs, split_held_out
from chat_format import MARKER_TOKENS, SPECIAL_TOKENS, render
from configs import VOCAB_SIZE
from world.dialogue import World
from world.stories import chapters

# The pattern that GGUF calls "llama-bpe".
LLAMA_BPE = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_MARKERS = re.compile("|".join(map(re.escape, SPECIAL_TOKENS + MARKER_TOKENS)))


def sample_texts(books: Path, seed: int, num_dialogues: int) -> list[str]:
    rng = random.Random(seed)
    paragraphs, _ = split_held_out(read_paragraphs(books, seed=0))
    world = World(mine_phrases(paragraphs, limit=6000))
    texts = paragraphs[: num_dialogues // 16]
    texts += [chapters(rng, 2) for _ in range(num_dialogues // 40)]
    for _ in range(num_dialogues):
        dialogue = world.dialogue(rng)
        texts += _MARKERS.split(render(dialogue.messages, dialogue.tools))
    return texts


def train(texts: list[str]) -> Tokenizer:
    """Digits stay single tokens: training splits them, so that no merge of two digits exists."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    split = pre_tokenizers.Split(Regex(LLAMA_BPE), behavior="isolated")
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    digits = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, digits, to_bytes])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE - len(SPECIAL_TOKENS + MARKER_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, to_bytes])
    tokenizer.add_special_tokens([AddedToken(t, special=True) for t in SPECIAL_TOKENS])
    tokenizer.add_tokens([AddedToken(t, special=False, normalized=False) for t in MARKER_TOKENS])
    return tokenizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--books", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dialogues", type=int, default=12000)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    texts = sample_texts(arguments.books, arguments.seed, arguments.dialogues)
    tokenizer = train(texts)
    assert tokenizer.get_vocab_size() == VOCAB_SIZE, tokenizer.get_vocab_size()
    tokenizer.save(str(arguments.work / "tokenizer.json"))
    characters = sum(map(len, texts[:20000]))
    tokens = sum(len(e.ids) for e in tokenizer.encode_batch(texts[:20000]))
    print(f"{VOCAB_SIZE} tokens, {characters / tokens:.2f} characters per token")


if __name__ == "__main__":
    main()
