"""Trains the target model.

    python train.py --work WORK --recipe cpu             warm-up and stable phase, then the decay
    python train.py --work WORK --recipe cpu --decay-at 800 --name early
                                                         decays from an earlier checkpoint into its own name

    torchrun --nproc-per-node 2 train.py --threads 1 ...  one process a core, which a busy machine slows down less

Resumes from the last checkpoint of the same name. The data order depends on the step alone, so a run
that was stopped and resumed sees the same rows as one that was not."""

import argparse
import json
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F

from configs import RECIPES, Recipe, Schedule
from model import Llama
from optim import learning_rate_factor, make_optimizers
from progress import Progress

LONG_EVERY = 8  # one step in this many uses the long rows
CHECKPOINT_EVERY = 50
VALIDATE_EVERY = 200


def existing_shards(work: Path, num_shards: int) -> list[Path]:
    """Shards 0, 1, ... up to num_shards or the first that is missing; a message and the end where there is none."""
    paths = [work / f"shard_{number:03d}.npz" for number in range(num_shards)]
    missing = next((number for number, path in enumerate(paths) if not path.exists()), num_shards)
    if missing == 0:
        raise SystemExit(f"{paths[0]} does not exist: write it with data.py --shards 0:{num_shards}")
    if missing < num_shards:
        print(f"the recipe wants {num_shards} shards, {missing} exist: their rows will be seen again sooner", flush=True)
    return paths[:missing]


class Batches:
    """Rows by step number, from shards that are read in turn."""

    def __init__(self, work: Path, batch_tokens: int, num_shards: int):
        self._paths = existing_shards(work, num_shards)
        self._batch_tokens = batch_tokens
        self._rows: dict[str, tuple[int, np.ndarray, np.ndarray]] = {}

    def _shard(self, kind: str, epoch_shard: int) -> tuple[np.ndarray, np.ndarray]:
        held = self._rows.get(kind)
        if held is None or held[0] != epoch_shard:
            with np.load(self._paths[epoch_shard % len(self._paths)]) as shard:
                ids, masks = shard[f"{kind}_ids"], shard[f"{kind}_masks"]
            order = np.random.default_rng(epoch_shard).permutation(len(ids))
            self._rows[kind] = held = (epoch_shard, ids[order], masks[order])
        return held[1], held[2]

    def __call__(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """ids and masks, [rows, length + 1]."""
        long_steps = (step + 1) // LONG_EVERY
        kind = "long" if step % LONG_EVERY == LONG_EVERY - 1 else "short"
        index = long_steps - 1 if kind == "long" else step - long_steps
        ids, masks = self._shard(kind, 0)
        rows_per_step = max(1, self._batch_tokens // (ids.shape[1] - 1))
        steps_per_shard = len(ids) // rows_per_step
        ids, masks = self._shard(kind, index // steps_per_shard)
        start = index % steps_per_shard * rows_per_step
        part = slice(start, start + rows_per_step)
        return torch.from_numpy(ids[part].astype(np.int64)), torch.from_numpy(masks[part])


def losses(model: Llama, hidden_states, ids, masks, schedule: Schedule, generator=None):
    """(loss of the final logits, loss of the early exit or 0) over the masked tokens.

    hidden_states: the model's method, compiled or not. generator: picks the early exit's share of tokens."""
    targets, learnt = ids[:, 1:].reshape(-1), masks[:, 1:].reshape(-1).nonzero().squeeze(1)
    final, early = hidden_states(ids[:, :-1].contiguous())
    chosen = lambda hidden, where: model.logits(hidden.reshape(-1, hidden.shape[-1])[where]).float()
    loss = F.cross_entropy(chosen(final, learnt), targets[learnt])
    if early is None:
        return loss, torch.zeros(())
    if generator is not None:
        order = torch.randperm(len(learnt), generator=generator).to(learnt.device)
        learnt = learnt[order[: max(1, int(len(learnt) * schedule.early_exit_share))]]
    return loss, F.cross_entropy(chosen(early, learnt), targets[learnt])


class Run:
    """A training run: model, optimizers, step and log, kept in WORK/NAME.pt. kind: target or draft."""

    def __init__(self, work: Path, name: str, recipe: Recipe, device: str, compiled=False, kind="target"):
        torch.manual_seed(0)
        self.path, self.log_path = work / f"{name}.pt", work / f"{name}.log.jsonl"
        self.schedule, self.device, self.step = getattr(recipe, f"{kind}_schedule"), device, 0
        self.model = Llama(getattr(recipe, kind)).to(device)
        self.hidden_states = self.model.hidden_states
        if compiled:
            self.hidden_states = torch.compile(self.hidden_states, dynamic=False)
        self.optimizers = make_optimizers(self.model, self.schedule)
        self.batches = Batches(work, self.schedule.batch_tokens, recipe.num_shards)
        with np.load(work / "validation.npz") as held_out:
            self.validation = (
                torch.from_numpy(held_out["short_ids"].astype(np.int64)).to(device),
                torch.from_numpy(held_out["short_masks"]).to(device),
            )

    def load(self, path: Path) -> None:
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"]):
            optimizer.load_state_dict(saved)
        self.step = state["step"]

    def save(self, path: Path | None = None) -> None:
        path = path or self.path
        state = {
            "model": self.model.state_dict(),
            "optimizers": [o.state_dict() for o in self.optimizers],
            "step": self.step,
        }
        torch.save(state, path.with_suffix(".partial"))
        path.with_suffix(".partial").rename(path)

    def autocast(self):
        return torch.autocast(self.device.split(":")[0], torch.bfloat16)

    @torch.no_grad()
    def validate(self) -> tuple[float, float]:
        with self.autocast():
            final, early = losses(self.model, self.model.hidden_states, *self.validation, self.schedule)
        return final.item(), early.item()

    def rows(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        ids, masks = self.batches(step)
        if not dist.is_initialized():
            return ids, masks
        rank, ranks = dist.get_rank(), dist.get_world_size()
        return ids[rank::ranks], masks[rank::ranks]

    def loss(self, ids, masks, generator) -> tuple[torch.Tensor, torch.Tensor]:
        return losses(self.model, self.hidden_states, ids, masks, self.schedule, generator)

    def train_step(self, decay_start: int | None) -> float:
        factor = learning_rate_factor(self.step, self.schedule, decay_start)
        ids, masks = (t.to(self.device) for t in self.rows(self.step))
        generator = torch.Generator().manual_seed(self.step)
        with self.autocast():
            final, early = self.loss(ids, masks, generator)
        (final + self.schedule.early_exit_weight * early).backward()
        if dist.is_initialized():
            self._average_gradients()
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group.setdefault("initial_lr", group["lr"])
                group["lr"] = group["initial_lr"] * factor
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return final.item()

    def _average_gradients(self) -> None:
        """Over the ranks; each has seen its own rows of the step."""
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        flat = torch.cat([g.reshape(-1) for g in gradients])
        dist.all_reduce(flat)
        flat /= dist.get_world_size()
        for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients])):
            gradient.copy_(part.view_as(gradient))

    def log(self, **fields) -> None:
        with open(self.log_path, "a") as file:
            file.write(json.dumps({"step": self.step} | fields) + "\n")


def train(run: Run, end: int, decay_start: int | None, keep_every: int) -> None:
    progress = Progress("train", end, run.step)
    smoothed, start = None, time.monotonic()
    while run.step < end:
        loss = run.train_step(decay_start)
        if dist.is_initialized() and dist.get_rank():
            continue
        smoothed = loss if smoothed is None else 0.95 * smoothed + 0.05 * loss
        if run.step % 10 == 0:
            run.log(loss=round(smoothed, 4), seconds=round(time.monotonic() - start, 1))
            progress.advance(f"loss {smoothed:.3f}", 10)
        if run.step % VALIDATE_EVERY == 0 or run.step == end:
            final, early = run.validate()
            run.log(validation=round(final, 4), early_exit=round(early, 4))
        if run.step % CHECKPOINT_EVERY == 0 or run.step == end:
            run.save()
        if keep_every and run.step % keep_every == 0:
            run.save(run.path.with_name(f"{run.path.stem}_{run.step}.pt"))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--recipe", choices=RECIPES, default="cpu")
    parser.add_argument("--name", default="target")
    parser.add_argument("--decay-at", type=int, help="start the decay from the kept checkpoint of this step")
    parser.add_argument("--decay-steps", type=int, help="instead of the recipe's")
    parser.add_argument("--keep-every", type=int, default=200, help="keep a checkpoint every so many steps")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--compile", action="store_true", help="torch.compile the layers; needs a C++ compiler"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if "RANK" in os.environ:
        dist.init_process_group("gloo")
    recipe = RECIPES[arguments.recipe]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    run = Run(arguments.work, arguments.name, recipe, device, arguments.compile)
    if arguments.decay_steps:
        run.schedule = replace(run.schedule, decay_steps=arguments.decay_steps)
    decay_start = arguments.decay_at or run.schedule.stable_steps
    if run.path.exists():
        run.load(run.path)
    elif arguments.decay_at:
        run.load(arguments.work / f"target_{arguments.decay_at}.pt")
    train(run, decay_start + run.schedule.decay_steps, decay_start, arguments.keep_every)


if __name__ == "__main__":
    main()
