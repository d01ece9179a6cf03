"""The Llama forward pass in PyTorch, with an optional early exit."""

import torch
import torch.nn.functional as F
from torch import nn

from configs import ModelShape


class RmsNorm(nn.Module):
    def __init__(self, size: int, eps: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # [..., size]
        return F.rms_norm(x, (x.shape[-1],), self.weight.to(x.dtype), self.eps)


def rope_table(shape: ModelShape, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """cos and sin, each [length, head_dim / 2], for the half-split (Hugging Face) layout."""
    frequency = shape.rope_theta ** (-torch.arange(0, shape.head_dim, 2).float() / shape.head_dim)
    angle = torch.outer(torch.arange(length).float(), frequency)
    return angle.cos(), angle.sin()


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """x: [batch, heads, length, head_dim]."""
    low, high = x.chunk(2, dim=-1)
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    return torch.cat([low * cos - high * sin, high * cos + low * sin], dim=-1)


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Causal attention over [batch, heads, length, head_dim]; a single query sees every key.
    bias: [batch, 1, length, length], -inf where a query must not look, or None.

    On a CPU and for rows up to 512, writing out the scores takes 35 ms where the fused kernel and its
    gradient take 60 ms (4 rows of 512, 4 heads of 64, bf16, one Zen 4 core)."""
    length = q.shape[2]
    if q.is_cuda or length > 512 or not q.requires_grad:
        bias = None if bias is None else bias.to(q.dtype)
        causal = length > 1 and bias is None
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, is_causal=causal)
    if bias is None:
        bias = torch.full((length, length), float("-inf"), dtype=q.dtype).triu(1)
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2) + bias
    return scores.softmax(-1) @ v


def own_document_bias(tokens: torch.Tensor, end: int) -> torch.Tensor:
    """[batch, 1, length, length] in bf16: 0 where a token may look, at itself and earlier in its document."""
    ends = tokens == end
    document = ends.cumsum(1) - ends.long()
    same = document[:, None, :, None] == document[:, None, None, :]
    length = tokens.shape[1]
    allowed = same & torch.ones(length, length, dtype=torch.bool, device=tokens.device).tril()
    return torch.zeros(allowed.shape, dtype=torch.bfloat16, device=tokens.device).masked_fill_(~allowed, float("-inf"))


class Attention(nn.Module):
    def __init__(self, shape: ModelShape):
        super().__init__()
        self.shape = shape
        heads, kv_heads, size = shape.num_attention_heads, shape.num_key_value_heads, shape.head_dim
        self.q_proj = nn.Linear(shape.hidden_size, heads * size, bias=False)
        self.k_proj = nn.Linear(shape.hidden_size, kv_heads * size, bias=False)
        self.v_proj = nn.Linear(shape.hidden_size, kv_heads * size, bias=False)
        self.o_proj = nn.Linear(heads * size, shape.hidden_size, bias=False)

    def forward(self, x, cos, sin, cache=None, bias=None):
        """x: [batch, length, hidden]. cache: a (k, v) pair of earlier positions, or None.

        Returns the mixed x and the extended (k, v)."""
        batch, length, _ = x.shape
        split = lambda y: y.view(batch, length, -1, self.shape.head_dim).transpose(1, 2)
        q = rotate(split(self.q_proj(x)), cos, sin)
        k = rotate(split(self.k_proj(x)), cos, sin)
        v = split(self.v_proj(x))
        if cache is not None:
            k, v = torch.cat([cache[0], k], dim=2), torch.cat([cache[1], v], dim=2)
        group = self.shape.num_attention_heads // self.shape.num_key_value_heads
        mixed = attend(q, k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1), bias)
        return self.o_proj(mixed.transpose(1, 2).reshape(batch, length, -1)), (k, v)


class GatedMlp(nn.Module):
    def __init__(self, shape: ModelShape):
        super().__init__()
        self.gate_proj = nn.Linear(shape.hidden_size, shape.intermediate_size, bias=False)
        self.up_proj = nn.Linear(shape.hidden_size, shape.intermediate_size, bias=False)
        self.down_proj = nn.Linear(shape.intermediate_size, shape.hidden_size, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, shape: ModelShape):
        super().__init__()
        self.input_layernorm = RmsNorm(shape.hidden_size, shape.rms_norm_eps)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = RmsNorm(shape.hidden_size, shape.rms_norm_eps)
        self.mlp = GatedMlp(shape)

    def forward(self, x, cos, sin, cache=None, bias=None):
        mixed, cache = self.self_attn(self.input_layernorm(x), cos, sin, cache, bias)
        x = x + mixed
        return x + self.mlp(self.post_attention_layernorm(x)), cache


class Llama(nn.Module):
    """Embeddings are tied. Parameter names match Hugging Face's after the prefix "model."."""

    def __init__(self, shape: ModelShape):
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocab_size, shape.hidden_size)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.num_hidden_layers))
        self.norm = RmsNorm(shape.hidden_size, shape.rms_norm_eps)
        self.early_exit_norm = None
        if shape.early_exit_layer:
            self.early_exit_norm = RmsNorm(shape.hidden_size, shape.rms_norm_eps)
        cos, sin = rope_table(shape, shape.max_position_embeddings)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self.apply(self._initialise)
        for layer in self.layers:  # the residual stream starts as the embedding alone
            for weight in (layer.self_attn.o_proj.weight, layer.mlp.down_proj.weight):
                weight.data *= 0.1

    def _initialise(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.5 * module.in_features**-0.5)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)

    def hidden_states(self, tokens: torch.Tensor, end: int | None = None):
        """tokens: [batch, length]. end: the token that ends a document; with it, rows up to 512 tokens do not look
        into the documents before. Returns (final, early), each normed [batch, length, hidden];
        early is None without an early exit."""
        length = tokens.shape[1]
        cos, sin = self.cos[:length], self.sin[:length]
        x, early = self.embed_tokens(tokens), None
        bias = own_document_bias(tokens, end) if end is not None and length <= 512 else None
        for index, layer in enumerate(self.layers):
            x, _ = layer(x, cos, sin, bias=bias)
            if self.early_exit_norm is not None and index + 1 == self.shape.early_exit_layer:
                early = self.early_exit_norm(x)
        return self.norm(x), early

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        return F.linear(hidden, self.embed_tokens.weight)

    def step(self, tokens: torch.Tensor, caches: list | None, exit_layer: int = 0):
        """Appends tokens [batch, length] after caches; length may exceed 1 only when caches is None.

        Returns the logits of the last position and the new caches. With exit_layer, stops early."""
        start = caches[0][0].shape[2] if caches else 0
        cos, sin = (t[start : start + tokens.shape[1]] for t in (self.cos, self.sin))
        x, new_caches = self.embed_tokens(tokens), []
        layers = self.layers[:exit_layer] if exit_layer else self.layers
        for index, layer in enumerate(layers):
            x, cache = layer(x, cos, sin, caches[index] if caches else None)
            new_caches.append(cache)
        norm = self.early_exit_norm if exit_layer else self.norm
        return self.logits(norm(x[:, -1])), new_caches

    def num_parameters(self) -> int:
        return sum(p.numel() for p in self.parameters())
