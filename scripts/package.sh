#!/usr/bin/env bash
# Packs a built program for one target: the binary, which holds the fixtures it is judged by,
# completions and manual pages, as dist/harness-TARGET.tar.gz. A binary for this machine is run as
# it comes out of the archive, alone in an empty folder, and must agree.
#
#   scripts/package.sh x86_64-unknown-linux-musl
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
target=${1:?names the target}
name=harness-$target
built=$root/target/$target/release
program=harness
[ -e "$built/$program" ] || program=harness.exe
staged=$root/dist/staged/$name
rm -rf "$staged"
mkdir -p "$staged"
cp "$built/$program" "$root/LICENSE" "$root/README.md" "$staged/"

host=$(rustc -vV | sed -n 's/^host: //p')
own=$([ "$(cut -d- -f1-3 <<<"$target")" = "$(cut -d- -f1-3 <<<"$host")" ] && echo yes || echo no)
if [ "$own" = yes ]; then
    (cd "$staged" && "./$program" man --out man)
    for shell in bash zsh fish powershell; do
        "$staged/$program" completions "$shell" >"$staged/completions.$shell"
    done
else
    echo "$name was not run, and has no completions and manual pages: this machine is $host" >&2
fi
tar -C "$root/dist/staged" -czf "$root/dist/$name.tar.gz" "$name"
rm -rf "$root/dist/staged"
if [ "$own" = yes ]; then
    unpacked=$(mktemp -d)
    trap 'rm -rf "$unpacked"' EXIT
    tar -C "$unpacked" -xzf "$root/dist/$name.tar.gz"
    "$root/scripts/test-installed.sh" "$unpacked/$name/$program"
fi
echo "dist/$name.tar.gz"
