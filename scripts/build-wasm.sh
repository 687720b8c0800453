#!/usr/bin/env bash
# Compiles for WebAssembly what is judged under node and what the page in the browser runs: the
# engine's example `subject`, and the harness. Prints the folder that they are in.
#
#   scripts/build-wasm.sh
#   QUICK=1 scripts/build-wasm.sh  # the harness unoptimised: three minutes less, for tests
set -euo pipefail
cd "$(dirname "$0")/.."

# Only the arithmetic is optimised in full: the harness around it builds sooner without.
around=1
[ -z "${QUICK:-}" ] || around=0
CARGO_PROFILE_RELEASE_DEBUG=false CARGO_PROFILE_RELEASE_STRIP=true \
    scripts/cargo-for.sh wasm32-wasip1 build --quiet --release \
    --package engine --example subject --package harness --bin harness \
    --config profile.release.package.harness.opt-level=$around >&2
echo target/platforms/wasm32-wasip1/release
