#!/usr/bin/env bash
# One command that says whether a model computes what the reference computes:
#
#   scripts/parity_smoke.sh MODEL [TOKENIZER]
#
# Runs crossval on MODEL and gates on four fields of the receipt. With BITNET_CPP_DIR set the live
# C++ takes part; without it only a model and prompts that were recorded can be judged. TOKENIZER
# is accepted for old callers: the vocabulary inside the model is what is used. Exit 0 or 1.
set -uo pipefail

if [ $# -lt 1 ] || [ $# -gt 2 ] || [ "$1" = --help ]; then
    sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
    exit 1
fi
model=$(realpath -- "$1") || exit 1
cd "$(dirname "$0")/.." || exit 1
[ $# -eq 2 ] && echo "note: $2 is not read, the vocabulary inside the model is used" >&2

green='' red='' plain=''
[ -t 1 ] && green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
receipt=$(mktemp) && trap 'rm -f "$receipt"' EXIT
cargo run --quiet -p harness -- crossval --model "$model" --json "$receipt"
crossval=$?

# A field of a section at the top of the receipt, which is written one field a line.
field() {
    awk -v section="  \"$1\": {" -v name="\"$2\":" '
        $0 == section { inside = 1; next }
        inside && /^  }/ { exit }
        inside && $1 == name { gsub(/[",]/, "", $2); print $2; exit }' "$receipt"
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
expect quant format I2_S
expect parity status "ok rust_only"
[ $crossval -eq 0 ] || { echo "${red}FAIL${plain} crossval ended with $crossval"; failed=1; }
exit $failed
