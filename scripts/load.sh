#!/usr/bin/env bash
# Many runs at once, and much to do for one of them: none hangs, all claim the same, and memory
# stays within what is said here.
#
#   scripts/load.sh [RUNS] [CASES]     # runs at once, and cases of one run; 8 1000
#
# HARNESS is the program, target/debug/harness where none is named. With HARNESS_REQUIRE_LIVE=1 each
# run asks the built references as well.
set -euo pipefail
cd "$(dirname "$0")/.."

runs=${1:-8}
cases=${2:-1000}
harness=${HARNESS:-target/debug/harness}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
[ -x "$harness" ] || cargo build --quiet --package harness
scripts/debian-packages.sh load /usr/bin/time=time python3=python3

# measured NAME MIB SECONDS WORD…: a run that ends well, within so much memory and time
measured() {
    local name=$1 most=$2 seconds=$3
    shift 3
    timeout "$seconds" /usr/bin/time -f '%M %e' -o "$work/$name.cost" "$@" \
        >"$work/$name.txt" 2>"$work/$name.err" || {
        echo "load: $name ended with $? within $seconds s: $(tail -n 1 "$work/$name.err")" >&2
        return 1
    }
    local used elapsed
    read -r used elapsed <"$work/$name.cost"
    echo "load: $name: $elapsed s, $((used / 1024)) of $most MiB"
    [ "$((used / 1024))" -le "$most" ] || { echo "load: $name took more than it may" >&2; return 1; }
}

live=()
if [ -n "${HARNESS_REQUIRE_LIVE:-}" ]; then
    live=(--reference bitnet --reference bitnet-portable --reference ik --reference llama)
fi
pids=()
for run in $(seq "$runs"); do
    measured "run-$run" 400 1800 "$harness" crossval "${live[@]}" --json "$work/$run.json" &
    pids+=($!)
done
for pid in "${pids[@]}"; do
    wait "$pid"
done
for run in $(seq 2 "$runs"); do
    "$harness" receipt diff "$work/1.json" "$work/$run.json" >"$work/diff" || {
        echo "load: run $run claims something else than run 1:" >&2
        cat "$work/diff" >&2
        exit 1
    }
done
echo "load: $runs runs at once claim the same"

# Many cases: those of the fixtures, and one of them under many names.
python3 - "$cases" "$work/cases" <<'PY'
import json, os, sys
count, folder = int(sys.argv[1]), sys.argv[2]
os.mkdir(folder)
fixtures = os.path.abspath("fixtures")
for name in os.listdir(fixtures):
    if name != "cases.json":
        os.symlink(os.path.join(fixtures, name), os.path.join(folder, name))
with open("fixtures/cases.json") as file:
    cases = json.load(file)
one = next(case for case in cases["cases"] if case["name"] == "edges-the-end")
cases["cases"] += [dict(one, name=f"case-{i}") for i in range(count)]
with open(os.path.join(folder, "cases.json"), "w") as file:
    json.dump(cases, file)
PY
measured "$cases-cases" 600 3600 "$harness" crossval --fixtures "$work/cases"
