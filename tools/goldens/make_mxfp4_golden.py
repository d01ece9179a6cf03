#!/usr/bin/env python3
"""Writes src/model_loader/testdata/gpt_oss_mxfp4.safetensors: random MXFP4 experts as GPT-OSS files store them, and what Hugging Face
transformers reads from them ("expected.*", [experts, in, out] f32). Needs: tools/goldens/requirements.txt."""
import pathlib

import torch
from safetensors.torch import save_file
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

EXPERTS, HIDDEN, INNER = 2, 64, 32


def main():
    generator = torch.Generator().manual_seed(3)

    def experts(outputs, inputs):
        blocks = torch.randint(0, 256, (EXPERTS, outputs, inputs // 32, 16), generator=generator, dtype=torch.uint8)
        scales = torch.randint(118, 130, (EXPERTS, outputs, inputs // 32), generator=generator, dtype=torch.uint8)
        return blocks, scales

    tensors = {}
    prefix = "model.layers.0.mlp.experts."
    for name, (outputs, inputs) in {"gate_up_proj": (2 * INNER, HIDDEN), "down_proj": (HIDDEN, INNER)}.items():
        blocks, scales = experts(outputs, inputs)
        tensors[f"{prefix}{name}_blocks"] = blocks
        tensors[f"{prefix}{name}_scales"] = scales
        tensors[f"{prefix}{name}_bias"] = torch.randn(EXPERTS, outputs, generator=generator)
        tensors[f"expected.{name}"] = convert_moe_packed_tensors(blocks, scales, dtype=torch.float32).contiguous()
    path = pathlib.Path(__file__).resolve().parents[2] / "src/model_loader/testdata/gpt_oss_mxfp4.safetensors"
    path.parent.mkdir(exist_ok=True)
    save_file(tensors, path)


if __name__ == "__main__":
    main()
