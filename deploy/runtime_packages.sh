#!/usr/bin/env bash
# runtime_packages.sh PROGRAM: the Debian packages of the libraries that it loads. Fails when one belongs to none.
set -euo pipefail
ldd "$1" | awk '$3 ~ "^/" { print $3 }' | while read -r library; do
  # A package has registered the file where it was before or after /usr was merged.
  file=$(readlink -f "$library")
  owner=$(dpkg -S "$file" 2>/dev/null || dpkg -S "${file#/usr}") || { echo "no package has $library" >&2; exit 1; }
  echo "${owner%%:*}"
done | sort -u
