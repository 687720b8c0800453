#!/usr/bin/env bash
# Engines that nobody here wrote, from PyPI, judged as a user would judge his own: each must get the
# verdict it deserves, and each planted fault must be caught where it was made.
#
#   scripts/engines.sh
#
# The packages live in a virtual environment in the cache; the first time takes minutes. REPORTS
# names a folder in which receipts are kept.
set -euo pipefail
cd "$(dirname "$0")/.."

cache=${XDG_CACHE_HOME:-$HOME/.cache}/bitnet-harness/engines
reports=${REPORTS:-$(mktemp -d)}
engines=harness/adapters/engines
python=$cache/bin/python
bitnet=fixtures/moby-tiny/moby-tiny-bitnet.gguf
b158=fixtures/moby-tiny/moby-tiny-b158.gguf
prompt='Call me Ishmael.'
failed=0

packages=(llama-cpp-python==0.3.36 xllamacpp==2026.10.11549 transformers==5.24.0 torch==2.15.0
    accelerate==1.15.0 safetensors==0.8.0)
if [ "$(cat "$cache/made-of" 2>/dev/null)" != "${packages[*]}" ]; then
    python3 -m venv "$cache"
    # Compiled for the processor at hand, as a user's would be.
    CMAKE_ARGS="-DLLAMA_BUILD_TOOLS=OFF" "$python" -m pip install --quiet "${packages[@]}"
    echo "${packages[*]}" >"$cache/made-of"
fi
cargo build --quiet -p harness
harness=target/debug/harness
# The trained model as a checkpoint of ternary values, which have no scale of their own.
moby=$reports/checkpoint
rm -rf "$moby"
"$harness" fixtures checkpoint --model "$b158" --form values -o "$moby" >/dev/null

# judge NAME CODE WORDS ARGUMENT…: crossval must end with that code and say these words.
judge() {
    local name=$1 code=$2 words=$3 ended=0
    shift 3
    "$harness" crossval --json "$reports/engine-$name.json" "$@" >"$reports/engine-$name.txt" 2>&1 ||
        ended=$?
    if [ $ended -eq "$code" ] && grep -qF -- "$words" "$reports/engine-$name.txt"; then
        echo "ok      $name: $words"
    else
        echo "FAILED  $name: ended with $ended, expected $code and the words: $words"
        tail -n 25 "$reports/engine-$name.txt"
        failed=1
    fi
}

served="serve: $python $engines/llama_cpp_python.py"
program="cmd: $python $engines/llama_cpp_program.py -m {model} --tokens {tokens} --lane {lane} \
--ubatch {ubatch} --logits {logits}"
hugging="serve: $python $engines/transformers_bitnet.py $moby"

# The same arithmetic as the reference of that family: every bit.
exact=(--model "$bitnet" --wide --reference llama)
judge llama-cpp-python-program 0 '0 diverge, 0 known, 0 not judged' "${exact[@]}" --subject "$program"
judge llama-cpp-python-protocol 0 '0 diverge, 0 known, 0 not judged' "${exact[@]}" --subject "$served"
WRONG_ROPE_BASE=10000 judge llama-cpp-python-wrong-rope 1 DIVERGE "${exact[@]}" --subject "$served"

# Right, and wrong in the two ways in which it is wrong by default.
judge transformers-right 0 'judged by nearest tier t2-other-activations' \
    --model "$b158" --subject "$hugging right"
judge transformers-scales-missing 1 'the fault is made at Qcur-0|MUL_MAT#0' \
    --model "$b158" --prompt "$prompt" --subject "$hugging scales-missing"
judge transformers-ternarised-again 1 'in the same direction: another scale' \
    --model "$b158" --prompt "$prompt" --subject "$hugging ternarised-again"
WRONG_ROPE_BASE=400000 judge transformers-wrong-rope 1 'the fault is made at Qcur-0|ROPE#0' \
    --model "$b158" --prompt "$prompt" --subject "$hugging right"

# A server tells the likeliest tokens alone, and is judged by those. A program that copies the
# model it is handed leaves one with F32 weights, which the server knows.
wide=$reports/wide.gguf address=$reports/address
rm -f "$address"
"$harness" eval --model "$bitnet" --prompt "$prompt" --logits "$reports/ours.npy" >/dev/null
judge widened 0 'bit-identical' --model "$bitnet" --prompt "$prompt" --wide \
    --subject "cmd: sh -c 'cp \"\$1\" $wide; cp $reports/ours.npy \"\$2\"' - {model} {logits} {tokens}"
"$python" "$engines/xllamacpp_server.py" "$wide" "$address" >"$reports/server.txt" 2>&1 &
server=$!
trap 'kill $server 2>/dev/null || true' EXIT
for _ in $(seq 120); do [ -s "$address" ] && break; sleep 0.5; done
judge xllamacpp-server 0 'judged by its most likely tokens alone' --model "$bitnet" \
    --prompt "$prompt" --subject "$(cat "$address")"
exit $failed
