#!/usr/bin/env bash
# Compiles for WebAssembly what is judged under node and what the page in the browser runs: the
# engine's example `subject`, and the harness. Prints the folder that they are in.
#
#   scripts/build-wasm.sh
set -euo pipefail
cd "$(dirname "$0")/.."

# Only the arithmetic is optimised in full: the harness around it builds sooner without.
CARGO_PROFILE_RELEASE_DEBUG=false CARGO_PROFILE_RELEASE_STRIP=true \
    scripts/cargo-for.sh wasm32-wasip1 build --quiet --release \
    --package engine --example subject --package harness --bin harness \
    --config profile.release.package.harness.opt-level=1 >&2
echo target/platforms/wasm32-wasip1/release
