"""Starting weights that can copy: a previous-token head below an induction head.

A model of a few million tokens' training spends most of it on finding these two heads (Olsson et al., 2022), which
every copying task needs. Planting them costs nothing; training is free to change them."""

import torch

from model import Llama, rope_table

CONSTANT = 0.12  # dimension 0 of every embedding, so that a head can look at a fixed distance


def _orthogonal(rows: int, columns: int) -> torch.Tensor:
    return torch.nn.init.orthogonal_(torch.empty(rows, columns))


def _plant_position_head(weight: torch.Tensor, distance: int, sharpness: float, cos, sin) -> None:
    """weight: [head_dim, hidden] of a query; keys are written with distance 0. Scores peak that many tokens back."""
    half = weight.shape[0] // 2
    used = half // 3  # the fast frequencies tell neighbours apart
    weight.zero_()
    weight[:used, 0] = sharpness * cos[distance, :used]
    weight[half : half + used, 0] = -sharpness * sin[distance, :used]


@torch.no_grad()
def plant_copy_heads(model: Llama, first: int = 0) -> None:
    """Layer first: heads 0 and 1 carry the tokens one and two back. Layer first + 1: head 0 finds the tokens that
    followed the present token before, and votes for them."""
    shape = model.shape
    size, hidden = shape.head_dim, shape.hidden_size
    cos, sin = rope_table(shape, 4)
    model.embed_tokens.weight[:, 0] = CONSTANT
    below, above = model.layers[first].self_attn, model.layers[first + 1].self_attn
    for head in (0, 1):
        part = below.q_proj.weight[head * size : (head + 1) * size]
        _plant_position_head(part, head + 1, 1.0, cos, sin)
    _plant_position_head(below.k_proj.weight[:size], 0, 1.0, cos, sin)
    seen, carried = _orthogonal(size, hidden), [_orthogonal(hidden, size) for _ in range(2)]
    seen[:, 0] = 0
    below.v_proj.weight[:size] = 0.5 * seen
    for head in (0, 1):
        below.o_proj.weight[:, head * size : (head + 1) * size] = 0.08 * carried[head]
    slow = torch.zeros(size, size)  # only the slow half of the frequencies: position hardly matters
    half, quarter = size // 2, size // 4
    rows = torch.cat([torch.arange(quarter, half), torch.arange(half + quarter, size)])
    slow[rows] = 2.0 * _orthogonal(len(rows), size)
    above.q_proj.weight[:size] = slow @ seen
    above.k_proj.weight[:size] = slow @ carried[0].T
    copied = _orthogonal(size, hidden)
    above.v_proj.weight[:size] = 0.5 * copied
    above.o_proj.weight[:, :size] = 0.15 * copied.T
