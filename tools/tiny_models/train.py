"""Trains the target model.

    python train.py --work WORK --recipe cpu             warm-up and stable phase, then the decay
    python train.py --work WORK --recipe cpu --decay-at 800 --decay-steps 200
                                                         resumes, and decays from another step than the recipe's

    python train.py --processes 2 ...                    one process a core, which a busy machine slows down less

Resumes from the last checkpoint of the same name. The data order depends on the step alone, so a run
that was stopped and resumed sees the same rows as one that was not."""

import argparse
import json
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from configs import RECIPES, Recipe, Schedule
from copy_heads import plant_copy_heads
from model import Llama
from optim import learning_rate_factor, make_optimizers
from progress import Progress
from team import Team

LONG_EVERY = 96  # one step in this many uses the long rows
CHECKPOINT_EVERY = 50
VALIDATE_EVERY = 250


def existing_shards(work: Path, num_shards: int) -> list[Path]:
    """Shards 0, 1, ... up to num_shards or the first that is missing; a message and the end where there is none."""
    paths = [work / f"shard_{number:03d}.npz" for number in range(num_shards)]
    missing = next((number for number, path in enumerate(paths) if not path.exists()), num_shards)
    if missing == 0:
        raise SystemExit(f"{paths[0]} does not exist: write it with data.py --shards 0:{num_shards}")
    return paths[:missing]


class Batches:
    """Rows by step number, from shards that are read in turn."""

    def __init__(self, work: Path, batch_tokens: int, num_shards: int, team_size: int):
        self._work, self._num_shards, self._team_size = work, num_shards, team_size
        self._batch_tokens = batch_tokens
        self._rows: dict[str, tuple[int, np.ndarray, np.ndarray]] = {}

    def _shard(self, kind: str, epoch_shard: int) -> tuple[np.ndarray, np.ndarray]:
        held = self._rows.get(kind)
        if held is None or held[0] != epoch_shard:
            paths = existing_shards(self._work, self._num_shards)  # more may have been written meanwhile
            with np.load(paths[epoch_shard % len(paths)]) as shard:
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
        rows_per_step = max(self._team_size, self._batch_tokens // (ids.shape[1] - 1))
        steps_per_shard = len(ids) // rows_per_step
        ids, masks = self._shard(kind, index // steps_per_shard)
        start = index % steps_per_shard * rows_per_step
        part = slice(start, start + rows_per_step)
        return torch.from_numpy(ids[part].astype(np.int64)), torch.from_numpy(masks[part])


def losses(model: Llama, hidden_states, ids, masks, end: int, schedule: Schedule, generator=None):
    """(loss of the final logits, loss of the early exit or 0) over the masked tokens.

    hidden_states: the model's method, compiled or not. end: the token that ends a document. generator: picks the early exit's share of tokens.
    """
    targets, learnt = ids[:, 1:].reshape(-1), masks[:, 1:].reshape(-1).nonzero().squeeze(1)
    final, early = hidden_states(ids[:, :-1].contiguous(), end)
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

    def __init__(self, work: Path, name: str, recipe: Recipe, device: str, team_size=1, compiled=False, kind="target"):
        torch.manual_seed(0)
        self.path, self.log_path = work / f"{name}.pt", work / f"{name}.log.jsonl"
        self.schedule, self.device, self.step = getattr(recipe, f"{kind}_schedule"), device, 0
        self.model = Llama(getattr(recipe, kind))
        plant_copy_heads(self.model)
        self.model.to(device)
        self.hidden_states = self.model.hidden_states
        if compiled:
            self.hidden_states = torch.compile(self.hidden_states, dynamic=False)
        self.team, self.optimizers = Team(self.model, team_size), []
        self.batches = Batches(work, self.schedule.batch_tokens, recipe.num_shards, team_size)
        with np.load(work / "validation.npz") as held_out:
            self.development = [torch.from_numpy(held_out[key].astype(np.int64)) for key in ("ids", "masks")]
            self.end = int(held_out["end"])
            self.families = held_out["families"].tolist()

    def _optimizer_path(self) -> Path:
        return self.path.with_suffix(f".optimizer_{self.team.rank}_of_{self.team.size}")

    def load(self) -> None:
        """Weights and step of the last checkpoint, before the processes fork."""
        state = torch.load(self.path, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.step = state["step"]

    def start(self, rank: int) -> None:
        """Makes this process's optimizers, with their states of the last checkpoint."""
        self.optimizers = make_optimizers(self.model, self.schedule, self.team.owned())
        if self.step:
            saved = torch.load(self._optimizer_path(), map_location=self.device, weights_only=True)
            for optimizer, state in zip(self.optimizers, saved):
                optimizer.load_state_dict(state)

    def save(self) -> None:
        """Called in every process."""
        torch.save([o.state_dict() for o in self.optimizers], self._optimizer_path())
        if self.team.rank == 0:
            partial = self.path.with_suffix(".partial")
            torch.save({"model": self.model.state_dict(), "step": self.step}, partial)
            partial.rename(self.path)

    def autocast(self):
        return torch.autocast(self.device.split(":")[0], torch.bfloat16)

    @torch.no_grad()
    def validate(self) -> tuple[float, float, dict[str, float]]:
        """Losses of the final and the early logits over the development set; by family, the share of samples of which
        every learnt token is the most likely one, which is what greedy generation then writes."""
        ids, masks = self.development
        order = masks.flip(1).argmax(1).sort(descending=True).indices  # short samples first
        sums, right = torch.zeros(3, dtype=torch.float64), defaultdict(list)
        for part in order.split(64):
            used = int((masks[part] > 0).nonzero()[:, 1].max()) + 1
            tokens, learnt = ids[part, :used].to(self.device), masks[part, 1:used].to(self.device) > 0
            wanted = tokens[:, 1:]
            with self.autocast():
                final, early = self.model.hidden_states(tokens[:, :-1], self.end)
                guesses = self.model.logits(final[learnt]).float()
                early = self.model.logits(early[learnt]).float() if early is not None else guesses
            for index, logits in enumerate((guesses, early)):
                sums[index] += F.cross_entropy(logits, wanted[learnt], reduction="sum").item()
            sums[2] += len(guesses)
            wrong = torch.zeros_like(wanted, dtype=torch.bool)
            wrong[learnt] = guesses.argmax(-1) != wanted[learnt]
            for row, bad in zip(part.tolist(), wrong.any(1).tolist()):
                right[self.families[row]].append(not bad)
        shares = {family: round(sum(rows) / len(rows), 2) for family, rows in right.items()}
        return float(sums[0] / sums[2]), float(sums[1] / sums[2]), shares

    def rows(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        ids, masks = self.batches(step)
        return ids[self.team.rank :: self.team.size], masks[self.team.rank :: self.team.size]

    def loss(self, ids, masks, generator) -> tuple[torch.Tensor, torch.Tensor]:
        return losses(self.model, self.hidden_states, ids, masks, self.end, self.schedule, generator)

    def train_step(self, factor: float) -> float:
        ids, masks = (t.to(self.device) for t in self.rows(self.step))
        generator = torch.Generator().manual_seed(self.step)
        with self.autocast():
            final, early = self.loss(ids, masks, generator)
        (final + self.schedule.early_exit_weight * early).backward()
        self.team.average_gradients()
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group.setdefault("initial_lr", group["lr"])
                group["lr"] = group["initial_lr"] * factor
            optimizer.step()
        self.model.zero_grad(set_to_none=True)
        self.step += 1
        return final.item()

    def log(self, **fields) -> None:
        with open(self.log_path, "a") as file:
            file.write(json.dumps({"step": self.step} | fields) + "\n")


@dataclass
class Plan:
    """When the learning rate falls: from step decay_start until step end, or over the next decay_seconds."""

    end: int
    decay_start: int
    decay_seconds: float = 0.0

    def factor(self, run: Run, elapsed: float) -> float:
        """Of the learning rate; 0 ends the run."""
        if self.decay_seconds:
            return max(0.0, 1 - elapsed / self.decay_seconds)
        if run.step >= self.end:
            return 0.0
        return learning_rate_factor(run.step, run.schedule, self.decay_start)


def train(run: Run, plan: Plan) -> None:
    """In every process; the first one decides about the learning rate, and reports."""
    progress = Progress("train", plan.end, run.step)
    smoothed, start, leads = None, time.monotonic(), run.team.rank == 0
    factor = run.team.agree(plan.factor(run, 0.0) if leads else None)
    while factor > 0:
        loss = run.train_step(factor)
        factor = run.team.agree(plan.factor(run, time.monotonic() - start) if leads else None)
        smoothed = loss if smoothed is None else 0.95 * smoothed + 0.05 * loss
        if leads and run.step % 10 == 0:
            run.log(loss=round(smoothed, 4), rate=round(factor, 3), seconds=round(time.monotonic() - start, 1))
            progress.advance(f"loss {smoothed:.3f} rate {factor:.3f}", 10)
        if leads and (run.step % VALIDATE_EVERY == 0 or factor == 0):
            final, early, shares = run.validate()
            run.log(validation=round(final, 4), early_exit=round(early, 4), shares=shares)
            print(f"\n{run.step}: {final:.3f} {early:.3f} {shares}", flush=True)
        if run.step % CHECKPOINT_EVERY == 0 or factor == 0:
            run.save()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--recipe", choices=RECIPES, default="cpu")
    parser.add_argument("--name", default="target")
    parser.add_argument("--decay-at", type=int, help="the step at which the decay starts, instead of the recipe's")
    parser.add_argument("--decay-steps", type=int, help="instead of the recipe's")
    parser.add_argument("--decay-minutes", type=float, default=0.0, help="decay from now on, over a time, not steps")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--compile", action="store_true", help="torch.compile the layers; needs a C++ compiler")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    recipe = RECIPES[arguments.recipe]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    run = Run(arguments.work, arguments.name, recipe, device, arguments.processes, arguments.compile)
    if arguments.decay_steps:
        run.schedule = replace(run.schedule, decay_steps=arguments.decay_steps)
    if run.path.exists():
        run.load()
    decay_start = arguments.decay_at or run.schedule.stable_steps

    def work(rank: int) -> None:
        run.start(rank)
        train(run, Plan(decay_start + run.schedule.decay_steps, decay_start, 60 * arguments.decay_minutes))

    run.team.run(work)


if __name__ == "__main__":
    main()
