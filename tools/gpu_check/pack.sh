#!/usr/bin/env bash
# Builds what a GPU machine needs into one folder, build/gpu_bundle (or $1): programs, plugin, the shared libraries that such a machine may lack
# (not libc; the programs look for them in lib beside themselves), the golden checkpoints and gpu_check.py. Nothing has to be installed or
# compiled there; it may be another distribution of the same or a later glibc.
set -euo pipefail
cd "$(dirname "$0")/../.."
bundle=${1:-build/gpu_bundle}
cmake --preset cuda >/dev/null
cmake --build --preset cuda --target millrace millrace_cuda cuda_gpu_test cuda_bench
rm -rf "$bundle"
mkdir -p "$bundle/lib" "$bundle/goldens"
for name in millrace libmillrace_cuda.so cuda_gpu_test cuda_bench; do
  strip -o "$bundle/$name" "build/cuda/bin/$name"
  chmod +x "$bundle/$name"
  ldd "build/cuda/bin/$name" | awk '$2 == "=>" && $3 ~ /^\// {print $3}' |
    grep -vE '/(libc|libm|libdl|librt|libpthread|libresolv)\.so' | xargs -r cp -Lu -t "$bundle/lib"
done
cp -r tests/golden/models/. "$bundle/goldens"
cp tools/gpu_check/gpu_check.py "$bundle"
git rev-parse HEAD >"$bundle/commit" 2>/dev/null || echo unknown >"$bundle/commit"
size=$(du -sm "$bundle" | cut -f1)
echo "$bundle: $size MiB"
[ "$size" -le 60 ] || { echo "pack: the bundle is larger than 60 MiB" >&2; exit 1; }
