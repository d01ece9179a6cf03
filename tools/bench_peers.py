#!/usr/bin/env python3
"""Measures millrace and any number of llama-bench programs on the same files in the same run, alternating, and prints ratios of medians.

  tools/bench_peers.py --millrace build/release/bin/millrace --file 1b-Q4_0.gguf \\
      --peer "llama.cpp=PATH/llama-bench -fa 1" --peer "ik_llama.cpp=PATH/llama-bench -fa 1 -rtr 1" --out docs/benchmarks/cpu

Writes OUT.json (every single rate, versions, options, machine) and OUT.svg. One process per measurement, so that no program profits from another's
warm caches; each file is read once before, so that all start from the page cache.
"""

import argparse
import datetime
import json
import pathlib
import platform
import shlex
import statistics
import subprocess
import sys


def cpu_name():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def run_json(command):
    result = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    if result.returncode != 0:
        sys.exit(f"{shlex.join(command)} failed: {result.stderr.strip()[-400:]}")
    return json.loads(result.stdout[result.stdout.index("[") if result.stdout.lstrip().startswith("[") else result.stdout.index("{"):])


def measure_millrace(program, file, threads, pp, tg, depth):
    out = run_json([program, "bench", file, "--pp", str(pp), "--tg", str(tg), "--depth", str(depth), "-t", str(threads), "-r", "1", "--json"])
    line = out["results"][0]
    return line["tokens_per_second"], line["fraction_of_limit"]


def measure_peer(command, file, threads, pp, tg, depth):
    extra = ["-d", str(depth)] if depth else []
    out = run_json([*shlex.split(command), "-m", file, "-p", str(pp), "-n", str(tg), "-t", str(threads), "-r", "1", "-o", "json", *extra])
    return out[-1]["avg_ts"], None


def measure_all(arguments, programs):
    tests = [("pp", arguments.pp, 0, d) for d in arguments.pp_depth] + [("tg", 0, arguments.tg, d) for d in arguments.tg_depth]
    results = []
    for file in arguments.file:
        pathlib.Path(file).read_bytes()
        for kind, pp, tg, depth in tests:
            rates = {name: [] for name in programs}
            fractions = []
            for _ in range(arguments.rounds):
                for name, measure in programs.items():
                    rate, fraction = measure(file, arguments.threads, pp, tg, depth)
                    rates[name].append(rate)
                    if fraction is not None:
                        fractions.append(fraction)
            results.append({"file": pathlib.Path(file).name, "test": f"{kind}{pp or tg}", "depth": depth, "rates": rates,
                            "fraction_of_limit": statistics.median(fractions)})
            print_line(results[-1])
    return results


def print_line(result):
    medians = {name: statistics.median(rates) for name, rates in result["rates"].items()}
    best = max(value for name, value in medians.items() if name != "millrace") if len(medians) > 1 else None
    spread = ", ".join(f"{name} {medians[name]:.1f} ({min(r):.1f}-{max(r):.1f})" for name, r in result["rates"].items())
    ratio = f"{medians['millrace'] / best:.2f}x the best peer, " if best else ""
    print(f"{result['file']:24} {result['test']:6} depth {result['depth']:<6} {ratio}{100 * result['fraction_of_limit']:.0f} % of the limit; {spread}",
          flush=True)


def write_svg(path, results):
    rows = []
    for result in results:
        medians = {name: statistics.median(rates) for name, rates in result["rates"].items()}
        rows.append((f"{result['file']} {result['test']}" + (f" @{result['depth']}" if result["depth"] else ""), medians))
    colors = ["#2563eb", "#9ca3af", "#d1a054", "#6b9080"]
    height = 40 + sum(14 * len(m) + 14 for _, m in rows)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="720" height="{height}" font-family="sans-serif" font-size="11">',
             '<text x="8" y="18" font-size="13">tokens/s, relative to millrace</text>']
    y = 36
    for label, medians in rows:
        parts.append(f'<text x="8" y="{y + 10}">{label}</text>')
        for i, (name, value) in enumerate(medians.items()):
            width = 300 * value / medians["millrace"]
            parts.append(f'<rect x="250" y="{y}" width="{width:.0f}" height="11" fill="{colors[i % 4]}"/>'
                         f'<text x="{256 + width:.0f}" y="{y + 10}">{name} {value:.1f}</text>')
            y += 14
        y += 14
    path.write_text("\n".join([*parts, "</svg>"]) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--millrace", required=True)
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND")
    parser.add_argument("--file", action="append", required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pp", type=int, default=512)
    parser.add_argument("--tg", type=int, default=64)
    parser.add_argument("--pp-depth", type=int, nargs="*", default=[0])
    parser.add_argument("--tg-depth", type=int, nargs="*", default=[0])
    parser.add_argument("--out", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    programs = {"millrace": lambda *a: measure_millrace(arguments.millrace, *a)}
    for peer in arguments.peer:
        name, command = peer.split("=", 1)
        programs[name] = lambda *a, command=command: measure_peer(command, *a)
    results = measure_all(arguments, programs)
    limits = run_json([arguments.millrace, "bench", "--limits", "-t", f"1,{arguments.threads}", "--json"])
    record = {"date": datetime.date.today().isoformat(), "machine": cpu_name(), "threads": arguments.threads, "rounds": arguments.rounds,
              "peers": {p.split("=", 1)[0]: " ".join([pathlib.Path(shlex.split(p.split("=", 1)[1])[0]).name,
                                                      *shlex.split(p.split("=", 1)[1])[1:]]) for p in arguments.peer},
              "limits": limits, "results": results}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
    write_svg(arguments.out.with_suffix(".svg"), results)


if __name__ == "__main__":
    main()
