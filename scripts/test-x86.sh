#!/usr/bin/env bash
# Runs what is for x86-64 on an emulated Sapphire Rapids, whatever this machine has: every kernel
# with AVX-VNNI, AVX-512 VNNI and AMX, in Bochs (scripts/emulated.sh).
#
#   scripts/test-x86.sh         # recordings of models with each of those kernels, and sees one
#                               # other bit be found; the models of fixtures/shapes.json with AMX
#   scripts/test-x86.sh record  # instead: bitnet.cpp built for AVX-512, with and without products
#                               # of bfloat16, computes the models of fixtures/shapes.json there,
#                               # which is written anew
#
# An emulated processor is some eighty times slower: each takes about half an hour. Installs what is
# missing when run as root, says what is missing otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."

what=${1:-tests}
case $what in
    tests | record) ;;
    *) echo "x86: there is no $what" >&2 && exit 2 ;;
esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/tree
mkdir -p "$tree"

# with_libraries FILE…: what these are linked with, in the tree, where they look for it
with_libraries() {
    ldd "$@" | sed -n 's/.*[ \t]\(\/[^ ]*\) (0x.*/\1/p' | sort -u | while read -r library; do
        mkdir -p "$tree$(dirname "$library")"
        cp -L "$library" "$tree$library"
    done
}

cargo build --quiet --package harness
strip -o "$tree/harness" target/debug/harness
with_libraries "$tree/harness"

if [ "$what" = record ]; then
    cache=${HARNESS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bitnet-harness}
    kept=$tree/root/.cache/bitnet-harness
    mkdir -p "$kept/references" "$kept/shims"
    words=()
    for name in bitnet-avx512 bitnet-avx512-bf16; do
        eval "$(scripts/reference.sh "$name")"
        # Opened here, too, though it may not run here: that compiles the interface to it.
        target/debug/harness reference info "$BITNET_CPP_DIR" >"$work/info" 2>&1 || true
        cp -a "$BITNET_CPP_DIR" "$kept/references/"
        with_libraries "$BITNET_CPP_DIR"/lib/*.so
        words+=(--reference "$name")
    done
    cp -a "$cache/shims/." "$kept/shims/"
    cp -r fixtures "$tree/fixtures"
    PATIENCE=7200 OUT=$work/out scripts/emulated.sh sapphire_rapids "$tree" \
        "cd / && /harness shapes --record /out/shapes.json --kernel x86_64-amx \
        --patience 3000 ${words[*]}"
    cp "$work/out/shapes.json" fixtures/shapes.json
    exit
fi

cp -r fixtures "$tree/planted"
scripts/platforms/plant-in-recording.py "$tree/planted/recordings" bitnet-edges
cases=()
for case in edges-the-end bitnet-ishmael b158-ishmael llama-portions qk256-ahab mixed-ahab; do
    cases+=(--case "$case")
done
cat >"$tree/judge" <<EOF
fail() {
    echo "x86: \$*"
    exit 1
}
for kernel in x86_64-avxvnni x86_64-avx512vl x86_64-avx512vnni x86_64-amx; do
    /harness -q crossval ${cases[*]} --kernel \$kernel || fail "\$kernel: crossval ended with \$?"
    ended=0
    /harness -q crossval --fixtures /planted --case edges-the-end --kernel \$kernel \
        >/tmp/planted || ended=\$?
    [ \$ended = 1 ] && grep -q 5719/5720 /tmp/planted ||
        fail "\$kernel: one other bit of a recording went unseen"
    echo "x86: \$kernel: every bit of the recordings; one other bit is found"
done
# With tiles where there is a batch of I2_S, with AVX-512 VNNI for all else.
/harness shapes --recorded --kernel x86_64-amx || fail "shapes ended with \$?"
EOF
scripts/emulated.sh sapphire_rapids "$tree" 'sh /judge'
