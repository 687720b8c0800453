#!/usr/bin/env bash
# llama-perplexity itself, beside `harness perplexity`, on one text: its base file holds the codes
# that the live library's logits have here, and every number it prints is the one printed here.
#
#   scripts/llama-perplexity.sh
#
# The program is built from the sources that PyPI's llama-cpp-python carries, which takes minutes
# the first time and needs python3, cmake, ninja and clang; it is kept in the cache.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.3.36
cache=${HARNESS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bitnet-harness}/llama-perplexity-$version
program=$cache/bin/llama-perplexity
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [ ! -x "$program" ]; then
    python3 -m pip download --quiet --no-deps --no-binary :all: -d "$work" \
        "llama-cpp-python==$version"
    tar -xzf "$work/llama_cpp_python-$version.tar.gz" -C "$work"
    source=$work/llama_cpp_python-$version/vendor/llama.cpp
    cmake -S "$source" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
        -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ -DGGML_NATIVE=ON \
        -DGGML_OPENMP=OFF -DGGML_CCACHE=OFF -DLLAMA_CURL=OFF -DLLAMA_BUILD_TESTS=OFF \
        -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_APP=OFF >/dev/null
    cmake --build "$work/build" --target llama-perplexity >/dev/null
    mkdir -p "$cache"
    cp -a "$work/build/bin" "$cache/"
fi
cargo build --quiet -p harness
harness=target/debug/harness

# The same weights in a type that both know, and fewer bits of them to compare with.
model=fixtures/moby-tiny/moby-tiny-bitnet.gguf
text=fixtures/moby-tiny/README.md
"$harness" export "$model" -o "$work/base.gguf" --format f32 >/dev/null
"$harness" export "$model" -o "$work/small.gguf" --format q4_k >/dev/null

# One sequence a batch, no flash attention and no repacked weights: as the library is asked here.
perplexity() {
    LD_LIBRARY_PATH=$cache/bin "$program" -c 64 -b 64 -ub 64 -fa off --no-repack -t 2 "$@" 2>&1
}
perplexity -m "$work/base.gguf" -f "$text" --kl-divergence-base "$work/base.kld" >"$work/base.txt"
perplexity -m "$work/small.gguf" --kl-divergence-base "$work/base.kld" --kl-divergence \
    >"$work/small.txt"
"$harness" kl "$work/base.gguf" --kl-base "$work/base.kld" --reference llama \
    --json "$work/base.json" >/dev/null
"$harness" kl "$work/small.gguf" --kl-base "$work/base.kld" --reference llama \
    --json "$work/small.json" >/dev/null
python3 scripts/llama-perplexity.py "$work"
