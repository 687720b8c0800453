#!/bin/sh
# Makes every generated fixture again, then checks all of them, those included that were recorded
# or trained and cannot be made again.
set -eu
cd "$(dirname "$0")/.."
cargo run --quiet -p harness -- fixtures regenerate --fixtures fixtures
cargo run --quiet -p harness -- fixtures verify --fixtures fixtures
