#!/bin/sh
# Fetches llama.cpp's tokenizer suite, vocabularies with texts and their ids, and prints where it
# lies: outside of this repository, in $HARNESS_CACHE or the user's cache folder.
#
# It comes with the source distribution of llama-cpp-python, which pip downloads and nothing here
# builds. Needs: pip, tar, sha256sum.
set -eu

name=llama-cpp-python
version=0.3.36
sha256=832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e

cache=${HARNESS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bitnet-harness}
suite=$cache/tokenizer-suite
if [ -d "$suite" ]; then
    echo "$suite"
    exit 0
fi

mkdir -p "$cache"
work=$(mktemp -d "$cache/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# pip asks the package for its metadata before it leaves a source distribution alone; what it
# prints on the way is of interest only if it fails.
if ! python3 -m pip download --quiet --no-deps --no-binary "$name" --dest "$work" \
    "$name==$version" >"$work/log" 2>&1; then
    cat "$work/log" >&2
    exit 1
fi

archive=$(ls "$work"/*.tar.gz)
if ! echo "$sha256  $archive" | sha256sum --check --status; then
    echo "$archive is not the archive this repository was tested with: expected $sha256" >&2
    exit 1
fi

mkdir "$work/files"
folder=$(basename "$archive" .tar.gz)/vendor/llama.cpp/models
tar -xzf "$archive" -C "$work/files" --strip-components=4 --wildcards "$folder/ggml-vocab-*"

# Whole or not at all; whoever fetched it in the meantime fetched the same.
mv -T "$work/files" "$suite" 2>/dev/null || [ -d "$suite" ]
echo "$suite"
