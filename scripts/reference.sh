#!/usr/bin/env bash
# Prepares a C++ reference and prints the line that makes it the one in use:
#
#   eval "$(scripts/reference.sh bitnet)"
#
# NAME is bitnet, bitnet-portable, bitnet-tl2, ik or llama, built from the package registry's
# sources; or bitnet-avx512 or bitnet-avx512-bf16, for processors that have that (elsewhere
# scripts/test-x86.sh runs them), or bitnet-neon or bitnet-neon-fp16, cross-built for aarch64
# (scripts/test-aarch64.sh); or DIR, a checkout of your own, built or not. All but that line goes to
# stderr. The result is kept in ${HARNESS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bitnet-harness};
# the recipes are in ffi/src/reference/recipe.rs.
set -euo pipefail

usage() {
    sed -n '2,11s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

[[ $# -eq 1 && $1 != -* ]] || usage
name=$1
[[ -d $name ]] && name=$(cd "$name" && pwd)
cd "$(dirname "$0")/.."

# Which program comes in which Debian package. gcc is for ik, which clang refuses.
declare -A packages=([cmake]=cmake [ninja]=ninja-build [clang++]=clang [clang]=clang)
[[ $name == ik ]] && packages=([cmake]=cmake [ninja]=ninja-build [g++]=g++ [gcc]=gcc)
[[ $name == bitnet-neon* && $(uname -m) != aarch64 ]] &&
    packages[aarch64-linux-gnu-g++]=g++-aarch64-linux-gnu

missing=()
for program in "${!packages[@]}"; do
    command -v "$program" >/dev/null || missing+=("${packages[$program]}")
done
if ((${#missing[@]})); then
    if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
        echo "installing ${missing[*]}" >&2
        { apt-get update -qq && apt-get install -qq -y "${missing[@]}"; } >&2
    else
        echo "not installed, and needed unless a built reference is cached: ${missing[*]}" >&2
    fi
fi

exec cargo run --quiet --locked -p ffi --bin reference -- "$name"
