#!/usr/bin/env python3
"""Writes small seeds for the model file fuzzers to tests/fuzz/corpus/{gguf,safetensors}: the first kilobytes of the tiny GGUF goldens, and
config.json with a safetensors file of tiny tensors for every architecture. Needs nothing but Python and tests/golden."""
import json
import pathlib
import struct

ROOT = pathlib.Path(__file__).resolve().parents[2]
GGUF_CASES = ["llama-llama3-rope", "gemma3", "gpt2", "phi3", "gpt-oss", "qwen3-next"]


def gguf_header(path):
    """The header alone: enough for the parser, and its tensors end where the file does not."""
    data = path.read_bytes()
    return data[:min(len(data), 6144)]


def tiny_safetensors(folder):
    """The first tensors of a golden, with their data."""
    data = (folder / "model.safetensors").read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__", None)
    kept, body = {}, b""
    for name, info in sorted(header.items(), key=lambda item: item[1]["data_offsets"][1] - item[1]["data_offsets"][0])[:12]:
        begin, end = info["data_offsets"]
        if len(body) + end - begin > 3000:
            break
        kept[name] = dict(info, data_offsets=[len(body), len(body) + end - begin])
        body += data[8 + length + begin:8 + length + end]
    text = json.dumps(kept).encode()
    return struct.pack("<Q", len(text)) + text + body


def main():
    corpus = ROOT / "tests/fuzz/corpus"
    for kind in ("gguf", "safetensors"):
        (corpus / kind).mkdir(parents=True, exist_ok=True)
    for case in GGUF_CASES:
        (corpus / "gguf" / f"{case}.bin").write_bytes(gguf_header(ROOT / f"tests/golden/gguf/{case}.gguf"))
    for folder in sorted((ROOT / "tests/golden/models").iterdir()):
        if folder.name.startswith("llama-"):
            continue
        config = json.dumps(json.loads((folder / "config.json").read_text())).encode()
        (corpus / "safetensors" / f"{folder.name}.bin").write_bytes(config + b"\n" + tiny_safetensors(folder))


if __name__ == "__main__":
    main()
