"""Twice the load that the server can take: refusals are quick and say when to come back, and those admitted are served as well as at the peak."""
import json
import pathlib
import subprocess
import tempfile

import serving

LENGTHS = ("--input-len", "64", "--output-len", "64", "--spread", "0.5")


def bench(binary, url, *options):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "result.json"
        subprocess.run([binary, "bench", "serve", "--url", url, "--json", str(path), *LENGTHS, *options], check=True, capture_output=True, timeout=600)
        return json.loads(path.read_text())


def run(binary, count, full):
    with serving.serving(binary, "--max-num-seqs", "32", "--max-queued", "32") as server:
        seconds = 20 if full else 2
        bench(binary, server.url, "--concurrency", "32", "-n", "100")
        # The peak: a closed loop with a full batch. A request of it, alone, tells what latency is normal.
        trial = bench(binary, server.url, "--concurrency", "48", "-n", "300")
        peak = bench(binary, server.url, "--concurrency", "48", "-n", str(max(100, int(trial["request_throughput"] * seconds))))
        limit = 3 * peak["p99_e2el_ms"]
        slo = ("--slo", f"e2e={limit}")
        rate = 2 * peak["request_throughput"]
        overloaded = bench(binary, server.url, "--rate", f"{rate:.2f}", "-n", str(max(200, int(rate * seconds))), *slo)
        ratio = overloaded["request_goodput"] / peak["request_throughput"]
        result = {"peak_requests_s": round(peak["request_throughput"], 1), "peak_p99_e2e_ms": round(peak["p99_e2el_ms"], 1), "limit_e2e_ms": round(limit, 1),
                  "offered_requests_s": round(rate, 1), "goodput_requests_s": round(overloaded["request_goodput"], 1), "goodput_ratio": round(ratio, 3),
                  "completed": overloaded["completed"], "refused": overloaded["refused"], "failed": overloaded["failed"],
                  "refusal_p50_ms": round(overloaded["median_refusal_ms"], 2), "refusal_p99_ms": round(overloaded["p99_refusal_ms"], 2),
                  "p99_ttft_ms": round(overloaded["p99_ttft_ms"], 1)}
        assert overloaded["failed"] == 0, overloaded["errors"]
        assert overloaded["refused"] > 0 and overloaded["refused"] == overloaded["refused_with_retry_after"], result
        if full:
            assert ratio >= 0.95 and result["refusal_p50_ms"] <= 10 and result["refusal_p99_ms"] <= 50, result
        return result
