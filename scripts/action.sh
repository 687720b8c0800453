#!/usr/bin/env bash
# What action.yml does, on any machine: judges SUBJECT and leaves a receipt.
#
#   SUBJECT='cmd: ./engine -m {model} --tokens {tokens} --logits {logits}' scripts/action.sh
#
# MODEL, PROMPT, REFERENCE, ARGUMENTS and RECEIPT are as in action.yml; HARNESS is a built program.
# Ends with the exit code of `harness crossval`.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
: "${SUBJECT:?names the engine: cmd: COMMAND, serve: COMMAND, lib:FILE, or files of logits}"
model=${MODEL:-$root/fixtures/moby-tiny/moby-tiny-b158.gguf}
receipt=${RECEIPT:-parity-receipt.json}

if [ -z "${HARNESS:-}" ]; then
    cargo build --quiet --release --manifest-path "$root/Cargo.toml" -p harness
    HARNESS=${CARGO_TARGET_DIR:-$root/target}/release/harness
fi

arguments=()
for name in ${REFERENCE:-}; do
    "$root/scripts/reference.sh" "$name" >/dev/null
    arguments+=(--reference "$name")
done
# Words of a command line, and no more: nothing in them is run.
read -r -a more <<<"${ARGUMENTS:-}"

code=0
"$HARNESS" crossval --fixtures "$root/fixtures" --model "$model" \
    --prompt "${PROMPT:-Call me Ishmael.}" --subject "$SUBJECT" --json "$receipt" \
    "${arguments[@]}" "${more[@]}" || code=$?
if [ -n "${GITHUB_OUTPUT:-}" ]; then
    status=$(sed -n 's/^    "status": "\([a-z_]*\)",$/\1/p' "$receipt" 2>/dev/null | head -1)
    echo "status=${status:-none}" >>"$GITHUB_OUTPUT"
fi
exit "$code"
