#!/usr/bin/env bash
# Cargo for a platform that rustup has no standard library for here: Debian's toolchain, which
# compiles the library from its sources. What is built lies in target/platforms/TARGET.
#
#   scripts/cargo-for.sh x86_64-unknown-linux-musl build --package harness    # static
#   scripts/cargo-for.sh x86_64-pc-windows-gnu test --package engine --lib    # runs under Wine
#   scripts/cargo-for.sh wasm32-wasip1 build --release --package harness
#
# Installs what is missing when run as root, says what is missing otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${1:?names the target}
shift
unwinding=panic_unwind
needed=(/usr/bin/rustc=rustc-web /usr/bin/cargo=cargo-web
    /usr/lib/rustlib/src/rust/library/std=rust-web-src)
support=$PWD/target/platforms/$target/support
mkdir -p "$support"
case $target in
x86_64-unknown-linux-musl)
    scripts/debian-packages.sh "$target" "${needed[@]}" musl-gcc=musl-tools
    # musl has no libunwind of its own; Debian's unwinder lacks one function there.
    musl-gcc -O2 -c scripts/platforms/find_object.c -o "$support/find_object.o"
    rm -f "$support/libfindobject.a"
    ar rcs "$support/libfindobject.a" "$support/find_object.o"
    echo 'INPUT(-lgcc_eh -lfindobject)' >"$support/libunwind.a"
    export CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER=musl-gcc
    flags="-C link-self-contained=no -C relocation-model=static -L native=$support"
    export CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_RUSTFLAGS=$flags
    ;;
x86_64-pc-windows-gnu)
    scripts/debian-packages.sh "$target" "${needed[@]}" \
        x86_64-w64-mingw32-gcc=gcc-mingw-w64-x86-64-win32
    export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER=x86_64-w64-mingw32-gcc
    export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER=scripts/wine.sh
    ;;
wasm32-wasip1)
    scripts/debian-packages.sh "$target" "${needed[@]}" wasm-ld-22=lld-22 clang=clang \
        /usr/lib/wasm32-wasi/crt1-command.o=wasi-libc
    # Debian's libc is older than threads, which are made up, and than `realpath`: what the linker
    # does not find becomes a trap, and nothing here comes by one.
    clang --target=wasm32-wasi -O2 -c scripts/platforms/threads.c -o "$support/threads.o"
    flags="-C target-feature=+simd128 -C link-self-contained=no -L native=/usr/lib/wasm32-wasi"
    for arg in /usr/lib/wasm32-wasi/crt1-command.o --unresolved-symbols=ignore-all \
        "$support/threads.o"; do
        flags+=" -C link-arg=$arg"
    done
    export CARGO_TARGET_WASM32_WASIP1_LINKER=wasm-ld-22 CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS=$flags
    unwinding=panic_abort
    ;;
*)
    echo "cargo-for: no standard library for $target here: rustup target add $target" >&2
    exit 3
    ;;
esac

# The test crate is a part of the library that only tests need.
library=std,$unwinding
[ "${1:?names what cargo does}" != test ] || library=$library,test
export RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc RUSTC_BOOTSTRAP=1
exec /usr/bin/cargo "$1" --target "$target" --target-dir target/platforms -Z build-std="$library" \
    "${@:2}"
