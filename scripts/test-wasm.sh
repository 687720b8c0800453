#!/usr/bin/env bash
# Compiles the engine for WebAssembly, runs it under node, and has every bit judged: the values and
# products of the committed QK256 files by the engine on this machine, logits, nodes and
# continuations by the recordings of bitnet.cpp, in three arithmetics. Then sees both of them fail.
#
# AC:AC7, as scripts/test-aarch64.sh is.
#
# Installs what is missing when run as root, says what is missing otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/debian-packages.sh wasm node=nodejs
built=$(scripts/build-wasm.sh)
echo "wasm: $(/usr/bin/rustc --version), $(wasm-ld-22 --version), node $(node --version)"
cargo build --quiet --workspace --examples --bins

# Node 18, which is Debian's, has to be asked for WASI; newer ones do not mind.
run=(node --no-warnings --experimental-wasi-unstable-preview1 scripts/run-wasm.mjs
    "$built/examples/subject.wasm")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

same_values() {
    cmp <(target/debug/examples/subject values "$1") <("${run[@]}" values "$2")
}
for file in fixtures/qk256/*.gguf fixtures/random/random-{qk256,bitnet32-f16,split32}.gguf; do
    same_values "$file" "$PWD/$file"
    echo "wasm: $(basename "$file"): every value and product has the bits it has here"
done

judged() {
    local profile=$1
    shift
    target/debug/harness crossval --subject "serve: ${run[*]} serve $profile" "$@"
}
cases=(--case bitnet-ishmael --case qk256-ahab --case bitnet32-ahab --case split32-ahab)
for profile in ggml-avx512 ggml-avx2; do
    judged "$profile" "${cases[@]}"
done
judged ggml-neon --case bitnet-ishmael

# What must fail does: one code of a file, and one arithmetic that is taken for another.
sound=fixtures/qk256/qk256_4x256_seed42.gguf # all of its codes are 2
cp "$sound" "$work/changed.gguf"
printf '\xab' | dd of="$work/changed.gguf" bs=1 seek=700 conv=notrunc status=none
if same_values "$sound" "$work/changed.gguf" >/dev/null; then
    echo "wasm: a changed code went unnoticed" >&2
    exit 1
fi
ended=0
judged ggml-avx2 --profile ggml-avx512 --case qk256-ahab >/dev/null 2>&1 || ended=$?
if [ "$ended" != 1 ]; then
    echo "wasm: other bits than those of the recording ended with $ended, not with 1" >&2
    exit 1
fi
echo "wasm: a changed code and another arithmetic are noticed"
