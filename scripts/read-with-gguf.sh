#!/usr/bin/env bash
# What `harness convert` writes is read by the Python package `gguf`, tensor by tensor, and decoded
# to the very values that the engine decodes.
#
# The package goes to a virtual environment in $HARNESS_CACHE or the user's cache folder, once.
# Needs: python3 with venv and pip. HARNESS is the program to run instead of building one.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.19.0
cache=${HARNESS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bitnet-harness}
python=$cache/gguf-$version/bin/python
if [ ! -x "$python" ]; then
    mkdir -p "$cache"
    new=$(mktemp -d "$cache/gguf.XXXXXX")
    python3 -m venv "$new/venv"
    "$new/venv/bin/python" -m pip install --quiet "gguf==$version"
    # Whole or not at all: an environment finds its packages from where its python lies.
    mv "$new/venv" "$cache/gguf-$version"
    rmdir "$new"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
harness() {
    if [ -n "${HARNESS:-}" ]; then "$HARNESS" "$@"; else cargo run --quiet -p harness -- "$@"; fi
}
harness fixtures checkpoint --model fixtures/moby-tiny/moby-tiny-b158.gguf -o "$work/checkpoint" >&2
# The package does not know bitnet.cpp's own type; every other one is asked for.
for type in f32 f16 bf16 q8_0 q6_k q5_k q5_1 q5_0 q4_k q4_1 q4_0 q3_k tq1_0 tq2_0; do
    harness convert "$work/checkpoint" --type "$type" -o "$work/$type.gguf" >&2
    # Its values as the engine decodes them.
    harness export "$work/$type.gguf" --format f32 --tables \
        -o "$work/$type-f32.gguf" >&2
    "$python" scripts/read-with-gguf.py "$work/$type-f32.gguf" "$work/$type.gguf"
done
# A value that is off must be seen.
"$python" scripts/read-with-gguf.py "$work/q4_0-f32.gguf" "$work/q4_1.gguf" >/dev/null && {
    echo "two different files were found equal: this check sees nothing" >&2
    exit 1
}
echo "every value is the engine's"
