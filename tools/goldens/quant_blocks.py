#!/usr/bin/env python3
"""Writes src/base/testdata/quant_blocks.bin: random blocks of every quantised type and the values that the PyPI package `gguf` reads
from them, then random values and the blocks that it makes of them. Needs: pip install gguf numpy.

Records, little endian: u8 name length, name, u8 kind (0: blocks -> values, 1: values -> blocks), u32 number of values n, the row's
bytes, n f32. Deterministic."""
import pathlib
import struct

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import GGML_QUANT_SIZES, quants

TYPES = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS", "MXFP4", "BF16"]
EXACT_QUANTIZERS = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "MXFP4", "BF16"]
# Byte offsets of the binary16 scales inside a block; they get finite values so that results compare bit for bit.
HALF_FIELDS = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108],
               "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0]}


def record(name, kind, row, values):
    head = struct.pack("<B", len(name)) + name.encode() + struct.pack("<BI", kind, values.size)
    return head + row.tobytes() + values.astype("<f4").tobytes()


def main():
    rng = np.random.default_rng(20261121)
    out = b""
    for name in TYPES:
        qtype = Type[name]
        elems, size = GGML_QUANT_SIZES[qtype]
        count = max(1, 512 // elems)
        raw = rng.integers(0, 256, (count, size), dtype=np.uint8)
        if name == "BF16":
            raw[:, 1] &= 0xBF
        for offset in HALF_FIELDS.get(name, []):
            scale = rng.normal(0, 0.05, count).astype(np.float16)
            raw[:, offset:offset + 2] = scale.view(np.uint8).reshape(count, 2)
        if name == "MXFP4":
            raw[:, 0] = rng.integers(100, 140, count)
            raw[0, 0], raw[1, 0], raw[2, 0] = 0, 1, 255
        out += record(name, 0, raw.reshape(-1), quants.dequantize(raw.reshape(1, -1), qtype).reshape(-1))
    for name in EXACT_QUANTIZERS:
        values = rng.normal(0, 0.02, (1, 512)).astype(np.float32)
        values[0, 32:64] = 0.0
        out += record(name, 1, quants.quantize(values, Type[name]).view(np.uint8).reshape(-1), values.reshape(-1))
    path = pathlib.Path(__file__).resolve().parents[2] / "src/base/testdata/quant_blocks.bin"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(out)


if __name__ == "__main__":
    main()
