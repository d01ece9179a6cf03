#!/usr/bin/env python3
"""Makes tiny random checkpoints of every architecture with their outputs in Hugging Face transformers.

Each folder under --out gets config.json, model.safetensors (f32) and golden.safetensors:
  prompt   [T]         token ids
  hidden   [L, T, H]   residual stream after each decoder layer
  logits   [T, V]      logits at every position
  greedy   [N]         greedy continuation of the prompt
src/runtime/golden_test.cc compares them. Deterministic: run again after changing a config and commit the result.

  python3 -m venv venv && venv/bin/pip install -r tools/goldens/requirements.txt
  venv/bin/python tools/goldens/make_model_goldens.py --out tests/golden/models
"""

import argparse
import json
import pathlib
import shutil

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, CONFIG_MAPPING

NUM_PROMPT_TOKENS = 24
NUM_NEW_TOKENS = 10

# As small as the blocks of 32 allow; windows of 8 tokens for prompts of 24, so that every mask has something to hide.
BASE = dict(vocab_size=96, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=128, rms_norm_eps=1e-5, tie_word_embeddings=False,
            bos_token_id=1, eos_token_id=2, pad_token_id=0)
LLAMA3 = dict(rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=16)
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=32)
MOE = dict(num_experts_per_tok=2, moe_intermediate_size=32)
SLIDING_FULL = ["sliding_attention", "full_attention"]

CASES = {
    "llama": ("llama", {}),
    "llama-tied": ("llama", dict(tie_word_embeddings=True, num_key_value_heads=4)),
    "llama-llama3-rope": ("llama", dict(rope_parameters=LLAMA3)),
    "llama-linear-rope": ("llama", dict(rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=4.0))),
    "llama-yarn-rope": ("llama", dict(rope_parameters=YARN)),
    # Transformers scales by the length of each forward pass, so only the token after the prompt is comparable.
    "llama-dynamic-rope": ("llama", dict(max_position_embeddings=16, rope_parameters=dict(rope_type="dynamic", rope_theta=10000.0,
                                                                                         factor=2.0))),
    "mistral": ("mistral", dict(sliding_window=8, head_dim=8)),
    "qwen2": ("qwen2", dict(tie_word_embeddings=True)),
    "qwen3": ("qwen3", dict(head_dim=16)),
    "gemma2": ("gemma2", dict(head_dim=16, sliding_window=8, query_pre_attn_scalar=16,  # GGUF has no field for another
                               num_hidden_layers=2,
                              layer_types=SLIDING_FULL, tie_word_embeddings=True)),
    "gemma3": ("gemma3_text", dict(head_dim=16, sliding_window=8, query_pre_attn_scalar=24, num_hidden_layers=4,
                                   layer_types=["sliding_attention"] * 3 + ["full_attention"], tie_word_embeddings=True)),
    # What a GGUF file can say of Gemma 3: a full layer after five with a window, the scale of head_dim.
    "gemma3-gguf": ("gemma3_text", dict(head_dim=16, sliding_window=8, query_pre_attn_scalar=16, num_hidden_layers=6,
                                        layer_types=["sliding_attention"] * 5 + ["full_attention"], tie_word_embeddings=True)),
    "phi3": ("phi3", dict(original_max_position_embeddings=16,
                          rope_parameters=dict(rope_type="longrope", rope_theta=10000.0, short_factor=[1.0, 1.1, 1.2],
                                               long_factor=[1.5, 2.5, 3.5], partial_rotary_factor=0.75,
                                               original_max_position_embeddings=16))),
    "smollm3": ("smollm3", dict(num_hidden_layers=4, no_rope_layers=[1, 1, 1, 0])),
    "olmo2": ("olmo2", {}),
    "granite": ("granite", dict(embedding_multiplier=6.0, attention_multiplier=0.2, residual_multiplier=0.4, logits_scaling=3.0)),
    "gpt2": ("gpt2", dict(n_embd=32, n_layer=2, n_head=4, n_positions=64, n_inner=None, layer_norm_epsilon=1e-5,
                          tie_word_embeddings=True)),
    "mixtral": ("mixtral", dict(num_local_experts=4, num_experts_per_tok=2)),
    "qwen3-moe": ("qwen3_moe", dict(num_experts=6, norm_topk_prob=True, head_dim=8, **MOE)),
    "gpt-oss": ("gpt_oss", dict(num_local_experts=4, num_experts_per_tok=2, head_dim=8, sliding_window=8, num_hidden_layers=2,
                                layer_types=SLIDING_FULL, intermediate_size=32,
                                rope_parameters=dict(YARN, beta_fast=32.0, beta_slow=1.0, truncate=False))),
    "qwen3-next": ("qwen3_next", dict(num_experts=6, head_dim=16, shared_expert_intermediate_size=32, num_hidden_layers=4,
                                      linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=16,
                                      linear_value_head_dim=16, linear_conv_kernel_dim=4, norm_topk_prob=True,
                                      rope_parameters=dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.25),
                                      layer_types=["linear_attention"] * 3 + ["full_attention"], **MOE)),
}
GPT2_KEYS = ("vocab_size", "bos_token_id", "eos_token_id")


def randomise(model, seed):
    """Weights large enough that attention is far from uniform and every norm, bias and gate matters."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in sorted(model.named_parameters()):
        noise = torch.randn(value.shape, generator=generator)
        leaf = name.rsplit(".", 1)[-1]
        if leaf in ("A_log", "dt_bias"):
            value.data = noise * 0.5
        elif "conv1d" in name:
            value.data = noise * 0.5
        elif value.dim() == 1 and "norm" in name or name.endswith(("ln_1.weight", "ln_2.weight", "ln_f.weight")):
            value.data = value.data + noise * 0.2
        elif value.dim() == 1:
            value.data = noise * 0.3
        elif "embed" in name or "wte" in name or "wpe" in name:
            value.data = noise * (0.1 if model.config.tie_word_embeddings else 0.7)
        else:
            value.data = noise * (1.3 / value.shape[-1] ** 0.5)


def make(name, model_type, extra, out):
    settings = {k: v for k, v in BASE.items() if model_type != "gpt2" or k in GPT2_KEYS}
    settings.update(extra)
    config = CONFIG_MAPPING[model_type](**settings)
    config._attn_implementation = "eager"
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    seed = sum(name.encode())
    randomise(model, seed)
    model.tie_weights()
    prompt = torch.randint(3, config.vocab_size, (1, NUM_PROMPT_TOKENS), generator=torch.Generator().manual_seed(seed + 1))
    outputs = []
    layers = model.model.layers if hasattr(model, "model") else model.transformer.h
    hooks = [layer.register_forward_hook(lambda _m, _i, o: outputs.append(o[0] if isinstance(o, tuple) else o)) for layer in layers]
    with torch.no_grad():
        logits = model(prompt, use_cache=False).logits[0]
        hidden = torch.stack([o.reshape(NUM_PROMPT_TOKENS, -1) for o in outputs])
        for hook in hooks:
            hook.remove()
        ids = prompt
        for _ in range(1 if name == "llama-dynamic-rope" else NUM_NEW_TOKENS):
            ids = torch.cat([ids, model(ids, use_cache=False).logits[:, -1].argmax(-1, keepdim=True)], dim=1)
    folder = out / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    save_file({"prompt": prompt[0].to(torch.int32), "hidden": hidden.contiguous(), "logits": logits.contiguous(),
               "greedy": ids[0, NUM_PROMPT_TOKENS:].to(torch.int32)}, folder / "golden.safetensors")
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{name:20} {model_type:12} {size // 1024:5} KiB  logits std {logits.std():.2f}  greedy {ids[0, NUM_PROMPT_TOKENS:].tolist()}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--only", help="one case")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name, (model_type, extra) in CASES.items():
        if arguments.only in (None, name):
            make(name, model_type, extra, arguments.out)


if __name__ == "__main__":
    main()
