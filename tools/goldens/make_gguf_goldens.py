#!/usr/bin/env python3
"""Converts the tiny checkpoints of make_model_goldens.py to GGUF with llama.cpp's own converter, without a vocabulary.

  venv/bin/python tools/goldens/make_gguf_goldens.py --llama-cpp ~/llama.cpp --models tests/golden/models --out tests/golden/gguf

src/model_loader/gguf_golden_test.cc opens each pair and compares configuration and every weight. Matrices are stored as F16 to keep the
files small; the test rounds the safetensors values the same way. Run again after changing a model golden and commit the result."""

import argparse
import pathlib
import sys

import torch

CASES = ["llama-llama3-rope", "llama-yarn-rope", "qwen2", "qwen3", "gemma2", "gemma3", "phi3", "smollm3", "olmo2", "granite", "gpt2",
         "mixtral", "qwen3-moe", "gpt-oss", "qwen3-next"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--llama-cpp", type=pathlib.Path, required=True, help="a checkout of ggml-org/llama.cpp")
    parser.add_argument("--models", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    sys.path[:0] = [str(arguments.llama_cpp), str(arguments.llama_cpp / "gguf-py")]
    import gguf
    from conversion import ModelBase, ModelType, get_model_architecture, get_model_class

    arguments.out.mkdir(parents=True, exist_ok=True)
    for case in CASES:
        folder = arguments.models / case
        hparams = ModelBase.load_hparams(folder, False)
        model_class = get_model_class(get_model_architecture(hparams, ModelType.TEXT))
        model_class.no_mtp = True
        model_class.set_vocab = lambda self: None
        hparams.setdefault("n_ctx", hparams.get("n_positions"))
        with torch.inference_mode():
            model = model_class(folder, gguf.LlamaFileType.MOSTLY_F16, arguments.out / f"{case}.gguf", eager=True, hparams=hparams)
            # The tiny vocabulary has no tokenizer whose size could cut the embedding.
            if hasattr(model, "_create_vocab_sentencepiece"):
                (folder / "tokenizer.model").touch()
                model._create_vocab_sentencepiece = lambda: (range(hparams["vocab_size"]), None, None)
            try:
                model.write()
            finally:
                (folder / "tokenizer.model").unlink(missing_ok=True)
        print(case, (arguments.out / f"{case}.gguf").stat().st_size)


if __name__ == "__main__":
    main()
