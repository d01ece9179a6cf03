"""Writes packed training shards, the validation set and the held-out questions.

    python data.py --books BOOKS.tar.gz --work WORK --shards 0:16

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
from world.drills import sheet
from world.grammar import Sample
from world.stories import chapters

QUESTIONS = Path(__file__).resolve().parents[2] / "tests/golden/tiny_models/questions.jsonl"
SHORT, LONG = 320, 2048
DEVELOPMENT_SAMPLES = 10  # of each family
SHARD_TOKENS = 1_000_000
LONG_SHARE = 0.1
BOOK_SHARE = 0.01  # of the documents of short rows
STORY_SHARE = 0.01
DRILL_SHARE = 0.12  # sheets of exercises
WITHOUT_THINKING_SHARE = 0.03
ALL_TOKENS_SHARE = 0.05  # dialogues in which the user's tokens count as well


class Documents:
    """Draws documents as (token ids, mask)."""

    def __init__(self, tokenizer: Tokenizer, world, paragraphs: list[str], seed: int, excluded=frozenset()):
        """excluded: dialogues with one of these user messages, in lower case, are drawn again."""
        self._rng, self._excluded = random.Random(seed), excluded
        self._tokenizer, self._world, self._paragraphs = tokenizer, world, paragraphs
        self._masker = Masker(tokenizer)
        self.end = tokenizer.token_to_id("<|endoftext|>")

    def _finish(self, ids: list[int], mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.array(ids + [self.end], dtype=np.uint16), np.append(mask, 1).astype(np.uint8)

    def plain(self, text: str):
        ids = self._tokenizer.encode(text).ids
        return self._finish(ids, np.ones(len(ids)))

    def drill(self):
        rows = sheet(self._rng)
        text, spans = "", []
        for given, learnt in rows:
            text += f" {given}"
            spans.append((len(text), len(text) + len(learnt)))
            text += f"{learnt};"
        encoding = self._tokenizer.encode(text)
        mask = [any(first <= begin < end for first, end in spans) for begin, _ in encoding.offsets]
        ids, mask = self._finish(encoding.ids, np.array(mask))
        mask[-1] = 0
        return ids, mask

    def dialogue(self, max_exchanges: int = 4):
        sample = self._world.dialogue(self._rng, max_exchanges)
        while any(m["role"] == "user" and m["content"].lower() in self._excluded for m in sample.messages):
            sample = self._world.dialogue(self._rng, max_exchanges)
        return self.encode(sample, self._rng.random() < WITHOUT_THINKING_SHARE, self._rng.random() < ALL_TOKENS_SHARE)

    def encode(self, sample: Sample, without_thinking: bool = False, all_tokens: bool = False):
        text = (render_without_thinking if without_thinking else render)(sample.messages, sample.tools)
        ids = self._tokenizer.encode(text).ids
        mask = self._masker(ids, learnt_turns(sample.messages))
        if all_tokens and all(learnt_turns(sample.messages)):
            mask[:] = 1
        return self._finish(ids, mask)

    def short(self):
        roll = self._rng.random()
        if roll < BOOK_SHARE:
            return self.plain(self._rng.choice(self._paragraphs))
        if roll < BOOK_SHARE + STORY_SHARE:
            return self.plain(chapters(self._rng, 1).split("\n\n", 2)[2])
        if roll < BOOK_SHARE + STORY_SHARE + DRILL_SHARE:
            return self.drill()
        while len((dialogue := self.dialogue())[0]) > SHORT:
            pass
        return dialogue

    def long(self):
        roll = self._rng.random()
        if roll < 0.2:
            return self.plain(chapters(self._rng, self._rng.randint(8, 14)))
        if roll < 0.3:
            start = self._rng.randrange(len(self._paragraphs) - 10)
            return self.plain("\n\n".join(self._paragraphs[start : start + 10]))
        return self.dialogue(max_exchanges=24)


def pack(draw, row_length: int, num_tokens: int, end: int, waiting: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Rows [num_rows, row_length + 1] of ids and masks; the target of column i is column i + 1.

    Every document is whole, unless it is longer than a row; what stays free is filled with end tokens."""
    num_rows = max(1, num_tokens // row_length)
    ids = np.full((num_rows, row_length + 1), end, dtype=np.uint16)
    masks = np.zeros((num_rows, row_length + 1), dtype=np.uint8)
    pending: list[tuple[np.ndarray, np.ndarray]] = []
    for row in range(num_rows):
        filled, chosen = 0, 0
        while chosen is not None:
            pending += [draw() for _ in range(waiting - len(pending))]
            document, mask = pending.pop(chosen)
            size = min(len(document), row_length + 1 - filled)
            ids[row, filled : filled + size] = document[:size]
            masks[row, filled : filled + size] = mask[:size]
            filled += size
            sizes = [len(d) if len(d) <= row_length + 1 - filled else 0 for d, _ in pending]
            chosen = max(range(len(sizes)), key=sizes.__getitem__) if max(sizes) else None
    return ids, masks


def write_shard(path: Path, documents: Documents, num_tokens: int) -> None:
    short_ids, short_masks = pack(documents.short, SHORT, int(num_tokens * (1 - LONG_SHARE)), documents.end)
    long_ids, long_masks = pack(documents.long, LONG, int(num_tokens * LONG_SHARE), documents.end, waiting=4)
    np.savez(path, short_ids=short_ids, short_masks=short_masks, long_ids=long_ids, long_masks=long_masks)


def held_out_text(world: World, held_paragraphs: list[str], seed: int) -> str:
    """Plain text for perplexity: book paragraphs and stories, none of them trained on."""
    rng = random.Random(seed)
    parts = []
    for paragraph in held_paragraphs[:60]:
        parts += [paragraph, chapters(rng, 1).split("\n\n", 2)[2]]
    return "\n\n".join(parts) + "\n"


def write_evaluation(
    work: Path, world: World, tokenizer: Tokenizer, held_paragraphs: list[str], fixed: Path
) -> frozenset[str]:
    """Validation dialogues, 200 scored questions, and a held-out text. fixed: the questions of earlier models, which
    stay the scored ones when the grammar changes; drawn anew only where that file is missing.

    Returns the questions, in lower case, that stand alone: those that need no earlier message."""
    if fixed.exists():
        questions = [json.loads(line) for line in fixed.read_text().splitlines()]
    else:
        questions = held_out_questions(world, count=200, seed=12345)
    with open(work / "questions.jsonl", "w") as file:
        file.writelines(json.dumps(q) + "\n" for q in questions)
    (work / "heldout.txt").write_text(held_out_text(world, held_paragraphs, seed=54321))
    asked = frozenset(q["messages"][0]["content"].lower() for q in questions if len(q["messages"]) == 1)
    write_development(work / "validation.npz", world, Documents(tokenizer, world, held_paragraphs, 99), asked)
    return asked


def write_development(path: Path, world: World, documents: Documents, asked: frozenset[str]) -> None:
    """Held-out samples of every family, one a row, other ones than the scored questions: they steer the training."""
    rng, rows = random.Random(99), []
    for index in range(world.num_families + 1):
        for _ in range(DEVELOPMENT_SAMPLES if index < world.num_families else 2 * DEVELOPMENT_SAMPLES):
            sample = world.draw_family(index, rng) or world.draw_tool(rng, held_out=True)
            ids, mask = documents.encode(sample)
            if sample.messages[-2]["content"].lower() not in asked and len(ids) <= SHORT:
                rows.append((sample.family, ids, mask))
    ids = np.full((len(rows), SHORT + 1), documents.end, dtype=np.uint16)
    masks = np.zeros(ids.shape, dtype=np.uint8)
    for row, (_, document, mask) in enumerate(rows):
        ids[row, : len(document)], masks[row, : len(document)] = document, mask
        masks[row, len(document) - 1] = 0
    np.savez(path, ids=ids, masks=masks, end=documents.end, families=np.array([family for family, _, _ in rows]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--books", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--questions", type=Path, default=QUESTIONS, help="scored questions that exist already")
    parser.add_argument("--shards", default="0:1", help="first:end of the shard numbers to write")
    parser.add_argument("--factors", default="", help="family=factor,... on the training weights of these shards")
    parser.add_argument("--shard-tokens", type=int, default=SHARD_TOKENS)
    arguments = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(arguments.work / "tokenizer.json"))
    paragraphs, held = split_held_out(read_paragraphs(arguments.books, seed=0))
    factors = dict(pair.split("=") for pair in arguments.factors.split(",") if pair)
    world = World(mine_phrases(paragraphs, limit=6000), {name: float(factor) for name, factor in factors.items()})
    excluded = write_evaluation(arguments.work, world, tokenizer, held, arguments.questions)
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
