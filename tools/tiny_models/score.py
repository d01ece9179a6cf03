"""Scores a model on the held-out questions and measures perplexity on the held-out text.

    python score.py MODEL --tokenizer tokenizer.json --questions questions.jsonl --text heldout.txt

judge.py has the rules."""

import argparse
import json
from collections import defaultdict
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

from configs import RECIPES
from generate import Chat
from judge import is_right
from model import Llama
from progress import Progress
from weights import load_model


def score_questions(chat: Chat, questions: list[dict]) -> tuple[float, dict, list[str]]:
    """(share right, {family: [right, asked]}, lines about the wrong ones)."""
    by_family, wrong = defaultdict(lambda: [0, 0]), []
    progress = Progress("questions", len(questions))
    for index, question in enumerate(questions, 1):
        reply = chat.reply(question["messages"], question.get("tools"), max_tokens=160)
        right = is_right(reply, question["match"], question["answer"])
        by_family[question["family"]][0] += right
        by_family[question["family"]][1] += 1
        if not right:
            asked = question["messages"][-1]["content"]
            wrong.append(f"{question['family']}: {asked!r} -> {reply!r}, expected {question['answer']!r}")
        if index % 50 == 0:
            progress.advance(steps=50)
    right = sum(r for r, _ in by_family.values())
    return right / len(questions), dict(by_family), wrong


@torch.no_grad()
def perplexity(model: Llama, ids: list[int], window: int = 512) -> float:
    """Over consecutive windows, each starting anew; the first token of a window is not predicted."""
    total, count = 0.0, 0
    for start in range(0, len(ids) - 1, window):
        part = torch.tensor([ids[start : start + window + 1]])
        if part.shape[1] < 2:
            break
        logits = model.logits(model.hidden_states(part[:, :-1])[0])[0].float()
        total += F.cross_entropy(logits, part[0, 1:], reduction="sum").item()
        count += part.shape[1] - 1
    return float(torch.tensor(total / count).exp())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--questions", type=Path)
    parser.add_argument("--text", type=Path)
    parser.add_argument("--recipe", choices=RECIPES, default="cpu")
    parser.add_argument("--kind", choices=["target", "draft"], default="target")
    arguments = parser.parse_args()
    model = load_model(arguments.model, getattr(RECIPES[arguments.recipe], arguments.kind))
    tokenizer = Tokenizer.from_file(str(arguments.tokenizer))
    if arguments.text:
        ids = tokenizer.encode(arguments.text.read_text()).ids
        print(f"perplexity {perplexity(model, ids):.3f} over {len(ids)} tokens")
    if arguments.questions:
        questions = [json.loads(line) for line in arguments.questions.read_text().splitlines()]
        share, by_family, wrong = score_questions(Chat(model, tokenizer), questions)
        print("\n".join(wrong))
        print(" ".join(f"{family} {right}/{asked}" for family, (right, asked) in sorted(by_family.items())))
        print(f"right: {share:.1%} of {len(questions)}")


if __name__ == "__main__":
    main()
