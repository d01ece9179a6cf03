#!/usr/bin/env python3
"""Compares `millrace simulate` with a real replay of the same trace on this machine.

Steps are measured with one trace, then another is replayed through the engine and simulated with what was learnt. Prints both and their
ratio. The machine should do nothing else meanwhile.

    tools/validate_simulator.py MILLRACE MODEL --learn CODE.csv --replay CONV.csv
"""

import argparse
import json
import pathlib
import subprocess
import tempfile


def run(*command):
    return json.loads(subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("millrace")
    parser.add_argument("model")
    parser.add_argument("--learn", help="trace whose steps are measured (default: those of the replay itself, which leaves out how the "
                        "machine changes between two runs)")
    parser.add_argument("--replay", required=True, help="trace that is predicted")
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--time-scale", type=float, default=10)
    parser.add_argument("--length-scale", type=float, default=8)
    parser.add_argument("--max-model-len", type=int, default=1024)
    parser.add_argument("--learn-time-scale", type=float)
    parser.add_argument("--learn-requests", type=int)
    options = parser.parse_args()
    length = ("--length-scale", options.length_scale, "--max-model-len", options.max_model_len, "--json")
    replay = ("--trace", options.replay, "--requests", options.requests, "--time-scale", options.time_scale, *length)
    with tempfile.TemporaryDirectory() as folder:
        steps = pathlib.Path(folder, "steps.json")
        if options.learn:
            run(options.millrace, "bench", options.model, "--engine", "--trace", options.learn, "--requests",
                options.learn_requests or options.requests, "--time-scale", options.learn_time_scale or options.time_scale, "--steps-out",
                steps, *length)
        real = run(options.millrace, "bench", options.model, "--engine", *replay, *(() if options.learn else ("--steps-out", steps)))
        simulated = run(options.millrace, "simulate", "--cost", steps, "--kv-blocks", real["kv_blocks"], *replay)
    print(f"{'':28}{'real':>10}{'simulated':>12}{'difference':>12}")
    for name, path, part in [("output tokens/s", "output_tokens_per_second", None), ("busy", "busy_fraction", None),
                             *((f"{label}, {p}", key, p) for label, key in (("ms to first token", "ttft_ms"), ("ms per token", "tpot_ms"),
                                                                           ("ms to last token", "e2e_ms"))
                               for p in ("p50", "p99"))]:
        values = [report[path] if part is None else report[path][part] for report in (real, simulated)]
        print(f"{name:28}{values[0]:10.3f}{values[1]:12.3f}{100 * (values[1] / values[0] - 1):+11.1f}%")
    print(f"{real['requests']} requests, {real['refused']} and {simulated['refused']} refused; {real['steps']} steps of {real['mean_step_ms']:.2f} ms; "
          f"median error of the cost model {100 * simulated['cost_model']['median_error']:.1f} %")


if __name__ == "__main__":
    main()
