#!/usr/bin/env bash
# Builds the page in the browser from web/: the harness for WebAssembly, the shim of its system
# calls from npm, and a part of the fixtures. Leaves a folder that any web server can hand out.
#
#   scripts/build-web.sh [FOLDER]     # default: target/web
#
# Installs what is missing when run as root, says what is missing otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."

out=${1:-target/web}
shim=@bjorn3/browser_wasi_shim@0.4.2
shim_sha512=/iHkCVUG3VbcbmEHn5iIUpIrh7a7WPiwZ3sHy4HZKZzBdSadwdddYDZAII2zBvQYV0Lfi8naZngPCN7WPHI/hA==
scripts/debian-packages.sh web npm=npm
built=$(scripts/build-wasm.sh)

mkdir -p "$out/shim"
cp web/*.{css,js} "$out"
cp "$built/harness.wasm" "$out"

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
