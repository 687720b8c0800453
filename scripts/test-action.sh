#!/usr/bin/env bash
# Walks through action.yml as GitHub would: the engine that is judged is this one as a program, once
# as it is, once in another arithmetic than it claims. Looks at the exit code, the output, the
# summary and the annotations of each.
#
#   HARNESS=target/debug/harness scripts/test-action.sh
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
: "${HARNESS:?names the built program}"
HARNESS=$(realpath "$HARNESS")
export HARNESS GITHUB_ACTIONS=true
desk=$(mktemp -d)
trap 'rm -rf "$desk"' EXIT
cd "$desk"

judge() { # NAME EXPECTED-CODE SUBJECT
    local code=0
    export GITHUB_OUTPUT=$desk/$1.output GITHUB_STEP_SUMMARY=$desk/$1.md
    SUBJECT=$3 RECEIPT=$1.json ARGUMENTS="--profile ggml-avx512" "$root/scripts/action.sh" \
        >"$1.out" 2>"$1.err" || code=$?
    [ "$code" -eq "$2" ] || { cat "$1.out" "$1.err"; echo "$1 ended with $code, not $2"; exit 1; }
}
has() { grep -q -- "$2" "$1" || { cat "$1"; echo "$1 does not say $2"; exit 1; }; }
lacks() { ! grep -q -- "$2" "$1" || { cat "$1"; echo "$1 says $2"; exit 1; }; }

engine="cmd: $HARNESS eval --model {model} --tokens {tokens} --logits {logits} --ubatch {ubatch}"
judge same 0 "$engine"
has same.output 'status=rust_only'
has same.md '✅ Parity'
lacks same.err '::error'
judge other 1 "$engine --profile ggml-avx2"
has other.output 'status=divergence'
has other.md '❌ Parity'
has other.err '::error title=.*DIVERGE'

# The steps of action.yml are those: every input reaches the script under a name it knows.
for name in SUBJECT MODEL PROMPT REFERENCE ARGUMENTS RECEIPT; do
    has "$root/action.yml" "  $name: "
    has "$root/scripts/action.sh" "{$name[:}]"
done
echo "action.yml: both engines judged as they should be"
