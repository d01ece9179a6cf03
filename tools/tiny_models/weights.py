"""Reads and writes models: checkpoints (.pt), Hugging Face folders, GGUF files."""

import json
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Quantization
from safetensors.torch import load_file, save_file

from configs import ModelShape
from model import Llama

# GGUF name of each weight inside a layer; {} is "blk.N".
LAYER_NAMES = {
    "input_layernorm.weight": "{}.attn_norm.weight",
    "self_attn.q_proj.weight": "{}.attn_q.weight",
    "self_attn.k_proj.weight": "{}.attn_k.weight",
    "self_attn.v_proj.weight": "{}.attn_v.weight",
    "self_attn.o_proj.weight": "{}.attn_output.weight",
    "post_attention_layernorm.weight": "{}.ffn_norm.weight",
    "mlp.gate_proj.weight": "{}.ffn_gate.weight",
    "mlp.up_proj.weight": "{}.ffn_up.weight",
    "mlp.down_proj.weight": "{}.ffn_down.weight",
}
EARLY_EXIT_NORM = "early_exit_norm.weight"
EARLY_EXIT_FILE = "early_exit.safetensors"


def gguf_names(shape: ModelShape) -> dict[str, str]:
    """From parameter name to GGUF tensor name. The early exit's norm travels as metadata."""
    names = {"embed_tokens.weight": "token_embd.weight", "norm.weight": "output_norm.weight"}
    for layer in range(shape.num_hidden_layers):
        for ours, theirs in LAYER_NAMES.items():
            names[f"layers.{layer}.{ours}"] = theirs.format(f"blk.{layer}")
    return names


def _interleave(weight: np.ndarray, num_heads: int) -> np.ndarray:
    """Rows of q and k from the half-split rope layout to GGUF's interleaved one."""
    rows, columns = weight.shape
    halves = weight.reshape(num_heads, 2, rows // num_heads // 2, columns)
    return halves.swapaxes(1, 2).reshape(rows, columns)


def _deinterleave(weight: np.ndarray, num_heads: int) -> np.ndarray:
    rows, columns = weight.shape
    pairs = weight.reshape(num_heads, rows // num_heads // 2, 2, columns)
    return pairs.swapaxes(1, 2).reshape(rows, columns)


def _rope_heads(name: str, shape: ModelShape) -> int:
    """The number of heads whose rows the rope layout permutes; 0 for every other weight."""
    if name.endswith("q_proj.weight"):
        return shape.num_attention_heads
    return shape.num_key_value_heads if name.endswith("k_proj.weight") else 0


def add_gguf_tensors(writer: gguf.GGUFWriter, model: Llama, matrices: Quantization) -> None:
    """Matrices in the given type, norms in F32."""
    state = model.state_dict()
    for name, gguf_name in gguf_names(model.shape).items():
        weight = state[name].float().numpy()
        if heads := _rope_heads(name, model.shape):
            weight = _interleave(weight, heads)
        kind = matrices if weight.ndim == 2 else Quantization.F32
        writer.add_tensor(gguf_name, gguf.quants.quantize(weight, kind), raw_dtype=kind)


def save_folder(folder: Path, model: Llama) -> None:
    """model.safetensors in bf16 with Hugging Face's names, and the early exit's norm beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {k: v.to(torch.bfloat16).contiguous() for k, v in model.state_dict().items()}
    early = state.pop(EARLY_EXIT_NORM, None)
    save_file({f"model.{k}": v for k, v in state.items()}, folder / "model.safetensors", {"format": "pt"})
    if early is not None:
        save_file({EARLY_EXIT_NORM: early}, folder / EARLY_EXIT_FILE, {"format": "pt"})


def load_checkpoint(path: Path, shape: ModelShape) -> Llama:
    model = Llama(shape)
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["model"])
    return model.eval()


def load_folder(folder: Path) -> Llama:
    config = json.loads((folder / "config.json").read_text())
    fields = {k: config[k] for k in ModelShape.__dataclass_fields__ if k in config}
    model = Llama(ModelShape(**fields))
    state = {k.removeprefix("model."): v.float() for k, v in load_file(folder / "model.safetensors").items()}
    if (folder / EARLY_EXIT_FILE).exists():
        state |= {k: v.float() for k, v in load_file(folder / EARLY_EXIT_FILE).items()}
    model.load_state_dict(state)
    return model.eval()


def load_gguf(path: Path) -> Llama:
    """Dequantised to F32; the early exit is read from the metadata when it is there."""
    reader = gguf.GGUFReader(path)
    value = lambda key: reader.get_field(f"llama.{key}").contents()
    tensors = {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in reader.tensors}
    early = reader.get_field("millrace.early_exit.norm")
    shape = ModelShape(
        hidden_size=value("embedding_length"),
        intermediate_size=value("feed_forward_length"),
        num_hidden_layers=value("block_count"),
        num_attention_heads=value("attention.head_count"),
        num_key_value_heads=value("attention.head_count_kv"),
        head_dim=value("attention.key_length"),
        early_exit_layer=reader.get_field("millrace.early_exit.layer").contents() if early else 0,
    )
    state = {}
    for name, gguf_name in gguf_names(shape).items():
        heads = _rope_heads(name, shape)
        weight = _deinterleave(tensors[gguf_name], heads) if heads else tensors[gguf_name]
        state[name] = torch.from_numpy(np.array(weight, dtype=np.float32))
    if early:
        state[EARLY_EXIT_NORM] = torch.tensor(early.contents())
    model = Llama(shape)
    model.load_state_dict(state)
    return model.eval()


def load_model(path: Path, shape: ModelShape | None = None) -> Llama:
    """A checkpoint needs its shape; folders and GGUF files know theirs."""
    if path.is_dir():
        return load_folder(path)
    return load_gguf(path) if path.suffix == ".gguf" else load_checkpoint(path, shape)
