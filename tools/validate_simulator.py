#!/usr/bin/env python3
"""Compares `millrace simulate` with real replays of the same trace on this machine.

Steps are measured with one trace, then another is replayed through the engine, alternating; the simulator predicts the replay from all steps
that were measured. Prints the median of the replays with their range, the prediction, and its difference from the median. A prediction can't be
nearer than the replays are to each other. The machine should do nothing else meanwhile.

    tools/validate_simulator.py MILLRACE MODEL --learn CODE.csv --replay CONV.csv --rounds 5
"""

import argparse
import json
import pathlib
import statistics
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
    parser.add_argument("--time-scale", type=float, default=0.1)
    parser.add_argument("--length-scale", type=float, default=0.125)
    parser.add_argument("--max-model-len", type=int, default=1024)
    parser.add_argument("--learn-time-scale", type=float)
    parser.add_argument("--learn-requests", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    length = ("--length-scale", options.length_scale, "--max-model-len", options.max_model_len, "--json")
    replay = ("--trace", options.replay, "--requests", options.requests, "--time-scale", options.time_scale, *length)
    reals, steps = [], []
    with tempfile.TemporaryDirectory() as folder:
        measured = pathlib.Path(folder, "steps.json")
        for _ in range(options.rounds):
            if options.learn:
                run(options.millrace, "bench", options.model, "--engine", "--trace", options.learn, "--requests",
                    options.learn_requests or options.requests, "--time-scale", options.learn_time_scale or options.time_scale, "--steps-out",
                    measured, *length)
            reals.append(run(options.millrace, "bench", options.model, "--engine", *replay, *(() if options.learn else ("--steps-out", measured))))
            steps += json.loads(measured.read_text())["steps"]
        measured.write_text(json.dumps({"steps": steps}))
        simulated = run(options.millrace, "simulate", "--cost", measured, "--kv-blocks", reals[0]["kv_blocks"], *replay)
    print(f"{'':24}{'real':>10}{'range':>22}{'simulated':>12}{'difference':>12}")
    for name, path, part in [("output tokens/s", "output_tokens_per_second", None), ("busy", "busy_fraction", None),
                             *((f"{label}, {p}", key, p) for label, key in (("ms to first token", "ttft_ms"), ("ms per token", "tpot_ms"),
                                                                           ("ms to last token", "e2e_ms"))
                               for p in ("p50", "p99"))]:
        *values, predicted = [report[path] if part is None else report[path][part] for report in (*reals, simulated)]
        real = statistics.median(values)
        print(f"{name:24}{real:10.3f}{f'{min(values):.3f} - {max(values):.3f}':>22}{predicted:12.3f}{100 * (predicted / real - 1):+11.1f}%")
    print(f"{reals[0]['requests']} requests, {sum(r['refused'] for r in reals)} and {simulated['refused']} refused; "
          f"{statistics.median(r['steps'] for r in reals):.0f} steps of {statistics.median(r['mean_step_ms'] for r in reals):.2f} ms; "
          f"median error of the cost model {100 * simulated['cost_model']['median_error']:.1f} %")


if __name__ == "__main__":
    main()
