#!/usr/bin/env bash
# Looks for inputs that break what reads them: libFuzzer over the targets of fuzz/, guided by the
# code that an input reaches, with a stable toolchain. Before that, it has to find planted bugs.
#
#   scripts/fuzz.sh [SECONDS] [TARGET…]    # so long in all, 60; all targets, if none is named
#
# A finding is a panic, an input that takes longer than PATIENCE seconds (10), or one that asks for
# more memory than fuzz/src/lib.rs allows. It is kept, and how to run it again is told.
#
# What was reached stays in target/fuzz/corpus, beside the committed inputs of fuzz/corpus, so that
# the next run goes on from there. Needs a C++ compiler, as libFuzzer is compiled along.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
[ $# -eq 0 ] || shift
scripts/debian-packages.sh fuzz c++=g++
host=$(rustc -vV | sed -n 's/^host: //p')
built=$PWD/target/fuzz
# Counters at every edge, and what is compared there. All of it is stable.
flags=(--cfg fuzzing -Cpasses=sancov-module)
for arg in level=4 inline-8bit-counters pc-table trace-compares; do
    flags+=("-Cllvm-args=-sanitizer-coverage-$arg")
done
# With a target named, these flags are not those of what runs during the build.
RUSTFLAGS="${flags[*]}" cargo build --quiet --profile fuzz --package fuzz --features guided \
    --target "$host" --target-dir "$built"
program=$built/$host/fuzz/fuzz

# search TARGET SECONDS FOLDER CORPUS…: ends with 0 if nothing was found. What it says, and what it
# finds, lies in FOLDER; the first corpus grows.
search() {
    local target=$1 most=$2 folder=$3
    shift 3
    mkdir -p "$1" "$folder/seeds-$target"
    FUZZ_TARGET=$target FUZZ_SEEDS=$folder/seeds-$target RUST_BACKTRACE=1 \
        timeout $((most + 120)) "$program" "$@" "$folder/seeds-$target" \
        -max_total_time="$most" -timeout="${PATIENCE:-10}" -rss_limit_mb=2048 -max_len=140000 \
        -artifact_prefix="$folder/$target-" -print_final_stats=1 >"$folder/$target.log" 2>&1
}

runs_of() {
    sed -n 's/^stat::number_of_executed_units: *//p' "$1"
}

# planted KIND SAYS: a search from nothing finds the planted bug of that kind, and tells it so
planted() {
    local target=planted-$1 says=$2
    if search "$target" 60 "$work" "$work/corpus-$target" || ! grep -q "$says" "$work/$target.log"; then
        tail -n 20 "$work/$target.log" >&2
        echo "fuzz: $target was not found: the search sees nothing" >&2
        exit 1
    fi
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
planted panic 'the planted bug'
PATIENCE=1 planted hang 'ERROR: libFuzzer: timeout'
planted allocation 'memory allocation of .* bytes failed'
echo "fuzz: a planted panic, hang and allocation are found"

targets=("$@")
if [ $# -eq 0 ]; then
    mapfile -t targets < <(ls fuzz/corpus)
fi
each=$((seconds / ${#targets[@]}))
[ "$each" -gt 0 ] || each=1
findings=$built/findings
mkdir -p "$findings"
found=0
total=0
for target in "${targets[@]}"; do
    ended=0
    log=$findings/$target.log
    search "$target" "$each" "$findings" "$built/corpus/$target" "fuzz/corpus/$target" || ended=$?
    runs=$(runs_of "$log")
    total=$((total + ${runs:-0}))
    if [ "$ended" = 0 ] && [ "${runs:-0}" -gt 0 ]; then
        edges=$(grep -o 'cov: [0-9]*' "$log" | tail -n 1)
        echo "fuzz: $target: $runs inputs in $each s, ${edges#cov: } edges, nothing found"
        continue
    fi
    found=1
    echo "fuzz: $target: a finding after ${runs:-some} inputs (ended with $ended, see $log):" >&2
    grep -m 1 -A 2 'panicked at\|ERROR: libFuzzer\|memory allocation of' "$log" >&2 || true
    input=$(sed -n 's/.*Test unit written to //p' "$log")
    echo "run it again: FUZZ_TARGET=$target $program ${input:-}" >&2
done
echo "fuzz: $total inputs"
exit $found
