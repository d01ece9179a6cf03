#!/usr/bin/env python3
"""Measures millrace and any number of peers built on llama.cpp on the same files in the same run, alternating, and prints ratios of medians.

  tools/bench_peers.py --millrace build/release/bin/millrace --file 1b-Q4_0.gguf --test pp512 tg64 tg24@4096 b8 b32 start \\
      --peer llama.cpp=BIN_DIR --peer ik_llama.cpp=BIN_DIR --out docs/benchmarks/cpu \\
      --options "llama.cpp:bench=-fa 1" "ik_llama.cpp:bench=-fa 1 -rtr 1 -thp 1" "ik_llama.cpp:batch=-rtr -thp"

BIN_DIR holds the peer's llama-bench, llama-batched-bench and llama-completion (or llama-cli); --options go to its program of that kind (bench, batch,
start). Tests:
  ppN, ppN@D   prefill of N tokens at depth D, tokens/s                             (llama-bench -p N -d D)
  tgN, tgN@D   decode of N tokens at depth D, tokens/s                              (llama-bench -n N -d D, or -gp D,N)
  bS           S sequences decode 32 tokens each after 16, tokens/s of all          (llama-batched-bench -npl S)
  start        from exec to the end of the first token's process, 16-token prompt, 1/s  (llama-completion -n 1)

Writes OUT.json (every single rate and peak memory, versions, options, machine) and OUT.svg. One process per measurement, so that no program
profits from another's warm caches; each file is read once before, so that all start from the page cache.
"""

import argparse
import dataclasses
import datetime
import json
import math
import mmap
import os
import pathlib
import platform
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

BATCH_PROMPT, BATCH_TOKENS = 16, 32
START_PROMPT = "Once there was a mill by a river, and the miller had three sons and"  # 16 tokens of Llama 3


@dataclasses.dataclass
class Sample:
    rate: float  # tokens/s, or 1/s
    peak_mib: float
    fraction: float | None = None  # of the limit that binds, where the program knows it


@dataclasses.dataclass
class Test:
    kind: str  # pp, tg, b or start
    size: int = 0
    depth: int = 0
    threads: int = 2

    @staticmethod
    def parse(text, threads):
        match = re.fullmatch(r"(pp|tg|b)(\d+)(?:@(\d+))?|(start)", text)
        if not match:
            sys.exit(f"--test {text}: expected ppN, tgN, bS, each with @DEPTH where wanted, or start")
        if match[4]:
            return Test("start", threads=threads)
        return Test(match[1], int(match[2]), int(match[3] or 0), threads)

    def __str__(self):
        return "start" if self.kind == "start" else f"{self.kind}{self.size}" + (f"@{self.depth}" if self.depth else "")


def run(command):
    """Output (of both kinds, peers write tables to either), seconds and peak resident memory (MiB) of a command."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        if process.returncode != 0:
            sys.exit(f"{shlex.join(command)} failed: {errors.read().decode(errors='replace').strip()[-400:]}")
        return (output.read() + errors.read()).decode(errors="replace"), seconds, usage.ru_maxrss / 1024


class Millrace:
    def __init__(self, command, options):
        self.command, self.options = shlex.split(command), shlex.split(options)

    def describe(self):
        version = subprocess.run([*self.command, "--version"], capture_output=True, text=True, check=True).stdout.strip()
        return " ".join([version, *self.options])

    def measure(self, file, test):
        if test.kind == "start":
            command = ["run", file, "--prompt", START_PROMPT, "-n", "1", "-t", str(test.threads), *self.options]
            _, seconds, peak = run([*self.command, *command])
            return Sample(1 / seconds, peak)
        arguments = {"pp": ["--pp", test.size, "--tg", 0, "--depth", test.depth], "tg": ["--pp", 0, "--tg", test.size, "--depth", test.depth],
                     "b": ["--pp", 0, "--tg", BATCH_TOKENS, "--depth", BATCH_PROMPT, "--batch", test.size]}[test.kind]
        output, _, peak = run([*self.command, "bench", file, *map(str, arguments), "-t", str(test.threads), "-r", "1", "--json", *self.options])
        line = json.JSONDecoder().raw_decode(output)[0]["results"][0]
        return Sample(line["tokens_per_second"], peak, line["fraction_of_limit"])


class Peer:
    def __init__(self, directory, options):
        self.directory, self.options = pathlib.Path(directory), options

    def describe(self):
        return "; ".join(f"{kind}: {' '.join(options)}" for kind, options in self.options.items())

    def command(self, kind, file, test):
        names = {"bench": ["llama-bench"], "batch": ["llama-batched-bench"], "start": ["llama-completion", "llama-cli"]}[kind]
        program = next((self.directory / name for name in names if (self.directory / name).exists()), None)
        if program is None:
            sys.exit(f"{self.directory} has no {' or '.join(names)}")
        return [str(program), "-m", file, "-t", str(test.threads), *self.options.get(kind, [])]

    def measure(self, file, test):
        if test.kind == "start":
            command = [*self.command("start", file, test), "-p", START_PROMPT, "-n", "1", "-c", "512"]
            _, seconds, peak = run(command + (["-no-cnv"] if command[0].endswith("completion") else []))
            return Sample(1 / seconds, peak)
        if test.kind == "b":
            tokens = test.size * (BATCH_PROMPT + BATCH_TOKENS)
            output, _, peak = run([*self.command("batch", file, test), "-c", str(max(512, tokens)), "-b", "512", "-ub", "512", "-npp", str(BATCH_PROMPT),
                                   "-ntg", str(BATCH_TOKENS), "-npl", str(test.size)])
            row = next(line for line in output.splitlines() if re.match(rf"\| +{BATCH_PROMPT} \|", line))
            return Sample(float(row.split("|")[8]), peak)  # | PP | TG | B | N_KV | T_PP s | S_PP t/s | T_TG s | S_TG t/s | ...
        command = self.command("bench", file, test)
        if test.depth and "--n-depth" not in subprocess.run([command[0], "--help"], capture_output=True, text=True).stdout:
            if test.kind == "pp":
                return Sample(math.nan, math.nan)  # has no such test
            sizes = ["-p", "0", "-n", "0", "-gp", f"{test.depth},{test.size}"]
        else:
            sizes = ["-p", str(test.size if test.kind == "pp" else 0), "-n", str(test.size if test.kind == "tg" else 0), "-d", str(test.depth)][:6 if test.depth else 4]
        output, _, peak = run([*command, *sizes, "-r", "1", "-o", "json"])
        return Sample(json.JSONDecoder().raw_decode(output[output.index("[\n"):])[0][-1]["avg_ts"], peak)


def back_memory():
    """Touches and frees memory until that is fast, so that what a program allocates next is not first fetched from the host of a virtual machine.
    In a process of its own: a child's peak memory includes that of the process it was forked from."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    size, page = 2 << 30, 2 << 20
    for _ in range(8):
        begin = time.perf_counter()
        with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
            memory.madvise(mmap.MADV_HUGEPAGE)
            for at in range(0, size, page):
                memory[at] = 1
        if time.perf_counter() - begin < 0.3:
            break
    os._exit(0)


def read_once(file):
    with open(file, "rb") as opened:
        while opened.read(1 << 22):
            pass


def measure(file, test, rounds, programs):
    samples = {name: [] for name in programs}
    for _ in range(rounds):
        for name, program in programs.items():
            if test.kind == "start":
                back_memory()
            samples[name].append(program.measure(file, test))
    fractions = [s.fraction for s in samples["millrace"] if s.fraction is not None]
    return {"file": pathlib.Path(file).name, "test": str(test), "threads": test.threads,
            "rates": {name: [s.rate for s in each] for name, each in samples.items()},
            "peak_mib": {name: max(s.peak_mib for s in each) for name, each in samples.items()},
            "fraction_of_limit": statistics.median(fractions) if fractions else None}


def print_line(result):
    medians = {name: statistics.median(rates) for name, rates in result["rates"].items()}
    best = max((value for name, value in medians.items() if name != "millrace" and not math.isnan(value)), default=None)
    ratio = f"{medians['millrace'] / best:.2f}x the best peer, " if best else ""
    limit = f"{100 * result['fraction_of_limit']:.0f} % of the limit, " if result["fraction_of_limit"] else ""
    spread = ", ".join(f"{name} {medians[name]:.2f} ({min(r):.2f}-{max(r):.2f}, {result['peak_mib'][name]:.0f} MiB)" for name, r in result["rates"].items())
    print(f"{result['file']:18} {result['test']:10} {result['threads']} thr  {ratio}{limit}{spread}", flush=True)


def write_svg(path, results):
    rows = [(f"{r['file']} {r['test']}", {name: statistics.median(rates) for name, rates in r["rates"].items()}) for r in results]
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


def cpu_name():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--millrace", required=True, help="the program, perhaps after env NAME=VALUE")
    parser.add_argument("--millrace-options", default="", help='for each call, such as "--kv-cache-dtype int8"')
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=BIN_DIR")
    parser.add_argument("--options", nargs="*", default=[], metavar="NAME:KIND=OPTIONS")
    parser.add_argument("--file", nargs="+", required=True)
    parser.add_argument("--test", nargs="+", default=["pp512", "tg64"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="appends to OUT.json where it exists")
    arguments = parser.parse_args()

    programs = {"millrace": Millrace(arguments.millrace, arguments.millrace_options)}
    for peer in arguments.peer:
        name, directory = peer.split("=", 1)
        programs[name] = Peer(directory, {})
    for text in arguments.options:
        target, options = text.split("=", 1)
        name, kind = target.split(":")
        programs[name].options[kind] = shlex.split(options)
    record = {"machine": cpu_name(), "runs": []}
    path = arguments.out.with_suffix(".json")
    if path.exists():
        record = json.loads(path.read_text())
    path.parent.mkdir(parents=True, exist_ok=True)
    record["runs"].append({"date": datetime.date.today().isoformat(), "rounds": arguments.rounds,
                           "programs": {name: program.describe() for name, program in programs.items()}, "results": []})
    for file in arguments.file:
        read_once(file)
        for text in arguments.test:
            result = measure(file, Test.parse(text, arguments.threads), arguments.rounds, programs)
            print_line(result)
            record["runs"][-1]["results"].append(result)
            path.write_text(json.dumps(record, indent=1) + "\n")
    write_svg(arguments.out.with_suffix(".svg"), [result for each in record["runs"] for result in each["results"]])


if __name__ == "__main__":
    main()
