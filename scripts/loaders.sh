#!/usr/bin/env bash
# Malformed and odd files, shown to the Python package `gguf`: it accepts what the engine's parser
# accepts and refuses what that refuses, or scripts/loaders.tsv has the file with a reason.
#
#   scripts/loaders.sh
#
# The files are those of the engine's own test of them.
set -euo pipefail
cd "$(dirname "$0")/.."

python=$(scripts/gguf-package.sh)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
MALFORMED_FILES=$work cargo test --quiet --workspace --test gguf every_malformed >&2
"$python" -W ignore scripts/loaders.py "$work" scripts/loaders.tsv
