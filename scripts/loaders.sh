#!/usr/bin/env bash
# Malformed and odd files, shown to other readers of GGUF: they accept what the engine accepts and
# refuse what it refuses, or scripts/loaders.tsv has the file with a reason.
#
#   scripts/loaders.sh           # the Python package `gguf`, beside the engine's parser
#   scripts/loaders.sh bitnet    # that C++ reference, each file in a process of its own, beside the
#                                # whole engine; one that dies of a file has not accepted it
#
# The files are those of the engine's own test of them. HARNESS is the program, `cargo run` where
# none is named.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
MALFORMED_FILES=$work cargo test --quiet --workspace --test gguf every_malformed >&2
if [ $# -eq 0 ]; then
    python=$(scripts/gguf-package.sh)
    "$python" -W ignore scripts/loaders.py "$work" scripts/loaders.tsv
    exit
fi
read -ra harness <<<"${HARNESS:-cargo run --quiet -p harness --}"
# T38 has 60,000 tensors, which take some loaders longer than all others together.
mapfile -t files < <(find "$work" -name 'llama-*.gguf' ! -name '*-T38.gguf' | sort)
ended=0
"${harness[@]}" -q reference load "$1" "${files[@]}" --json "$work/loaded.json" >"$work/said" ||
    ended=$?
[ -s "$work/loaded.json" ] || { echo "loaders: $1 was not asked ($ended)" >&2; exit 1; }
python3 scripts/loaders.py "$work" scripts/loaders.tsv "$1" "$work/loaded.json"
