"""Trains the draft on the target's soft labels.

    python distil.py --work WORK --recipe cpu

Contexts are training rows; a share of the steps uses replies that the target wrote itself. The loss is
the cross-entropy against the target's distribution at temperature 1. Resumes like train.py."""

import argparse
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

from configs import RECIPES, Recipe
from data import SHORT, pack
from model import Llama
from train import Plan, Run, train
from weights import load_checkpoint

PREFIX, REPLY = 96, 64  # most tokens of a prompt, and of the target's own reply to it
OWN_EVERY = 4  # one step in this many uses the target's own replies


def prompts(ids: np.ndarray, masks: np.ndarray, header: list[int], end: int) -> list[np.ndarray]:
    """The documents of packed rows [rows, length], each cut where its last reply starts."""
    found = []
    for row, mask in zip(ids, masks):
        edges = [0, *(np.flatnonzero(row == end) + 1)]
        for first, last in zip(edges, edges[1:]):
            starts = first + 1 + np.flatnonzero(np.diff(mask[first:last].astype(np.int8)) == 1)
            starts = [s for s in starts if row[s - len(header) : s].tolist() == header]
            if starts and starts[-1] - first <= PREFIX:
                found.append(row[first : starts[-1]].astype(np.int64))
    return found


@torch.no_grad()
def write_replies(target: Llama, contexts: torch.Tensor, stop: int) -> list[list[int]]:
    """contexts: [rows, length]. Sampled replies, each up to its stop token."""
    tokens, caches, columns = contexts, None, []
    alive = torch.ones(len(contexts), dtype=torch.bool, device=contexts.device)
    while len(columns) < REPLY and alive.any():
        logits, caches = target.step(tokens, caches)
        tokens = torch.multinomial(torch.softmax(logits.float() / 0.5, dim=-1), 1)
        columns.append(tokens)
        alive = alive & (tokens[:, 0] != stop)
    rows = torch.cat(columns, dim=1).tolist()
    return [row[: row.index(stop) + 1] if stop in row else row for row in rows]


def own_replies(work: Path, target: Llama, num_rows: int, batch: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """Packed rows of prompts with the target's own replies, kept in WORK/own_replies.pt. Ids and masks."""
    path = work / "own_replies.pt"
    if path.exists():
        return torch.load(path, weights_only=True)
    torch.manual_seed(0)
    tokenizer = Tokenizer.from_file(str(work / "tokenizer.json"))
    header = tokenizer.encode("<|im_start|>assistant\n").ids
    stop, end = (tokenizer.token_to_id(t) for t in ("<|im_end|>", "<|endoftext|>"))
    with np.load(work / "shard_000.npz") as shard:
        contexts = prompts(shard["short_ids"][:num_rows], shard["short_masks"][:num_rows], header, end)[:num_rows]
    by_length: dict[int, list[np.ndarray]] = {}
    for context in contexts:  # prompts of one length make a batch without padding
        by_length.setdefault(len(context), []).append(context)
    documents = []
    device = target.embed_tokens.weight.device
    for same in by_length.values():
        for start in range(0, len(same), batch):
            part = np.stack(same[start : start + batch])
            for context, reply in zip(part, write_replies(target, torch.from_numpy(part).to(device), stop)):
                document = np.append(context, reply + [end])
                documents.append((document, np.arange(len(document)) >= len(context)))
    np.random.default_rng(0).shuffle(documents)
    drawn = itertools.cycle(documents)
    total = sum(len(document) for document, _ in documents)
    packed = pack(lambda: next(drawn), SHORT, total, end)
    rows = torch.from_numpy(packed[0].astype(np.int64)), torch.from_numpy(packed[1])
    torch.save(rows, path)
    return rows


@torch.no_grad()
def start_embeddings(draft: Llama, target: Llama) -> None:
    """The target's embeddings in the draft's fewer dimensions: their principal components."""
    wide = target.embed_tokens.weight.float()
    _, _, components = torch.linalg.svd(wide - wide.mean(0), full_matrices=False)
    size = draft.shape.hidden_size - 1  # dimension 0 holds the constant of plant_copy_heads
    draft.embed_tokens.weight[:, 1:] = (wide - wide.mean(0)) @ components[:size].T


class DraftRun(Run):
    """Run, with the target's distribution in place of the next token."""

    def __init__(self, work: Path, recipe: Recipe, device: str, target: Llama, own_rows: int, team_size: int):
        super().__init__(work, "draft", recipe, device, team_size, kind="draft")
        self.target = target
        start_embeddings(self.model, target)
        self.own = own_replies(work, target, own_rows)

    def rows(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        if step % OWN_EVERY or step == 0:
            return super().rows(step)
        size = min(len(self.own[0]), self.schedule.batch_tokens // SHORT)
        chosen = np.random.default_rng(step).choice(len(self.own[0]), size, replace=False)
        return tuple(part[chosen][self.team.rank :: self.team.size] for part in self.own)

    def loss(self, ids: torch.Tensor, masks: torch.Tensor, generator) -> tuple[torch.Tensor, torch.Tensor]:
        learnt = masks[:, 1:].reshape(-1).nonzero().squeeze(1)
        flat = lambda hidden: hidden.reshape(-1, hidden.shape[-1])[learnt]
        inputs = ids[:, :-1].contiguous()
        with torch.no_grad():
            wanted = self.target.logits(flat(self.target.hidden_states(inputs, self.end)[0])).float().softmax(-1)
        logits = self.model.logits(flat(self.model.hidden_states(inputs, self.end)[0])).float()
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
    parser.add_argument("--decay-minutes", type=float, default=0.0, help="decay over a time, not steps")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    recipe = RECIPES[arguments.recipe]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    target = load_checkpoint(arguments.work / f"{arguments.target}.pt", recipe.target).to(device)
    run = DraftRun(arguments.work, recipe, device, target, arguments.own_rows, arguments.processes)
    if run.path.exists():
        run.load()
    run.schedule = replace(
        run.schedule,
        stable_steps=arguments.stable_steps or run.schedule.stable_steps,
        decay_steps=arguments.decay_steps or run.schedule.decay_steps,
    )
    stable = run.schedule.stable_steps

    def work(rank: int) -> None:
        run.start(rank)
        train(run, Plan(stable + run.schedule.decay_steps, stable, 60 * arguments.decay_minutes))

    run.team.run(work)


if __name__ == "__main__":
    main()
