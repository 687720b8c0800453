#!/usr/bin/env bash
# Builds the harness for other platforms, runs it there, and holds every bit against the recordings
# and against what this machine computes: a static binary for Linux without glibc, and one for
# Windows, under Wine. Then sees a recording with one other bit be found on each.
#
#   scripts/test-platforms.sh                    # both
#   scripts/test-platforms.sh TARGET…            # x86_64-unknown-linux-musl, x86_64-pc-windows-gnu
#
# WebAssembly has scripts/test-wasm.sh and scripts/test-web.sh. HARNESS is this machine's own
# program, target/debug/harness where none is named.
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# -gt 0 ] || set -- x86_64-unknown-linux-musl x86_64-pc-windows-gnu
own=${HARNESS:-target/debug/harness}
[ -x "$own" ] || cargo build --quiet --package harness
# Only the arithmetic is optimised, as in every debug build; nothing here reads a backtrace.
export CARGO_PROFILE_DEV_DEBUG=false CARGO_PROFILE_DEV_STRIP=true
# Wine takes a path below this folder as it is.
mkdir -p target/platforms
work=$(mktemp -d target/platforms/work.XXXXXX)
trap 'rm -rf "$work"' EXIT

cp -r fixtures "$work/fixtures"
scripts/platforms/plant-in-recording.py "$work/fixtures/recordings" bitnet-edges

# How many logits a receipt holds against recordings, and how many of them have the same bits.
counted() {
    python3 - "$1" <<'PY'
import json, sys
receipt = json.load(open(sys.argv[1]))
values = equal = 0
for case in receipt["cases"]:
    for measured in case["measured"][:len(case["claims"]["comparisons"])]:
        for lane in measured["findings"]["lanes"]:
            for position in lane["positions"]:
                values += position["distance"]["values"]
                equal += position["distance"]["bit_equal"]
print(values, equal, receipt["coverage"]["cases"]["compared"])
PY
}

fail() {
    echo "platforms: $*" >&2
    exit 1
}

# ends CODE NAME WORD…: what must fail ends with this code; what it said is in $work/NAME
ends() {
    local expected=$1 name=$2 ended=0
    shift 2
    "$@" >"$work/$name" 2>&1 || ended=$?
    [ "$ended" = "$expected" ] || { cat "$work/$name" >&2; fail "$* ended with $ended"; }
}

# judge TARGET: the harness for it, as a user there has it
judge() {
    local target=$1 began=$SECONDS program run
    scripts/cargo-for.sh "$target" build --quiet --package harness
    program=target/platforms/$target/debug/harness
    run=("$program")
    [ -e "$program" ] || { program=$program.exe; run=(scripts/wine.sh "$program"); }
    local built=$((SECONDS - began)) size headers
    size=$(stat -c %s "$program")
    if [[ $target == *musl ]]; then
        headers=$(readelf -l "$program") # on a line of its own: without readelf it ends here
        [[ $headers != *INTERP* ]] || fail "$program is not static"
    fi

    began=$SECONDS
    "${run[@]}" -q crossval --fixtures fixtures --json "$work/$target.json" ||
        fail "$target: crossval ended with $?"
    local took=$((SECONDS - began)) expected found
    expected=$(counted "$work/own.json")
    found=$(counted "$work/$target.json")
    local values equal cases
    read -r values equal cases <<<"$found"
    # The claims hold the hashes of all logits, those that no recording has among them.
    "$own" receipt diff "$work/own.json" "$work/$target.json" >"$work/diff" ||
        { cat "$work/diff" >&2; fail "$target claims something else than this machine"; }
    [ "$found" = "$expected" ] && [ "$values" = "$equal" ] && [ "$values" -gt 0 ] ||
        fail "$target: logits, bit-equal, cases: $found, not $expected"
    echo "platforms: $target: $equal of $values logits bit-equal in $cases cases, the claims this" \
        "machine makes; built in $built s, $((size / 1000000)) MB, run in $took s"

    ends 1 fault "${run[@]}" crossval --fixtures "$work/fixtures" --case edges-the-end
    grep -q "5719/5720" "$work/fault" || fail "$target: one other bit of a recording went unseen"
    ends 3 live "${run[@]}" crossval --fixtures fixtures --case edges-the-end --reference bitnet
    echo "platforms: $target: one other bit is found; live references: $(tail -n 1 "$work/live")"

    # Sums that round twice in mingw's library, and panics that must not pass the pool.
    scripts/cargo-for.sh "$target" test --quiet --package engine --lib -- fused pool
}

"$own" -q crossval --fixtures fixtures --json "$work/own.json"
for target in "$@"; do
    judge "$target"
done
