#!/usr/bin/env bash
# What `harness convert` writes is read by the Python package `gguf`, tensor by tensor, and decoded
# to the very values that the engine decodes.
#
# HARNESS is the program to run instead of building one.
set -euo pipefail
cd "$(dirname "$0")/.."

python=$(scripts/gguf-package.sh)
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
