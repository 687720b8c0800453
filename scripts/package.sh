#!/usr/bin/env bash
# Packs a built program for one target: the binary, the fixtures it is judged by, completions and
# manual pages, as dist/harness-TARGET.tar.gz. A binary for this machine is run, and must agree.
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
cp -r "$root/fixtures" "$staged/"

host=$(rustc -vV | sed -n 's/^host: //p')
if [ "$(cut -d- -f1-3 <<<"$target")" = "$(cut -d- -f1-3 <<<"$host")" ]; then
    (cd "$staged" && "./$program" --version)
    (cd "$staged" && "./$program" man --out man)
    for shell in bash zsh fish powershell; do
        "$staged/$program" completions "$shell" >"$staged/completions.$shell"
    done
    (cd "$staged" && "./$program" crossval --case edges-the-end)
else
    echo "$name was not run, and has no completions and manual pages: this machine is $host" >&2
fi
tar -C "$root/dist/staged" -czf "$root/dist/$name.tar.gz" "$name"
rm -rf "$root/dist/staged"
echo "dist/$name.tar.gz"
