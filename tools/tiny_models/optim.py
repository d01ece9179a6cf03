"""Muon for the matrices inside layers, AdamW for everything else."""

import torch

from configs import Schedule
from model import Llama


def orthogonalise(matrix: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """Quintic Newton-Schulz towards the nearest semi-orthogonal matrix (Jordan et al., 2024)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix.bfloat16()
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).to(matrix.dtype)


class Muon(torch.optim.Optimizer):
    def __init__(self, params, lr: float, momentum: float = 0.95, weight_decay: float = 0.02):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[torch.Tensor]] = {}
            for p in group["params"]:
                if p.grad is not None:
                    by_shape.setdefault(p.shape, []).append(p)
            for params in by_shape.values():
                self._step_batch(params, group)

    def _step_batch(self, params: list[torch.Tensor], group: dict) -> None:
        updates = []
        for p in params:
            momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
            momentum.lerp_(p.grad, 1 - group["momentum"])
            updates.append(p.grad.lerp(momentum, group["momentum"]))
        rows, columns = params[0].shape
        scale = max(1.0, rows / columns) ** 0.5
        for p, update in zip(params, orthogonalise(torch.stack(updates))):
            p.mul_(1 - group["lr"] * group["weight_decay"])
            p.add_(update, alpha=-group["lr"] * scale)


def make_optimizers(
    model: Llama, schedule: Schedule, owned: list[torch.nn.Parameter]
) -> list[torch.optim.Optimizer]:
    """Muon for the owned matrices inside layers, AdamW for the other owned parameters; none for an empty share."""
    inside = {id(p) for p in model.layers.parameters() if p.ndim == 2}
    matrices = [p for p in owned if id(p) in inside]
    others = [p for p in owned if id(p) not in inside]
    optimizers: list[torch.optim.Optimizer] = [Muon(matrices, schedule.matrix_lr)] if matrices else []
    if others:
        optimizers.append(torch.optim.AdamW(others, lr=schedule.vector_lr, betas=(0.9, 0.95), weight_decay=0.0))
    return optimizers


def learning_rate_factor(step: int, schedule: Schedule, decay_start: int | None) -> float:
    """Warm-up, stable, then linear to zero from decay_start on; None means no decay yet."""
    if step < schedule.warmup_steps:
        return (step + 1) / schedule.warmup_steps
    if decay_start is None or step < decay_start:
        return 1.0
    return max(0.0, 1 - (step - decay_start + 1) / schedule.decay_steps)
