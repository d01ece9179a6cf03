"""Writes trained models in the formats that engines read.

    python export.py --work WORK --recipe cpu --name target --out ../../models

target: millrace-tiny.gguf (Q8_0) and the folder millrace-tiny (bf16). draft: millrace-tiny-draft.gguf."""

import argparse
import json
import shutil
from pathlib import Path

import gguf
from gguf import GGMLQuantizationType as Quantization

from chat_format import MARKER_TOKENS, SPECIAL_TOKENS, TEMPLATE_PATH
from configs import RECIPES, ModelShape
from model import Llama
from weights import add_gguf_tensors, load_checkpoint, save_folder

BOS, EOS = "<|endoftext|>", "<|im_end|>"
FILE_TYPES = {
    Quantization.Q8_0: gguf.LlamaFileType.MOSTLY_Q8_0,
    Quantization.Q4_0: gguf.LlamaFileType.MOSTLY_Q4_0,
}


def add_tokenizer(writer: gguf.GGUFWriter, path: Path) -> None:
    document = json.loads(path.read_text())
    ids = dict(document["model"]["vocab"]) | {t["content"]: t["id"] for t in document["added_tokens"]}
    tokens = sorted(ids, key=ids.get)
    types = [gguf.TokenType.NORMAL] * len(tokens)
    for token in SPECIAL_TOKENS:
        types[ids[token]] = gguf.TokenType.CONTROL
    for token in MARKER_TOKENS:
        types[ids[token]] = gguf.TokenType.USER_DEFINED
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in document["model"]["merges"]])
    writer.add_bos_token_id(ids[BOS])
    writer.add_eos_token_id(ids[EOS])
    writer.add_eot_token_id(ids[EOS])
    writer.add_pad_token_id(ids[BOS])
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_chat_template(TEMPLATE_PATH.read_text())


def add_shape(writer: gguf.GGUFWriter, shape: ModelShape) -> None:
    writer.add_vocab_size(shape.vocab_size)
    writer.add_context_length(shape.max_position_embeddings)
    writer.add_embedding_length(shape.hidden_size)
    writer.add_block_count(shape.num_hidden_layers)
    writer.add_feed_forward_length(shape.intermediate_size)
    writer.add_head_count(shape.num_attention_heads)
    writer.add_head_count_kv(shape.num_key_value_heads)
    writer.add_key_length(shape.head_dim)
    writer.add_value_length(shape.head_dim)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_rope_freq_base(shape.rope_theta)
    writer.add_layer_norm_rms_eps(shape.rms_norm_eps)


def write_gguf(path: Path, model: Llama, tokenizer: Path, name: str, matrices: Quantization) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(name)
    writer.add_license("apache-2.0")
    writer.add_languages(["en"])
    writer.add_description("A very small chat model trained by the Millrace project on its own data.")
    writer.add_file_type(FILE_TYPES[matrices])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    add_shape(writer, model.shape)
    add_tokenizer(writer, tokenizer)
    if model.early_exit_norm is not None:
        writer.add_uint32("millrace.early_exit.layer", model.shape.early_exit_layer)
        writer.add_array("millrace.early_exit.norm", model.early_exit_norm.weight.tolist())
    add_gguf_tensors(writer, model, matrices)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")


def write_folder(folder: Path, model: Llama, tokenizer: Path) -> None:
    save_folder(folder, model)
    document = json.loads(tokenizer.read_text())
    ids = {t["content"]: t["id"] for t in document["added_tokens"]}
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "torch_dtype": "bfloat16",
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": ids[BOS],
        "eos_token_id": ids[EOS],
        "pad_token_id": ids[BOS],
    }
    write_json(folder / "config.json", config | vars(model.shape))
    generation = {"bos_token_id": ids[BOS], "eos_token_id": [ids[EOS], ids[BOS]], "pad_token_id": ids[BOS]}
    write_json(folder / "generation_config.json", generation)
    shutil.copy(tokenizer, folder / "tokenizer.json")
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": model.shape.max_position_embeddings,
            "bos_token": BOS,
            "eos_token": EOS,
            "pad_token": BOS,
            "add_bos_token": False,
            "add_eos_token": False,
            "clean_up_tokenization_spaces": False,
            "chat_template": TEMPLATE_PATH.read_text(),
        },
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipe", choices=RECIPES, default="cpu")
    parser.add_argument("--name", default="target", help="which checkpoint of WORK")
    parser.add_argument("--kind", choices=["target", "draft"], default="target")
    parser.add_argument("--q4", action="store_true", help="write the GGUF file in Q4_0 instead")
    arguments = parser.parse_args()
    recipe, tokenizer = RECIPES[arguments.recipe], arguments.work / "tokenizer.json"
    arguments.out.mkdir(parents=True, exist_ok=True)
    matrices = Quantization.Q4_0 if arguments.q4 else Quantization.Q8_0
    suffix = "-q4_0" if arguments.q4 else ""
    model = load_checkpoint(arguments.work / f"{arguments.name}.pt", getattr(recipe, arguments.kind))
    stem, title = ("millrace-tiny", "Millrace Tiny")
    if arguments.kind == "draft":
        stem, title = "millrace-tiny-draft", "Millrace Tiny Draft"
    elif not arguments.q4:
        write_folder(arguments.out / stem, model, tokenizer)
    write_gguf(arguments.out / f"{stem}{suffix}.gguf", model, tokenizer, title, matrices)
    print(f"{stem}: {model.num_parameters()} parameters")


if __name__ == "__main__":
    main()
