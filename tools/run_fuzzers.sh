#!/usr/bin/env bash
# run_fuzzers.sh BUILD_DIR SECONDS [SEED]: runs every fuzz target of the build on its corpus, two at a time. The seed is 1 unless given, so that CI
# repeats itself; hunts use others.
set -euo pipefail
build=$1
seconds=$2
seed=${3:-1}
root=$(cd "$(dirname "$0")/.." && pwd)
run_one() {
  local target=$1 name work
  name=$(basename "$target" _fuzz)
  work=$(mktemp -d)
  mkdir -p "$root/tests/fuzz/corpus/$name"
  if ! "$target" "$work" "$root/tests/fuzz/corpus/$name" -seed="$seed" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
      -artifact_prefix="$work/" >"$work/log" 2>&1; then
    tail -n 40 "$work/log"
    echo "fuzz: $name failed; its input is in $work"
    return 1
  fi
  echo "fuzz: $name: $(grep -E 'DONE|Done' "$work/log" | tail -n 1)"
  rm -rf "$work"
}
export -f run_one
export root seconds seed
find "$build" -type f -name '*_fuzz' -perm -u+x -print0 | sort -z | xargs -0 -P 2 -I{} bash -c 'run_one {}'
