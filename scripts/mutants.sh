#!/usr/bin/env bash
# The mutation score of the engine: how many one-operator changes of its code are noticed, and by
# which oracle first.
#
#   scripts/mutants.sh [--shard K/N] [--sample N] [--seed S] [--in-diff FILE] [--json FILE]
#
# cargo-mutants lists the mutants of the engine's arithmetic, packings and kernels. Those that are
# chosen are put into one build, each behind a switch (scripts/plant_mutants.py), and one after
# another is switched on and shown to a ladder: Rust-only `crossval`, `weights` (models, layouts and
# single functions by record), `shapes --recorded`, `metamorphic`, unit tests (scripts/mutants.py).
# What nothing notices must have a reason in scripts/mutants.survivors, and what has one there must
# still survive. --shard takes every N-th from the K-th on, --sample so many drawn by the seed,
# --in-diff those of a diff.
#
# Needs python3 with venv. WORK is where it is built [default: a folder that is removed]; what was
# built and asked there once is not built and asked again, so that an ended run goes on; another
# choice needs another WORK.
set -euo pipefail
cd "$(dirname "$0")/.."

version=27.1.0
choice=() diff=() score=()
while (($#)); do
    case $1 in
        --shard | --sample | --seed) choice+=("$1" "$2"); shift 2 ;;
        --in-diff) diff=(--in-diff "$2"); shift 2 ;;
        --json) score=(--json "$2"); shift 2 ;;
        *) sed -n '2,17s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
done
work=${WORK:-$(mktemp -d)}
[[ -n ${WORK:-} ]] || trap 'rm -rf "$work"' EXIT
mkdir -p "$work"
work=$(cd "$work" && pwd)
cargo=(cargo --quiet)

# The working tree, without what git ignores.
copy() {
    mkdir -p "$1"
    git ls-files -z --cached --others --exclude-standard | tar -c --null -T - | tar -x -C "$1"
}

list() {
    [[ -x $work/tools/bin/cargo-mutants ]] ||
        cargo install --quiet --locked --root "$work/tools" --version $version cargo-mutants
    if [[ ! -d $work/venv ]]; then
        python3 -m venv "$work/venv"
        "$work/venv/bin/pip" install --quiet tree-sitter==0.26.1 tree-sitter-rust==0.24.2
    fi
    local files=()
    for part in transformer matrix numerics kernels flavor encoding; do
        files+=(-f "engine/src/$part.rs" -f "engine/src/$part/**")
    done
    # cargo-mutants leaves unsafe functions out, which most kernels are: it is shown a tree where
    # blanks stand for the word, so that everything else keeps its place.
    local blanked="s/\\bunsafe fn\\b/       fn/"
    copy "$work/listed"
    find "$work/listed/engine/src" -name '*.rs' -exec sed -i "$blanked" {} +
    if ((${#diff[@]})); then
        sed "$blanked" "${diff[1]}" >"$work/diff"
        diff[1]=$work/diff
    fi
    (cd "$work/listed" && "$work/tools/bin/cargo-mutants" mutants --list --json "${files[@]}" \
        "${diff[@]}") >"$work/all.json"
    python3 scripts/mutants.py choose "$work/all.json" "${choice[@]}" >"$work/list.json"
}

plant() {
    copy "$work/tree"
    "$work/venv/bin/python" scripts/plant_mutants.py plant "$work/list.json" "$work/tree" \
        "$work/dropped" >"$work/planted.json"
}

build() {
    list
    touch "$work/dropped"
    local before=-1
    # What does not compile is taken out until the rest does.
    while (($(wc -l <"$work/dropped") != before)); do
        before=$(wc -l <"$work/dropped")
        plant
        : >"$work/found"
        (cd "$work/tree" && "${cargo[@]}" check -p engine --target-dir "$work/target" \
            --message-format json || true) >"$work/check.json"
        python3 scripts/plant_mutants.py unviable "$work/tree" <"$work/check.json" >"$work/found"
        sort -un "$work/dropped" "$work/found" -o "$work/dropped"
        sed -i '/^$/d' "$work/dropped"
    done
    cd "$work/tree"
    "${cargo[@]}" build -p harness --target-dir "$work/target"
    "${cargo[@]}" test -p engine --lib --test it --no-run --target-dir "$work/target" \
        --message-format json | python3 -c '
import json, sys
for line in sys.stdin:
    print(json.loads(line).get("executable") or "", end="")
    if json.loads(line).get("executable"): print()' >"$work/unit"
    cp "$work/target/debug/harness" "$work/harness"
    cd - >/dev/null
}

[[ -x $work/harness ]] || build
python3 scripts/mutants.py judge "$work"
python3 scripts/mutants.py score "$work" scripts/mutants.survivors "${score[@]}"
