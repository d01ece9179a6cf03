#!/usr/bin/env python3
"""House rules that a machine can check. Prints one line a finding; exit status 1 when there is any.

  lint.py            include rules, file and function sizes, forbidden words
  lint.py --objects BUILD_DIR   weak symbols in objects compiled for one ISA
"""

import argparse
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAX_FILE_LINES = 1000
MAX_FUNCTION_LINES = 100

# Which folders of src/ a folder may include directly, besides itself and base (ARCHITECTURE.md, "Folders").
ALLOWED = {
    "base": "",
    "tensor": "",
    "core": "",
    "tokenizer": "",
    "kv_cache": "core",
    "grammar": "tokenizer",
    "chat": "grammar tokenizer core",
    "kernels": "tensor",
    "cuda": "kernels tensor",
    "distributed": "tensor",
    "model_loader": "tensor core tokenizer",
    "sampling": "kernels tensor core",
    "models": "kernels distributed model_loader tensor core",
    "kv_transfer": "distributed tensor core",
    "scheduler": "kv_cache core",
    "spec_decode": "models sampling kernels tensor core",
    "runtime": "models sampling spec_decode distributed kv_transfer model_loader kernels tensor core",
    "engine": "scheduler runtime kv_cache model_loader grammar tokenizer core",
    "server": "engine chat grammar tokenizer core",
    "sim": "scheduler kv_cache core",
}
FORBIDDEN = re.compile(r"\b(TODO|FIXME|XXX)\b|std::regex|#include <regex>")


def sources(*patterns):
    tracked = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns], cwd=ROOT,
                             capture_output=True, text=True, check=True).stdout.split()
    return [ROOT / name for name in tracked if (ROOT / name).is_file()]


def check_includes(path, lines):
    parts = path.relative_to(ROOT).parts
    if parts[0] != "src":
        return
    allowed = {parts[1], "base", *ALLOWED.get(parts[1], "").split()}
    for number, line in enumerate(lines, 1):
        match = re.match(r'#include "([a-z_]+)/', line)
        if match and match.group(1) in ALLOWED and match.group(1) not in allowed and not path.name.endswith("_test.cc"):
            yield f"{path.relative_to(ROOT)}:{number}: {parts[1]} may not include {match.group(1)}"


def check_sizes(path, lines):
    name = path.relative_to(ROOT)
    if len(lines) > MAX_FILE_LINES:
        yield f"{name}: {len(lines)} lines, the limit is {MAX_FILE_LINES}"
    start = None
    for number, line in enumerate(lines, 1):
        if re.match(r"[A-Za-z].*\)( const| noexcept| override)* \{$", line) or (start is None and line == "{"):
            start = number
        elif line.startswith("}") and start is not None:
            if number - start > MAX_FUNCTION_LINES:
                yield f"{name}:{start}: a function of {number - start} lines, the limit is {MAX_FUNCTION_LINES}"
            start = None


def check_text(path, lines):
    for number, line in enumerate(lines, 1):
        if FORBIDDEN.search(line):
            yield f"{path.relative_to(ROOT)}:{number}: forbidden: {line.strip()[:80]}"


def check_objects(build):
    """An inline function compiled with AVX-512 must not be the copy that the linker keeps for everybody."""
    for path in sorted(pathlib.Path(build).rglob("*.o")):
        if not re.search(r"_(avx2|avx512)\.cc\.o$", path.name):
            continue
        symbols = subprocess.run(["nm", "--defined-only", "-C", path], capture_output=True, text=True, check=True).stdout
        for line in symbols.splitlines():
            if re.match(r"[0-9a-f]+ [WV] ", line) and "typeinfo" not in line:
                yield f"{path.name}: weak symbol {line.split(' ', 2)[2]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--objects", metavar="BUILD_DIR")
    arguments = parser.parse_args()
    findings = []
    if arguments.objects:
        findings = list(check_objects(arguments.objects))
    else:
        for path in sources("*.cc", "*.h", "*.cu", "*.cuh", "*.inc"):
            lines = path.read_text().splitlines()
            for check in (check_includes, check_sizes, check_text):
                findings += check(path, lines)
    print("\n".join(findings) if findings else "lint: nothing found")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
