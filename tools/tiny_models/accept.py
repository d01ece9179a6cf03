"""Greedy acceptance: how often a cheap model's next token equals the target's.

    python accept.py --target FOLDER --draft DRAFT.gguf --questions questions.jsonl

The target writes each reply greedily; the draft, and the target's early exit, guess every token of it."""

import argparse
import json
from pathlib import Path

import torch
from tokenizers import Tokenizer

from chat_format import render
from generate import generate
from weights import load_model


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--target", type=Path, required=True)
    parser.add_argument("--draft", type=Path, help="without it only the early exit is measured")
    parser.add_argument("--questions", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=200)
    arguments = parser.parse_args()
    target = load_model(arguments.target)
    draft = load_model(arguments.draft) if arguments.draft else None
    tokenizer = Tokenizer.from_file(str(arguments.target / "tokenizer.json"))
    end = tokenizer.token_to_id("<|im_end|>")
    asked = same_draft = same_early = 0
    for line in arguments.questions.read_text().splitlines()[: arguments.limit]:
        question = json.loads(line)
        prompt = render(question["messages"], question.get("tools"), add_generation_prompt=True)
        ids = tokenizer.encode(prompt).ids
        reply = generate(target, ids, {end}, max_tokens=160) + [end]
        tokens, first = torch.tensor([ids + reply[:-1]]), len(ids) - 1
        wanted = torch.tensor(reply)
        early = target.logits(target.hidden_states(tokens)[1])[0, first:].argmax(-1)
        asked += len(reply)
        if draft:
            guess = draft.logits(draft.hidden_states(tokens)[0])[0, first:].argmax(-1)
            same_draft += int((guess == wanted).sum())
        same_early += int((early == wanted).sum())
    drafted = f"draft {same_draft / asked:.1%}, " if draft else ""
    print(f"{asked} tokens: {drafted}early exit {same_early / asked:.1%}")


if __name__ == "__main__":
    main()
