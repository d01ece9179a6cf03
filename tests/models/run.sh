#!/usr/bin/env bash
# Checks the Promela models of this folder with Spin (Debian package spin). Says what it checks; exit status 1 on a violation.
set -eu
cd "$(dirname "$0")"
command -v spin >/dev/null || { echo "spin is not installed (apt install spin): models not checked"; exit 0; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# check NAME WANTED(ok|violation) SPIN_FLAGS PAN_FLAGS
check() {
  local name=$1 wanted=$2 found
  cp preemption.pml "$work/model.pml"
  (cd "$work" && spin -a $3 model.pml >spin.log 2>&1 && gcc -O2 -w -DMEMLIM=2048 -DVECTORSZ=2048 $5 -o pan pan.c &&
    timeout 600 ./pan -m200000 $4 >pan.log 2>&1) || { cat "$work"/*.log; exit 1; }
  found=ok
  grep -q "errors: 0" "$work/pan.log" || found=violation
  grep -qi "out of memory\|search not completed\|max search depth too small" "$work/pan.log" && [ "$wanted" = ok ] && found=incomplete
  echo "$name: $found, $(grep -m1 -o '[0-9.e+]* states, stored' "$work/pan.log" || true)"
  [ "$found" = "$wanted" ] || { cat "$work/pan.log"; exit 1; }
}

check "safety, 3 sequences, 4 blocks" ok "-DN=3" "-noclaim" "-DSAFETY -DNOCLAIM"
check "drain ends, 2 sequences, 3 blocks" ok "-DN=2 -DM=3" "-a -f" ""
check "safety, preempted once at most" ok "-DN=3 -DLIMIT=1" "-noclaim" "-DSAFETY -DNOCLAIM"
check "drain ends, 3 sequences, 3 blocks" ok "-DN=3 -DM=3" "-a -f" ""
check "without reservation (must fail)" violation "-DN=3 -DLIMIT=1 -DNO_RESERVATION" "-noclaim" "-DSAFETY -DNOCLAIM"
