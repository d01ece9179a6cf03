#!/usr/bin/env bash
# Installs the Debian 12 packages that the build needs (the list of cmake/Dependencies.cmake). Does nothing when all are there.
set -euo pipefail
packages=(g++ cmake ninja-build ccache pkg-config git ca-certificates python3
  nlohmann-json3-dev libfmt-dev libcli11-dev libutf8proc-dev libpcre2-dev libxxhash-dev libsimdjson-dev libssl-dev
  libcurl4-openssl-dev libboost1.81-dev libgtest-dev libgmock-dev)
if [ "${1:-}" = --ci ]; then
  packages+=(clang-16 libclang-rt-16-dev clang-format clang-tidy python3-venv spin valgrind)
fi
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
echo "Installing: ${missing[*]}"
sudo=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || { echo "install_deps: not root and no sudo; install these packages yourself: ${missing[*]}" >&2; exit 1; }
  sudo=(sudo)
fi
export DEBIAN_FRONTEND=noninteractive
"${sudo[@]}" apt-get update -qq
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
