#!/bin/sh
# Makes every generated fixture again, then checks all of them, those included that were recorded
# or trained and cannot be made again. The second reading of the layouts takes python3 and a minute.
set -eu
cd "$(dirname "$0")/.."
python3 -B scripts/layouts >fixtures/layouts.json.new
mv fixtures/layouts.json.new fixtures/layouts.json
cargo run --quiet -p harness -- fixtures regenerate --fixtures fixtures
cargo run --quiet -p harness -- fixtures verify --fixtures fixtures
