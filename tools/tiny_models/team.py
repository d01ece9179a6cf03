"""Data-parallel training by processes of one machine that share the weights.

Each process computes the gradients of its own rows; then each updates the parameters that it owns. Two waits a step,
no copies of optimizer states: on busy cores every further exchange of messages costs a turn in the scheduler's queue."""

import torch
import torch.multiprocessing as multiprocessing
from torch import nn

TIMEOUT = 600  # seconds that a process waits for the others


def shares(parameters: list[nn.Parameter], size: int) -> list[list[nn.Parameter]]:
    """Dealt out by the number of their elements, the largest first; the same in every process."""
    dealt, loads = [[] for _ in range(size)], [0] * size
    for p in sorted(parameters, key=nn.Parameter.numel, reverse=True):
        rank = loads.index(min(loads))
        dealt[rank].append(p)
        loads[rank] += p.numel()
    return dealt


class Team:
    """Made before the processes fork; the parameters then lie in shared memory."""

    def __init__(self, model: nn.Module, size: int):
        self.size, self.rank = size, 0
        self._parameters = list(model.parameters())
        self._barrier = None
        self._agreed = torch.zeros(1, dtype=torch.float64).share_memory_()
        if size > 1:
            model.share_memory()
            total = sum(p.numel() for p in self._parameters)
            self._gradients = torch.zeros(size, total).share_memory_()
            self._barrier = multiprocessing.get_context("fork").Barrier(size)

    def owned(self) -> list[nn.Parameter]:
        return shares(self._parameters, self.size)[self.rank]

    def wait(self) -> None:
        if self._barrier:
            self._barrier.wait(TIMEOUT)

    def agree(self, value: float | None) -> float:
        """Waits for all; then everyone has the first process's value."""
        if self.rank == 0:
            self._agreed[0] = value
        self.wait()
        return float(self._agreed[0])

    def average_gradients(self) -> None:
        """Sets the gradients of the owned parameters to the mean over the processes, and drops the others."""
        if self.size == 1:
            return
        begin = 0
        for p in self._parameters:
            part = self._gradients[self.rank, begin : begin + p.numel()]
            part.copy_(p.grad.reshape(-1)) if p.grad is not None else part.zero_()
            begin += p.numel()
        self.wait()
        mine, begin = {id(p) for p in self.owned()}, 0
        for p in self._parameters:
            part = self._gradients[:, begin : begin + p.numel()]
            p.grad = part.mean(0).view_as(p) if id(p) in mine else None
            begin += p.numel()

    def run(self, work) -> None:
        """Calls work(rank) in each process; returns when all are done."""
        if self.size == 1:
            work(0)
        else:
            multiprocessing.start_processes(_join, (self, work), nprocs=self.size, start_method="fork")


def _join(rank: int, team: Team, work) -> None:
    team.rank = rank
    work(rank)
