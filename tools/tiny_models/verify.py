"""Checks exported models against each other and against Hugging Face transformers.

    python verify.py ../../models

The bf16 folder must give the same greedy text through transformers as through model.py (both in F32); every
GGUF file must be readable, complete, and agree with the folder's tokenizer."""

import argparse
from pathlib import Path

import gguf
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

from chat_format import render
from generate import generate
from weights import load_model

PROMPTS = ["Hello!", "What is the capital of France?", "What is 47 + 85?", "Tell me a story about a fox."]


def check_folder(folder: Path) -> None:
    ours = load_model(folder)
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    stop = set(theirs.generation_config.eos_token_id)
    for prompt in PROMPTS:
        messages = [{"role": "user", "content": prompt}]
        text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        assert text == render(messages, add_generation_prompt=True), text
        ids = tokenizer(text, add_special_tokens=False).input_ids
        expected = theirs.generate(torch.tensor([ids]), max_new_tokens=120, do_sample=False)[
            0, len(ids) :
        ].tolist()
        found = generate(ours, ids, stop, max_tokens=120)
        assert found == [t for t in expected if t not in stop], (prompt, found, expected)
        print(f"{prompt!r} -> {tokenizer.decode(found)!r}")


def check_gguf(path: Path, tokenizer: Tokenizer) -> None:
    reader = gguf.GGUFReader(path)
    tokens = reader.get_field("tokenizer.ggml.tokens").contents()
    assert tokens == [tokenizer.id_to_token(i) for i in range(len(tokens))]
    model = load_model(path)
    ids = tokenizer.encode(render([{"role": "user", "content": PROMPTS[1]}], add_generation_prompt=True)).ids
    reply = generate(model, ids, {tokenizer.token_to_id("<|im_end|>")}, max_tokens=40)
    kinds = sorted({t.tensor_type.name for t in reader.tensors})
    print(
        f"{path.name}: {len(reader.tensors)} tensors {kinds}, {path.stat().st_size} bytes: {tokenizer.decode(reply)!r}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", type=Path)
    folder = parser.parse_args().models / "millrace-tiny"
    check_folder(folder)
    for path in sorted(folder.parent.glob("*.gguf")):
        check_gguf(path, Tokenizer.from_file(str(folder / "tokenizer.json")))


if __name__ == "__main__":
    main()
