#!/usr/bin/env bash
# Prints the Python that has the package `gguf`, in a virtual environment in $HARNESS_CACHE or the
# user's cache folder, where it is put once.
#
#   "$(scripts/gguf-package.sh)" PROGRAM.py
#
# Needs: python3 with venv and pip.
set -euo pipefail

version=0.19.0
cache=${HARNESS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bitnet-harness}
python=$cache/gguf-$version/bin/python
if [ ! -x "$python" ]; then
    mkdir -p "$cache"
    new=$(mktemp -d "$cache/gguf.XXXXXX")
    python3 -m venv "$new/venv"
    "$new/venv/bin/python" -m pip install --quiet "gguf==$version" >&2
    # Whole or not at all: an environment finds its packages from where its python lies.
    mv "$new/venv" "$cache/gguf-$version"
    rmdir "$new"
fi
echo "$python"
