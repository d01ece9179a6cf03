#!/usr/bin/env python3
"""Instructions that a call of each kernel takes, against docs/benchmarks/instruction_budgets.json: what a clock on a busy machine cannot tell.

  tools/instruction_budgets.py build/release/src/kernels/kernel_instructions            compares; fails when one takes 5 % more
  tools/instruction_budgets.py build/release/src/kernels/kernel_instructions --update   writes what it measures

Counted by valgrind's callgrind on the AVX2 kernels (valgrind knows no AVX-512) as the difference of 3 and 2 runs, so that loading and packing drop
out. Counts belong to a compiler: the file names the one it was made with, and another major version only prints.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys

BUDGETS = pathlib.Path(__file__).resolve().parent.parent / "docs/benchmarks/instruction_budgets.json"
TOLERANCE = 1.05


def compiler():
    return "g++ " + subprocess.run(["c++", "-dumpversion"], capture_output=True, text=True, check=True).stdout.strip().split(".")[0]


def count(program, case, runs):
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, case, str(runs)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    found = re.search(r"Collected : (\d+)", result.stderr)
    if result.returncode != 0 or not found:
        sys.exit(f"{' '.join(command)} failed: {result.stderr[-400:]}")
    return int(found.group(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("program")
    parser.add_argument("--update", action="store_true")
    arguments = parser.parse_args()
    cases = subprocess.run([arguments.program], capture_output=True, text=True, check=True).stdout.splitlines()
    measured = {case: count(arguments.program, case, 3) - count(arguments.program, case, 2) for case in cases}
    if arguments.update:
        BUDGETS.write_text(json.dumps({"compiler": compiler(), "instructions": measured}, indent=1) + "\n")
        return
    budgets = json.loads(BUDGETS.read_text())
    over = []
    for case, instructions in measured.items():
        budget = budgets["instructions"].get(case)
        print(f"{case:32} {instructions:>9}" + (f"  {100 * instructions / budget - 100:+.1f} % of the budget" if budget else "  no budget"))
        if not budget or instructions > TOLERANCE * budget:
            over.append(case)
    if over and budgets["compiler"] == compiler():
        sys.exit(f"over the budget by more than 5 %, or without one: {', '.join(over)}; --update accepts it")


if __name__ == "__main__":
    main()
