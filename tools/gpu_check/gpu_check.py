#!/usr/bin/env python3
"""Checks and measures the CUDA backend on the GPU of this machine. Run it from a bundle made by tools/gpu_check/pack.sh.

  gpu_check.py --part correctness   the kernels' tests, then the smallest of them under compute-sanitizer, a chat of a tiny model
  gpu_check.py --part kernels       kernels against limits measured in the same run
  gpu_check.py --part models        synthetic llama-3.2-1b and llama-3.1-8b, end to end
  gpu_check.py --part yardsticks    the same GPU through PyTorch, where it is installed

Each part ends within --budget seconds (default 540). One table comes last; --json FILE keeps everything. Exit status 1 when a test failed.
"""

import argparse
import datetime
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
YARDSTICK = r"""
import json, sys, time, torch
torch.manual_seed(0)
def median_ms(fn, calls=10, samples=5):
    fn(); torch.cuda.synchronize()
    times = []
    for _ in range(samples):
        a, b = torch.cuda.Event(True), torch.cuda.Event(True)
        a.record()
        for _ in range(calls): fn()
        b.record(); torch.cuda.synchronize()
        times.append(a.elapsed_time(b) / calls)
    return sorted(times)[len(times) // 2]
out = {}
x = torch.randn(8192, 8192, device='cuda', dtype=torch.bfloat16)
out['matmul 8192^3 bf16, TFLOP/s'] = 2 * 8192**3 / median_ms(lambda: x @ x) / 1e9
y = torch.empty(1 << 31, device='cuda', dtype=torch.uint8); z = torch.empty_like(y)
out['copy, GB/s'] = 2 * y.numel() / median_ms(lambda: z.copy_(y)) / 1e6
for rows, cols in ((6144, 4096), (4096, 4096), (28672, 4096), (4096, 14336)):
    ws = [torch.randn(rows, cols, device='cuda', dtype=torch.bfloat16) for _ in range(max(1, (256 << 20) // (2 * rows * cols)))]
    for tokens in (1, 16, 128, 2048):
        t = torch.randn(tokens, cols, device='cuda', dtype=torch.bfloat16)
        def run():
            for w in ws: torch.nn.functional.linear(t, w)
        ms = median_ms(run, 5) / len(ws)
        out[f'linear {rows}x{cols}, tokens {tokens}, us'] = 1000 * ms
for n in (2048, 4096, 16384):
    q = torch.randn(1, 32, n, 128, device='cuda', dtype=torch.bfloat16)
    k = torch.randn(1, 32, n, 128, device='cuda', dtype=torch.bfloat16)
    ms = median_ms(lambda: torch.nn.functional.scaled_dot_product_attention(q, k, k, is_causal=True), 3)
    out[f'causal SDPA {n} d128, TFLOP/s'] = 2.0 * n * n * 32 * 128 / ms / 1e9
print(json.dumps(out))
"""


class Check:
    def __init__(self, budget):
        self.deadline = time.monotonic() + budget
        self.rows = []
        self.record = {"date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), "steps": []}
        self.failed = False
        self.environment = dict(os.environ, MILLRACE_GOLDEN_MODELS=str(HERE / "goldens"))

    def run(self, name, command, limit, show=True, required=True):
        """Output of the command, or None; a failure or a time-out of a required step fails the check."""
        left = min(limit, self.deadline - time.monotonic())
        if left < 5:
            self.rows.append((name, "not run: no time left"))
            return None
        start = time.monotonic()
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=left, env=self.environment, cwd=HERE)
            status, output = done.returncode, done.stdout + done.stderr
        except subprocess.TimeoutExpired as error:
            status, output = "time-out", str(error.stdout or "")[-4000:]
        seconds = time.monotonic() - start
        if show or status != 0:
            print(f"== {name}: {' '.join(map(str, command))[:200]} ({seconds:.0f} s, {status})\n{output[-6000:]}", flush=True)
        self.record["steps"].append({"name": name, "command": [str(c) for c in command], "status": status, "seconds": round(seconds, 1),
                                     "output": output[-20000:]})
        if status != 0 and required:
            self.failed = True
        self.rows.append((name, "ok" if status == 0 else f"FAILED ({status})" if required else f"did not run ({status})"))
        return output if status == 0 else None

    def machine(self):
        query = "name,driver_version,memory.total,clocks.max.sm"
        self.run("machine", ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"], 30, required=False)
        self.record["commit"] = (HERE / "commit").read_text().strip() if (HERE / "commit").exists() else "unknown"

    def correctness(self):
        self.run("kernel and model tests", [HERE / "cuda_gpu_test", "--gtest_brief=1"], 300)
        sanitizer = shutil.which("compute-sanitizer") or shutil.which("compute-sanitizer", path="/usr/local/cuda/bin")
        if sanitizer is None:
            self.rows.append(("compute-sanitizer", "not on this machine"))
        for tool, tests in (("memcheck", "CudaLinear.GatedPairs*:CudaLinear.Norms*:CudaAttention.EveryVariant:CudaRows*"),
                            ("racecheck", "CudaLinear.GatedPairs*:CudaAttention.EveryVariant"), ("synccheck", "CudaAttention.EveryVariant")):
            if sanitizer is not None:
                self.run(f"compute-sanitizer {tool}",
                         [sanitizer, "--tool", tool, "--error-exitcode", "9", HERE / "cuda_gpu_test", f"--gtest_filter={tests}"], 150, show=False)
        for device in ("cpu", "cuda"):
            self.run(f"greedy text on {device}", [HERE / "millrace", "run", "synth:tiny-llama:BF16", "--device", device, "--raw", "-p",
                                                  "Once upon a time", "-n", "24", "--temp", "0", "--ignore-eos"], 60, required=device == "cuda")

    def kernels(self):
        self.run("kernels against limits", [HERE / "cuda_bench", "--json", "kernels.json"], 500)
        if (HERE / "kernels.json").exists():
            self.record["kernels"] = json.loads((HERE / "kernels.json").read_text())

    def bench(self, shape, weights, arguments, limit):
        out = self.run(f"{shape} {weights} {' '.join(arguments)}", [HERE / "millrace", "bench", f"synth:{shape}:{weights}", "--device", "cuda",
                                                                     *arguments, "--json"], limit)
        if out is None:
            return
        result = json.loads(out[out.index("{"):out.rindex("}") + 1])
        self.record.setdefault("models", []).append({"arguments": arguments, **result})
        self.rows.append(("  decode steps replayed (CUDA graphs)", str(result["replayed_steps"][0])))
        for line in result["results"]:
            self.rows.append((f"  {line['test']} depth {line['depth']} batch {line['batch']}",
                              f"{line['tokens_per_second']:.0f} tok/s, {line['gb_per_second']:.0f} GB/s, {line['gflop_per_second'] / 1000:.1f} TFLOP/s"))

    def models(self):
        # The first pair shows what replayed decode steps (CUDA graphs) bring.
        self.bench("llama-3.2-1b", "BF16", ["--pp", "2048", "--tg", "64", "--batch", "1,32"], 120)
        self.bench("llama-3.2-1b", "BF16", ["--pp", "0", "--tg", "64", "--batch", "1,32", "--enforce-eager"], 120)
        for weights in ("BF16", "Q4_0", "Q4_K_M"):
            self.bench("llama-3.1-8b", weights, ["--pp", "2048", "--tg", "64", "--depth", "0,1024", "--batch", "1,32,128"], 200)
        self.bench("qwen3-30b-a3b", "Q4_0", ["--pp", "512", "--tg", "32", "--batch", "1,32"], 200)

    def yardsticks(self):
        out = self.run("PyTorch on this GPU", [sys.executable, "-c", YARDSTICK], 400, required=False)
        if out is not None:
            self.record["pytorch"] = json.loads(out.strip().splitlines()[-1])

    def finish(self, path):
        print("\n== summary")
        for name, value in self.rows:
            print(f"{name:44} {value}")
        if path:
            pathlib.Path(path).write_text(json.dumps(self.record, indent=1) + "\n")
        return 1 if self.failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("correctness", "kernels", "models", "yardsticks", "all"), default="all")
    parser.add_argument("--budget", type=int, default=540)
    parser.add_argument("--json", default="")
    options = parser.parse_args()
    check = Check(options.budget)
    check.machine()
    parts = ("correctness", "kernels", "yardsticks", "models") if options.part == "all" else (options.part,)
    for part in parts:
        getattr(check, part)()
    return check.finish(options.json)


if __name__ == "__main__":
    sys.exit(main())
