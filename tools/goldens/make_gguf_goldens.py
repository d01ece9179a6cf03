#!/usr/bin/env python3
"""Converts the checkpoints of make_model_goldens.py to GGUF with llama.cpp's own converter, so that naming, permutations and scalars of GGUF
files are judged by the program that defines them. The vocabulary is replaced by a plain one of the same size.

  make_gguf_goldens.py --llama-cpp CHECKOUT --models tests/golden/models
writes CASE/model.gguf (f32) beside each model.safetensors.
"""

import argparse
import contextlib
import json
import pathlib
import sys


# llama.cpp runs Mistral without its sliding window and writes none into the file; it has no key for a Gemma 3 scale or window pattern other
# than those of "gemma3-gguf", and none for dynamic rope.
NOT_COMPARABLE = ("mistral", "gemma3", "llama-dynamic-rope")


def plain_vocabulary(model):
    import gguf
    size = model.hparams["vocab_size"]
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(size - 3)]
    types = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL] + [gguf.TokenType.BYTE] * (size - 3)
    model.gguf_writer.add_tokenizer_model("llama")
    model.gguf_writer.add_tokenizer_pre("default")
    model.gguf_writer.add_token_list(tokens)
    model.gguf_writer.add_token_scores([0.0] * size)
    model.gguf_writer.add_token_types(types)
    model.gguf_writer.add_bos_token_id(1)
    model.gguf_writer.add_eos_token_id(2)


@contextlib.contextmanager
def vocabulary_file(folder, size):
    """Gemma's converter counts the entries of tokenizer.json to cut the embedding."""
    path = folder / "tokenizer.json"
    path.write_text(json.dumps({"model": {"vocab": {str(i): i for i in range(size)}}, "added_tokens": []}))
    try:
        yield
    finally:
        path.unlink()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--llama-cpp", type=pathlib.Path, required=True)
    parser.add_argument("--models", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    sys.path[:0] = [str(arguments.llama_cpp / "gguf-py"), str(arguments.llama_cpp)]
    import gguf
    from conversion import base, get_model_class
    for folder in sorted(p for p in arguments.models.iterdir() if (p / "config.json").exists()):
        if folder.name in NOT_COMPARABLE:
            continue
        try:
            hparams = base.ModelBase.load_hparams(folder, False)
            hparams.setdefault("n_ctx", hparams.get("n_positions"))  # dropped from config.json by newer transformers
            model_class = get_model_class(hparams["architectures"][0])
            model_class.set_vocab = plain_vocabulary
            model_class.no_mtp = True  # Qwen3-Next: no layers for multi-token prediction
            model = model_class(folder, gguf.LlamaFileType.ALL_F32, folder / "model.gguf", hparams=hparams)
            with vocabulary_file(folder, hparams["vocab_size"]):
                model.write()
            print(f"{folder.name}: {(folder / 'model.gguf').stat().st_size // 1024} KiB")
        except Exception as error:  # a case that the converter does not know is reported and left out
            (folder / "model.gguf").unlink(missing_ok=True)
            print(f"{folder.name}: not converted: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
