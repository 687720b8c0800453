#!/usr/bin/env bash
# Builds and packs the program for one target, by default this machine's own: the binary, which
# holds the fixtures it is judged by, completions and manual pages, as dist/harness-TARGET.tar.gz and
# its hash beside it. What is for this machine is tried as it comes out of the archive, alone in an
# empty folder, and must agree; of what is not, that is said. Where rustup has no standard library
# for the target, scripts/cargo-for.sh compiles one.
#
#   scripts/package.sh
#   scripts/package.sh x86_64-unknown-linux-musl
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
host=$(rustc -vV | sed -n 's/^host: //p')
target=${1:-$host}
name=harness-$target
built=${CARGO_TARGET_DIR:-target}
cargo=(cargo)
chosen=()
if [ $# -gt 0 ]; then
    if [ -d "$(rustc --print target-libdir --target "$target")" ]; then
        built+=/$target
        chosen=(--target "$target")
    else
        built=target/platforms/$target
        cargo=(scripts/cargo-for.sh "$target")
    fi
fi
"${cargo[@]}" build --release --locked -p harness ${chosen[@]+"${chosen[@]}"} # bash 3 of macOS
program=harness
[[ $target != *windows* ]] || program=harness.exe
staged=$root/dist/staged/$name
rm -rf "$staged"
mkdir -p "$staged"
cp "$built/release/$program" LICENSE README.md "$staged/"

# Of the same processor, maker and system: what this machine runs.
kind() {
    cut -d- -f1-3 <<<"$1"
}
own=no
[ "$(kind "$target")" = "$(kind "$host")" ] && own=yes
if [ $own = yes ]; then
    (cd "$staged" && "./$program" man --out man)
    for shell in bash zsh fish powershell; do
        "$staged/$program" completions "$shell" >"$staged/completions.$shell"
    done
else
    echo "package: $name was not run, and has no completions and manual pages: this is $host" >&2
fi
tar -C dist/staged -czf "dist/$name.tar.gz" "$name"
rm -rf dist/staged
sum=(sha256sum)
command -v sha256sum >/dev/null || sum=(shasum -a 256) # macOS
(cd dist && "${sum[@]}" "$name.tar.gz" >"$name.tar.gz.sha256")
[ $own = no ] || scripts/test-installed.sh "dist/$name.tar.gz"
echo "dist/$name.tar.gz"
