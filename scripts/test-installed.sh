#!/usr/bin/env bash
# Runs a binary in an empty folder, with an empty cache, as somebody who has nothing else of this
# project: it must judge, look at a file, and compare; and see what is wrong with a damaged file.
#
#   scripts/test-installed.sh target/debug/harness
set -euo pipefail
program=$(realpath "${1:?names the binary}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/empty"
cd "$work/empty"
export HARNESS_CACHE=$work/cache
unset BITNET_CPP_DIR CROSSVAL_GGUF

"$program" --version
"$program" crossval --case edges-the-end,b158-white-whale --json "$work/receipt.json"
"$program" receipt verify "$work/receipt.json"
"$program" fixtures random --seed 7 -o sound.gguf
"$program" check sound.gguf
"$program" doctor sound.gguf
"$program" compare sound.gguf sound.gguf >"$work/same"
head -c 20000 sound.gguf >cut.gguf
ended=0
"$program" check cut.gguf || ended=$?
[ "$ended" -eq 2 ] || { echo "installed: a cut file was not refused ($ended)" >&2; exit 1; }
"$program" fixtures random --seed 8 -o other.gguf
ended=0
"$program" compare sound.gguf other.gguf >"$work/different" || ended=$?
[ "$ended" -eq 1 ] || { echo "installed: two models are no one model ($ended)" >&2; exit 1; }
# Who changes what the program keeps for itself changes nothing.
echo '{}' >"$(echo "$HARNESS_CACHE"/fixtures/*/cases.json)"
"$program" -q crossval --case edges-the-end
# Without a place for fixtures, whatever needs none works; what does says so.
export HARNESS_CACHE=/dev/null/nowhere
"$program" -q check sound.gguf
ended=0
"$program" crossval --case edges-the-end 2>"$work/said" || ended=$?
if [ "$ended" -ne 4 ] || ! grep -q nowhere "$work/said"; then
    cat "$work/said" >&2
    exit 1
fi
echo "installed: ok"
