"""Trains the draft on the target's soft labels.

    python distil.py --work WORK --recipe cpu

Contexts are training rows; a share of the steps uses replies that the target wrote itself. The loss is
the cross-entropy against the target's distribution at temperature 1. Resumes like train.py."""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

from configs import RECIPES, Recipe
from model import Llama
from optim import make_optimizers
from train import Batches, Run, train
from weights import load_checkpoint

PREFIX, REPLY = 96, 64  # tokens of context and of the target's own reply
OWN_EVERY = 8  # one step in this many uses the target's own replies


def reply_starts(ids: torch.Tensor, masks: torch.Tensor, header: list[int]) -> list[tuple[int, int]]:
    """(row, column) of the first token of each reply that has PREFIX tokens before it."""
    size = len(header)
    found = []
    for row, column in masks[:, PREFIX:].diff(dim=1).eq(1).nonzero().tolist():
        start = column + PREFIX + 1
        if ids[row, start - size : start].tolist() == header:
            found.append((row, start))
    return found


@torch.no_grad()
def write_replies(target: Llama, contexts: torch.Tensor, stop: int) -> tuple[torch.Tensor, torch.Tensor]:
    """contexts: [rows, PREFIX]. Returns ids and masks [rows, PREFIX + REPLY] with sampled replies."""
    tokens, caches = contexts, None
    columns, alive = [], torch.ones(len(contexts), dtype=torch.bool, device=contexts.device)
    learnt = [torch.zeros_like(contexts, dtype=torch.uint8)]
    for _ in range(REPLY):
        logits, caches = target.step(tokens, caches)
        tokens = torch.multinomial(torch.softmax(logits.float() / 0.7, dim=-1), 1)
        columns.append(tokens)
        learnt.append(alive[:, None].to(torch.uint8))
        alive = alive & (tokens[:, 0] != stop)
    return torch.cat([contexts, *columns], dim=1), torch.cat(learnt, dim=1)


def own_replies(work: Path, target: Llama, batches: Batches, num_rows: int, batch: int = 128):
    """Rows that end in the target's own replies, kept in WORK/own_replies.pt."""
    path = work / "own_replies.pt"
    if path.exists():
        return torch.load(path, weights_only=True)
    torch.manual_seed(0)
    tokenizer = Tokenizer.from_file(str(work / "tokenizer.json"))
    header, stop = tokenizer.encode("<|im_start|>assistant\n").ids, tokenizer.token_to_id("<|im_end|>")
    contexts, step = [], 0
    while len(contexts) < num_rows:
        ids, masks = batches(step)
        contexts += [ids[r, c - PREFIX : c] for r, c in reply_starts(ids, masks, header)]
        step += 1
    device = target.embed_tokens.weight.device
    parts = []
    for start in range(0, num_rows, batch):
        part = torch.stack(contexts[start : start + batch]).to(device)
        parts.append([t.cpu() for t in write_replies(target, part, stop)])
    rows = tuple(torch.cat(column) for column in zip(*parts))
    torch.save(rows, path)
    return rows


class DraftRun(Run):
    """Run, with the target's distribution in place of the next token."""

    def __init__(self, work: Path, recipe: Recipe, device: str, target: Llama, own_rows: int):
        super().__init__(work, "draft", recipe, device, kind="draft")
        self.target = target
        self.own = own_replies(work, target, self.batches, own_rows)

    def rows(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        if step % OWN_EVERY or step == 0:
            return self.batches(step)
        size = self.schedule.batch_tokens // (PREFIX + REPLY)
        chosen = np.random.default_rng(step).choice(len(self.own[0]), min(size, len(self.own[0])), False)
        return self.own[0][chosen], self.own[1][chosen]

    def loss(self, ids: torch.Tensor, masks: torch.Tensor, generator) -> tuple[torch.Tensor, torch.Tensor]:
        learnt = masks[:, 1:].reshape(-1).nonzero().squeeze(1)
        flat = lambda hidden: hidden.reshape(-1, hidden.shape[-1])[learnt]
        inputs = ids[:, :-1].contiguous()
        with torch.no_grad():
            wanted = self.target.logits(flat(self.target.hidden_states(inputs)[0])).float().softmax(-1)
        logits = self.model.logits(flat(self.model.hidden_states(inputs)[0])).float()
        return F.cross_entropy(logits, wanted), torch.zeros(())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--recipe", choices=RECIPES, default="cpu")
    parser.add_argument("--target", default="target", help="the checkpoint of WORK to learn from")
    parser.add_argument("--own-rows", type=int, default=2048, help="replies that the target writes itself")
    parser.add_argument("--stable-steps", type=int, help="instead of the recipe's")
    parser.add_argument("--decay-steps", type=int, help="instead of the recipe's")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    recipe = RECIPES[arguments.recipe]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    target = load_checkpoint(arguments.work / f"{arguments.target}.pt", recipe.target).to(device)
    run = DraftRun(arguments.work, recipe, device, target, arguments.own_rows)
    if run.path.exists():
        run.load(run.path)
    run.schedule = replace(
        run.schedule,
        stable_steps=arguments.stable_steps or run.schedule.stable_steps,
        decay_steps=arguments.decay_steps or run.schedule.decay_steps,
    )
    stable = run.schedule.stable_steps
    train(run, stable + run.schedule.decay_steps, stable, keep_every=0)


if __name__ == "__main__":
    main()
