#!/usr/bin/env bash
# Builds the page in the browser from web/: the harness for WebAssembly, the shim of its system
# calls from npm, and a part of the fixtures. Leaves a folder that any web server can hand out.
#
#   scripts/build-web.sh [FOLDER]     # default: target/web
#
# The toolchain is Debian's own rustc with the sources of its standard library. Installs what is
# missing when run as root, says what is missing otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."

out=${1:-target/web}
shim=@bjorn3/browser_wasi_shim@0.4.2
shim_sha512=/iHkCVUG3VbcbmEHn5iIUpIrh7a7WPiwZ3sHy4HZKZzBdSadwdddYDZAII2zBvQYV0Lfi8naZngPCN7WPHI/hA==
scripts/debian-packages.sh web /usr/bin/rustc=rustc-web /usr/bin/cargo=cargo-web \
    /usr/lib/rustlib/src/rust/library/std=rust-web-src /usr/lib/wasm32-wasi/crt1-command.o=wasi-libc \
    wasm-ld-22=lld-22 clang=clang npm=npm

mkdir -p target/platforms
threads=$PWD/target/platforms/threads.o
clang --target=wasm32-wasi -O2 -c web/threads.c -o "$threads"
# Debian's libc is older than `realpath`, too: what the linker does not find is a trap.
flags=(-C target-feature=+simd128 -C link-self-contained=no -L native=/usr/lib/wasm32-wasi
    -C link-arg=/usr/lib/wasm32-wasi/crt1-command.o -C link-arg=--unresolved-symbols=ignore-all)
# Only the arithmetic is optimised in full: the harness around it builds sooner without.
env RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_WASM32_WASIP1_LINKER=wasm-ld-22 \
    CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS="${flags[*]}" \
    CARGO_PROFILE_RELEASE_DEBUG=false CARGO_PROFILE_RELEASE_STRIP=true \
    /usr/bin/cargo rustc --quiet --release --package harness --bin harness --target wasm32-wasip1 \
    --config profile.release.package.harness.opt-level=1 \
    -Z build-std=std,panic_abort --target-dir target/platforms -- -C link-arg="$threads"

mkdir -p "$out/shim"
cp web/*.{css,js} "$out"
cp target/platforms/wasm32-wasip1/release/harness.wasm "$out"

# The script of a report is allowed by its hash, and no other that stands in a page.
script=$(openssl dgst -sha256 -binary harness/src/report/page.js | base64)
sed "s|REPORT_SCRIPT|$script|" web/index.html >"$out/index.html"

if ! [ -e "$out/shim/index.js" ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    npm pack --silent --pack-destination "$work" "$shim" >/dev/null
    found=$(openssl dgst -sha512 -binary "$work"/*.tgz | base64 -w 0)
    if [ "$found" != "$shim_sha512" ]; then
        echo "web: $shim has the hash $found, not $shim_sha512" >&2
        exit 1
    fi
    tar -xzf "$work"/*.tgz -C "$work"
    cp "$work"/package/dist/*.js "$work"/package/LICENSE-MIT "$out/shim"
fi

# The same bytes from the same files.
node scripts/web-fixtures.mjs fixtures target/web-fixtures
tar --sort=name --mtime=@0 --owner=0 --group=0 --format=ustar -C target/web-fixtures -cf - . |
    gzip -9n >"$out/fixtures.tar.gz"

du -shL "$out"
