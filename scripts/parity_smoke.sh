#!/usr/bin/env bash
# One command that says whether a model computes what the reference computes:
#
#   scripts/parity_smoke.sh MODEL [TOKENIZER]
#
# Runs crossval on MODEL and gates on four fields of the receipt, which is kept below
# target/parity/, or below the folder that REPORTS names. With BITNET_CPP_DIR set the live C++
# takes part; without it recordings stand in, and a model nobody recorded is compared with itself
# only, which is said: crossval ends with 3 there. TOKENIZER is accepted for old callers: the
# vocabulary inside the model is what is used.
# Exit 0 or 1.
set -uo pipefail

usage() {
    sed -n '2,12s/^# \{0,1\}//p' "$0"
}
if [ "${1:-}" = --help ] || [ "${1:-}" = -h ]; then
    usage
    exit 0
fi
if [ $# -lt 1 ] || [ $# -gt 2 ]; then
    usage >&2
    exit 1
fi
model=$(realpath -- "$1") || exit 1
cd "$(dirname "$0")/.." || exit 1
[ $# -eq 2 ] && echo "note: $2 is not read, the vocabulary inside the model is used" >&2

green='' red='' plain=''
[ -t 1 ] && green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
folder=${REPORTS:-target/parity}
mkdir -p -- "$folder" || exit 1
receipt=$folder/$(basename -- "$model" .gguf).json
rm -f -- "$receipt"
# HARNESS names a program that was built already.
if [ -n "${HARNESS:-}" ]; then
    "$HARNESS" crossval --model "$model" --json "$receipt"
else
    cargo run --quiet -p harness -- crossval --model "$model" --json "$receipt"
fi
crossval=$?

# A field of a section at the top of the receipt, which is written one field a line.
field() {
    awk -v section="  \"$1\": {" -v name="\"$2\":" '
        $0 == section { inside = 1; next }
        inside && /^  }/ { exit }
        inside && $1 == name { gsub(/[",]/, "", $2); print $2; exit }' "$receipt" 2>/dev/null
}

failed=0
expect() {
    local value
    value=$(field "$1" "$2")
    if [[ " $3 " == *" $value "* && -n $value ]]; then
        echo "${green}pass${plain} $1.$2 is $value"
    else
        echo "${red}FAIL${plain} $1.$2 is ${value:-missing}, expected one of: $3"
        failed=1
    fi
}
expect validation compute rust
expect validation tokenizer rust
expect quant format "I2S_QK256 I2_S ternary dense"
if [ $crossval -eq 3 ] && [ -z "${BITNET_CPP_DIR:-}" ]; then
    expect parity status reference_missing
    echo "note: nobody recorded this model: the engine agrees with itself only, with no reference"
    crossval=0
else
    expect parity status "ok rust_only"
fi
[ $crossval -eq 0 ] || { echo "${red}FAIL${plain} crossval ended with $crossval"; failed=1; }
[ -s "$receipt" ] && echo "receipt: $receipt (harness receipt show $receipt --all)"
exit $failed
