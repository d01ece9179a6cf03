#!/usr/bin/env python3
"""What can be known of the CUDA plugin without a GPU: it links, its kernels spill no registers, it needs no library that a machine without CUDA
lacks, and it says why it can't be used. Usage: check_cuda_build.py BUILD_DIR. Prints "skipped" where the plugin was not built."""

import ctypes
import pathlib
import re
import subprocess
import sys

# Kernels for rare shapes may spill: heads of 256 values.
RARE = re.compile(r"ILi256E")
ALLOWED_LIBRARIES = {"libc.so.6", "libm.so.6", "libdl.so.2", "librt.so.1", "libpthread.so.0", "libstdc++.so.6", "libgcc_s.so.1",
                     "ld-linux-x86-64.so.2", "libfmt.so.9"}
MAX_PLUGIN_BYTES = 20 << 20


def check_spills(build):
    reports = sorted((build / "src/cuda/plugin").glob("*.report"))
    kernels, findings = 0, []
    for report in reports:
        name = None
        for line in report.read_text().splitlines():
            match = re.search(r"Compiling entry function '(\S+)'", line)
            if match:
                name, kernels = match.group(1), kernels + 1
            match = re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", line)
            if match and name and int(match.group(1)) > 0 and not RARE.search(name):
                findings.append(f"{report.stem}: {name} spills {match.group(1)} bytes of registers")
    if kernels == 0:
        findings.append(f"no compiler reports under {build}/src/cuda/plugin")
    return kernels, findings


def check_libraries(plugin):
    out = subprocess.run(["readelf", "-d", str(plugin)], capture_output=True, text=True, check=True).stdout
    needed = set(re.findall(r"Shared library: \[(.+?)\]", out))
    return [f"the plugin needs {name}" for name in sorted(needed - ALLOWED_LIBRARIES)]


def check_symbols(plugin):
    out = subprocess.run(["nm", "-D", "--defined-only", str(plugin)], capture_output=True, text=True, check=True).stdout
    symbols = {line.split()[-1] for line in out.splitlines()}
    return [] if symbols == {"millrace_plugin_open"} else [f"the plugin exports {sorted(symbols)[:8]}, expected millrace_plugin_open alone"]


def check_program(build):
    """Loads the plugin through the program. Without a GPU it must refuse with a reason."""
    program = build / "bin/millrace"
    if not program.exists():
        return ["bin/millrace was not built"]
    run = subprocess.run([program, "run", "synth:tiny-llama:BF16", "--device", "cuda", "--raw", "-p", "a", "-n", "1"], capture_output=True,
                         text=True, timeout=120)
    if run.returncode == 0:
        print("a GPU is here: the program ran on it")
        return []
    if run.returncode == 1 and "unavailable:" in run.stderr:
        print(f"without a GPU: {run.stderr.strip()}")
        return []
    return [f"--device cuda: exit {run.returncode}, {run.stderr.strip()[:300]}"]


def main():
    build = pathlib.Path(sys.argv[1])
    plugin = build / "bin/libmillrace_cuda.so"
    if not plugin.exists():
        print("skipped: the CUDA plugin was not built (no nvcc on this machine)")
        return 77
    ctypes.CDLL(str(plugin))  # every undefined symbol resolves
    kernels, findings = check_spills(build)
    findings += check_libraries(plugin) + check_symbols(plugin) + check_program(build)
    size = plugin.stat().st_size
    if size > MAX_PLUGIN_BYTES:
        findings.append(f"the plugin has {size} bytes, the limit is {MAX_PLUGIN_BYTES}")
    for finding in findings:
        print(finding)
    print(f"{kernels} kernels, {size / 2**20:.1f} MiB, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
