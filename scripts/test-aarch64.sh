#!/usr/bin/env bash
# Cross-compiles for aarch64 and runs under qemu: the engine's tests, the committed fixtures, and
# what recordings made on x86 and of builds for aarch64 hold.
#
#   scripts/test-aarch64.sh         # the above
#   QUICK=1 scripts/test-aarch64.sh # without the tokenizer suite, which takes two minutes there
#   scripts/test-aarch64.sh live    # instead: the whole harness there, with bitnet.cpp built for
#                                   # aarch64, live, with and without half-precision arithmetic
#   scripts/test-aarch64.sh record  # instead: those compute the models of fixtures/shapes.json, which
#                                   # is written anew
#
# The toolchain is Debian's own rustc, which has a standard library for arm64; rustup's has none
# without a network. Installs what is missing when run as root, says what is missing otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."

target=aarch64-unknown-linux-gnu
scripts/debian-packages.sh aarch64 /usr/bin/rustc=rustc-web \
    "/usr/lib/rustlib/$(uname -m)-unknown-linux-gnu/lib=libstd-rust-web-dev" \
    "/usr/lib/rustlib/$target/lib=libstd-rust-web-dev:arm64" \
    aarch64-linux-gnu-gcc=gcc-aarch64-linux-gnu qemu-aarch64=qemu-user \
    /usr/aarch64-linux-gnu/lib/crti.o=libc6-dev-arm64-cross \
    /lib/ld-linux-aarch64.so.1=libc6:arm64 \
    /usr/lib/aarch64-linux-gnu/libstdc++.so.6=libstdc++6:arm64

what=${1:-tests}
case $what in
    tests) ;;
    live) words=(crossval) ;;
    record) words=(shapes --record fixtures/shapes.json) ;;
    *) echo "aarch64: there is no $what" >&2 && exit 2 ;;
esac
if [ "$what" != tests ]; then
    scripts/reference.sh bitnet-neon >/dev/null
    scripts/reference.sh bitnet-neon-fp16 >/dev/null
fi

[ "$what" != tests ] || cargo build --quiet --workspace --examples --bins
export RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -cpu max"
echo "aarch64: $($RUSTC --version), $(qemu-aarch64 --version | head -n 1)"
arch=(--target "$target" --target-dir target/aarch64)
if [ "$what" != tests ]; then
    # A worker is this program again: the emulator has to be named, the kernel knows no other way.
    export HARNESS_WORKER_WRAPPER=$CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER
    words+=(--reference bitnet-neon --reference bitnet-neon-fp16 --patience 1800)
    exec cargo run --quiet --package harness "${arch[@]}" -- "${words[@]}"
fi
skip=()
if [ -n "${QUICK:-}" ]; then
    skip=(-- --skip tokenizer_suite::)
    echo "aarch64: the tokenizer suite is left out"
fi
cargo test --package engine --tests "${arch[@]}" "${skip[@]}"
# The committed files decode and multiply to the same bits here, and the recordings come out.
cargo build --quiet --package engine --example subject "${arch[@]}"
built=target/aarch64/$target/debug/examples
values=(values fixtures/qk256/*.gguf)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
target/debug/examples/subject "${values[@]}" >"$work/here"
$CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER "$built/subject" "${values[@]}" >"$work/there"
[ -s "$work/here" ]
cmp "$work/here" "$work/there"
echo "aarch64: every value and product of fixtures/qk256 has the bits it has on this machine"
# The engine there is judged by the harness here.
judged() {
    local profile=$1
    shift
    target/debug/harness crossval "$@" --subject \
        "serve: $CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER $built/subject serve $profile"
}
for profile in ggml-avx512 ggml-avx2; do
    judged "$profile" --case b158-ishmael --case bitnet-ishmael
done
for profile in ggml-neon ggml-neon-fp16; do
    judged "$profile" --case bitnet-ishmael
done
ended=0
judged ggml-neon --profile ggml-neon-fp16 --case bitnet-ishmael >/dev/null 2>&1 || ended=$?
if [ "$ended" != 1 ]; then
    echo "aarch64: other bits than those of the recording ended with $ended, not with 1" >&2
    exit 1
fi
echo "aarch64: another arithmetic is noticed"
