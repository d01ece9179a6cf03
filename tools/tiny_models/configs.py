"""Shapes and schedules of every model that these scripts can train."""

from dataclasses import dataclass, replace

VOCAB_SIZE = 4096
MAX_CONTEXT = 2048


@dataclass(frozen=True)
class ModelShape:
    """A Llama-architecture shape; field names follow Hugging Face's LlamaConfig."""

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    early_exit_layer: int = 0  # logits are also taken after this many layers; 0 means never
    vocab_size: int = VOCAB_SIZE
    max_position_embeddings: int = MAX_CONTEXT
    rope_theta: float = 10000.0
    rms_norm_eps: float = 1e-5


@dataclass(frozen=True)
class Schedule:
    """One run: learning rates ramp up, stay, and fall to zero over the last decay_steps."""

    batch_tokens: int
    stable_steps: int
    decay_steps: int
    matrix_lr: float  # Muon, for every 2-D weight inside a layer
    vector_lr: float  # AdamW, for embeddings and norms
    warmup_steps: int = 40
    early_exit_weight: float = 0.2
    early_exit_share: float = 0.25  # share of the tokens on which the early exit is trained


@dataclass(frozen=True)
class Recipe:
    target: ModelShape
    draft: ModelShape
    target_schedule: Schedule
    draft_schedule: Schedule
    num_shards: int  # of generated data, about 1 M tokens each


_CPU = Recipe(
    target=ModelShape(256, 512, 4, 4, 2, 64, early_exit_layer=1),
    draft=ModelShape(96, 256, 2, 3, 1, 32),
    target_schedule=Schedule(3840, 3000, 1000, matrix_lr=0.02, vector_lr=0.004),
    draft_schedule=Schedule(3840, 900, 300, matrix_lr=0.02, vector_lr=0.006),
    num_shards=20,
)

RECIPES = {
    # 2 CPU cores in the background over 1-2 hours.
    "cpu": _CPU,
    # One Hopper GPU in 10 minutes: about 13 M and 1 M parameters.
    "hopper": replace(
        _CPU,
        target=ModelShape(512, 1024, 6, 8, 2, 64, early_exit_layer=2),
        draft=ModelShape(128, 256, 3, 4, 2, 32),
        target_schedule=Schedule(65536, 2400, 800, matrix_lr=0.02, vector_lr=0.003),
        draft_schedule=Schedule(65536, 800, 300, matrix_lr=0.02, vector_lr=0.005),
        num_shards=200,
    ),
    # Seconds: proves that the scripts fit together.
    "smoke": replace(
        _CPU,
        target=ModelShape(64, 128, 3, 2, 1, 32, early_exit_layer=1),
        draft=ModelShape(32, 64, 1, 1, 1, 32),
        target_schedule=Schedule(2048, 20, 10, 0.02, 0.004, warmup_steps=4),
        draft_schedule=Schedule(2048, 10, 10, 0.02, 0.004, warmup_steps=4),
        num_shards=1,
    ),
}
