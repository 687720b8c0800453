#!/usr/bin/env bash
# The mutation score of the engine: how many one-operator changes of its code are noticed, and by
# which command first.
#
#   scripts/mutants.sh [--shard K/N] [--in-diff FILE]
#
# cargo-mutants lists the mutants of the engine's arithmetic, packings and kernels; all of them are
# put into one build, each behind a switch (scripts/mutants.py), and each is asked for on its own:
# `crossval`, then `weights`, then `crossval` on the scalar kernel, then `kernels` and `metamorphic`.
# What nothing notices must have a reason in scripts/mutants.survivors, and what has one there must
# still survive. --shard takes every N-th from the K-th on, --in-diff those of a diff.
#
# Needs python3 with venv. WORK is where it is built [default: a folder that is removed]; what was
# built there once is used again.
set -euo pipefail
cd "$(dirname "$0")/.."

version=27.1.0
shard=1/1 diff=()
while (($#)); do
    case $1 in
        --shard) shard=$2; shift 2 ;;
        --in-diff) diff=(--in-diff "$2"); shift 2 ;;
        *) sed -n '2,17s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
done
work=${WORK:-$(mktemp -d)}
[[ -n ${WORK:-} ]] || trap 'rm -rf "$work"' EXIT
mkdir -p "$work"

build() {
    cargo install --quiet --locked --root "$work/tools" --version $version cargo-mutants
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" install --quiet tree-sitter==0.26.1 tree-sitter-rust==0.24.2
    local files=()
    for part in transformer matrix numerics kernels flavor encoding; do
        files+=(-f "engine/src/$part.rs" -f "engine/src/$part/**")
    done
    "$work/tools/bin/cargo-mutants" mutants --list --json "${files[@]}" "${diff[@]}" \
        >"$work/list.json"
    mkdir -p "$work/tree"
    : >"$work/unviable"
    # What does not compile is taken out until the rest does.
    local before=-1
    while (($(wc -l <"$work/unviable") != before)); do
        before=$(wc -l <"$work/unviable")
        git ls-files -z | tar -c --null -T - | tar -x -C "$work/tree"
        "$work/venv/bin/python" scripts/mutants.py plant "$work/list.json" "$work/tree" \
            "$work/unviable" >"$work/switched.tsv"
        (cd "$work/tree" && RUSTFLAGS=-Awarnings cargo check --quiet -p engine \
            --message-format json || true) |
            python3 scripts/mutants.py unviable "$work/tree" >>"$work/unviable"
        sort -un -o "$work/unviable" "$work/unviable"
        sed -i '/^$/d' "$work/unviable"
    done
    (cd "$work/tree" && RUSTFLAGS="-Awarnings" cargo build --quiet --release -p harness)
}
[[ -x $work/tree/target/release/harness ]] || build

harness=$work/tree/target/release/harness
ladder=(
    "crossval"
    "weights"
    "crossval --kernel scalar"
    "metamorphic"
)
asked() { # mutant, command
    # A mutant may loop or ask for all memory; both are noticed.
    (ulimit -v 8388608
    ENGINE_MUTANT=$1 timeout 120 "$harness" $2 >/dev/null 2>&1)
}
for oracle in "${ladder[@]}"; do
    asked 0 "$oracle" || { echo "without a mutant, \`$oracle\` fails"; exit 1; }
done
IFS=/ read -r first step <<<"$shard"
: >"$work/results.tsv"
while IFS=$'\t' read -r number name; do
    noticed=nothing
    for oracle in "${ladder[@]}"; do
        asked "$number" "$oracle" || { noticed=$oracle; break; }
    done
    printf '%s\t%s\t%s\n' "$number" "$noticed" "$name" | tee -a "$work/results.tsv"
done < <(awk -v k="$first" -v n="$step" 'NR % n == k % n' "$work/switched.tsv")
python3 scripts/mutants.py score "$work/results.tsv" scripts/mutants.survivors
