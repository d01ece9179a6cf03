"""Writes packed training shards, the validation set and the held-out questions.

    python data.py --books BOOKS.tar.gz --work WORK --shards 0:16

Every row starts with a whole document, as a chat does; documents that do not fit are cut at the row's end.
A mask says which tokens count in the loss: all of plain text, the assistant's share of dialogues."""

import argparse
import json
import random
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from books import mine_phrases, read_paragraphs, split_held_out
from chat_format import Masker, learnt_turns, render, render_without_thinking
from progress import Progress
from questions import held_out_questions
from world.dialogue import World
from world.stories import chapters

SHORT, LONG = 512, 2048
SHARD_TOKENS = 1_000_000
LONG_SHARE = 0.12
BOOK_SHARE = 0.03  # of the tokens
STORY_SHARE = 0.04
WITHOUT_THINKING_SHARE = 0.07
ALL_TOKENS_SHARE = 0.08  # dialogues in which the user's tokens count as well


class Documents:
    """Draws documents as (token ids, mask)."""

    def __init__(self, tokenizer: Tokenizer, world, paragraphs: list[str], seed: int, excluded=frozenset()):
        """excluded: dialogues with one of these user messages, in lower case, are drawn again."""
        self._rng, self._excluded = random.Random(seed), excluded
        self._tokenizer, self._world, self._paragraphs = tokenizer, world, paragraphs
        self._masker = Masker(tokenizer)
        self._end = tokenizer.token_to_id("<|endoftext|>")

    def _finish(self, ids: list[int], mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.array(ids + [self._end], dtype=np.uint16), np.append(mask, 1).astype(np.uint8)

    def plain(self, text: str):
        ids = self._tokenizer.encode(text).ids
        return self._finish(ids, np.ones(len(ids)))

    def dialogue(self, max_exchanges: int = 4):
        sample = self._world.dialogue(self._rng, max_exchanges)
        while any(m["role"] == "user" and m["content"].lower() in self._excluded for m in sample.messages):
            sample = self._world.dialogue(self._rng, max_exchanges)
        if self._rng.random() < WITHOUT_THINKING_SHARE:
            text = render_without_thinking(sample.messages, sample.tools)
        else:
            text = render(sample.messages, sample.tools)
        ids = self._tokenizer.encode(text).ids
        mask = self._masker(ids, learnt_turns(sample.messages))
        if self._rng.random() < ALL_TOKENS_SHARE and all(learnt_turns(sample.messages)):
            mask[:] = 1
        return self._finish(ids, mask)

    def short(self):
        roll = self._rng.random()
        if roll < BOOK_SHARE * 0.6:  # a paragraph is longer than the average dialogue
            return self.plain(self._rng.choice(self._paragraphs))
        if roll < (BOOK_SHARE + STORY_SHARE) * 0.6:
            return self.plain(chapters(self._rng, 1).split("\n\n", 2)[2])
        return self.dialogue()

    def long(self):
        roll = self._rng.random()
        if roll < 0.2:
            return self.plain(chapters(self._rng, self._rng.randint(8, 14)))
        if roll < 0.3:
            start = self._rng.randrange(len(self._paragraphs) - 10)
            return self.plain("\n\n".join(self._paragraphs[start : start + 10]))
        return self.dialogue(max_exchanges=24)


def pack(draw, row_length: int, num_tokens: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows [num_rows, row_length + 1] of ids and masks; the target of column i is column i + 1."""
    num_rows = max(1, num_tokens // row_length)
    ids = np.zeros((num_rows, row_length + 1), dtype=np.uint16)
    masks = np.zeros((num_rows, row_length + 1), dtype=np.uint8)
    for row in range(num_rows):
        filled = 0
        while filled <= row_length:
            document, mask = draw()
            size = min(len(document), row_length + 1 - filled)
            ids[row, filled : filled + size] = document[:size]
            masks[row, filled : filled + size] = mask[:size]
            filled += size
    return ids, masks


def write_shard(path: Path, documents: Documents, num_tokens: int) -> None:
    short_ids, short_masks = pack(documents.short, SHORT, int(num_tokens * (1 - LONG_SHARE)))
    long_ids, long_masks = pack(documents.long, LONG, int(num_tokens * LONG_SHARE))
    np.savez(path, short_ids=short_ids, short_masks=short_masks, long_ids=long_ids, long_masks=long_masks)


def held_out_text(world: World, held_paragraphs: list[str], seed: int) -> str:
    """Plain text for perplexity: book paragraphs and stories, none of them trained on."""
    rng = random.Random(seed)
    parts = []
    for paragraph in held_paragraphs[:60]:
        parts += [paragraph, chapters(rng, 1).split("\n\n", 2)[2]]
    return "\n\n".join(parts) + "\n"


def write_evaluation(
    work: Path, world: World, tokenizer: Tokenizer, held_paragraphs: list[str]
) -> frozenset[str]:
    """Validation dialogues, 200 scored questions, and a held-out text.

    Returns the questions, in lower case, that stand alone: those that need no earlier message."""
    questions = held_out_questions(world, count=200, seed=12345)
    with open(work / "questions.jsonl", "w") as file:
        file.writelines(json.dumps(q) + "\n" for q in questions)
    (work / "heldout.txt").write_text(held_out_text(world, held_paragraphs, seed=54321))
    rng = random.Random(99)
    held_world = Documents(tokenizer, HeldOutWorld(world), held_paragraphs, seed=rng.randrange(2**31))
    ids, masks = pack(held_world.short, SHORT, 24 * SHORT)
    np.savez(work / "validation.npz", short_ids=ids, short_masks=masks)
    return frozenset(q["messages"][0]["content"].lower() for q in questions if len(q["messages"]) == 1)


class HeldOutWorld:
    """The same dialogues from the other side of the split."""

    def __init__(self, world: World):
        self._world = world

    def dialogue(self, rng: random.Random, max_exchanges: int = 4):
        if rng.random() < 0.1:
            return self._world.draw_tool(rng, held_out=True)
        return self._world.draw(rng, held_out=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--books", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--shards", default="0:1", help="first:end of the shard numbers to write")
    parser.add_argument("--shard-tokens", type=int, default=SHARD_TOKENS)
    arguments = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(arguments.work / "tokenizer.json"))
    paragraphs, held = split_held_out(read_paragraphs(arguments.books, seed=0))
    world = World(mine_phrases(paragraphs, limit=6000))
    excluded = write_evaluation(arguments.work, world, tokenizer, held)
    first, end = map(int, arguments.shards.split(":"))
    progress = Progress("shards", end - first)
    for number in range(first, end):
        path = arguments.work / f"shard_{number:03d}.npz"
        if not path.exists():
            documents = Documents(tokenizer, world, paragraphs, 1000 + number, excluded)
            partial = path.with_suffix(".tmp.npz")
            write_shard(partial, documents, arguments.shard_tokens)
            partial.rename(path)
        progress.advance(path.name)


if __name__ == "__main__":
    main()
