#!/usr/bin/env bash
# Runs a binary in an empty folder, with an empty cache, as somebody who has nothing else of this
# project: it must judge, look at a file, and compare; and see what is wrong with a damaged file. An
# archive must have the hash that lies beside it, and is unpacked.
#
#   scripts/test-installed.sh target/debug/harness
#   scripts/test-installed.sh dist/harness-x86_64-unknown-linux-gnu.tar.gz
set -euo pipefail
program=$(realpath "${1:?names the binary or the archive}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/empty"
if [[ $program == *.tar.gz ]]; then
    sum=(sha256sum)
    command -v sha256sum >/dev/null || sum=(shasum -a 256) # macOS
    verified() {
        (cd "$1" && "${sum[@]}" --check --status ./*.sha256)
    }
    cp "$program" "$program.sha256" "$work"
    verified "$work" || { echo "installed: $program has another hash" >&2; exit 1; }
    mkdir "$work/unpacked" "$work/broken"
    tar -C "$work/unpacked" -xzf "$program"
    # One bit of it, and it is another.
    cp "$program.sha256" "$work/broken"
    { cat "$program"; printf x; } >"$work/broken/$(basename "$program")"
    if verified "$work/broken"; then
        echo "installed: a longer archive has the same hash" >&2
        exit 1
    fi
    program=$(echo "$work"/unpacked/*/harness*)
    [ -s "$(dirname "$program")/man/harness.1" ] && [ -s "$(dirname "$program")/completions.bash" ]
fi
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
