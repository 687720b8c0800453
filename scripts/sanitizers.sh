#!/usr/bin/env bash
# The engine under sanitizers of the compiler, each of which is then shown a planted fault.
#
#   scripts/sanitizers.sh             # both
#   scripts/sanitizers.sh thread      # the pool of threads: two that touch the same without saying so
#   scripts/sanitizers.sh address     # every test: reads and writes outside of what was allocated
#
# The flags are no stable ones: the compiler is told to take them all the same. Its standard library
# is not compiled along. Miri is no part of a stable toolchain and of no registry: it is not run.
set -euo pipefail
cd "$(dirname "$0")/.."

export RUSTC_BOOTSTRAP=1
host=$(rustc -vV | sed -n 's/^host: //p')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# changed FILE COPY CHANGE: the copy of that file with a fault in it
changed() {
    sed -i "$3" "$2"
    ! cmp -s "$1" "$2" || { echo "sanitizers: nothing was planted in $1" >&2; exit 1; }
}

# seen WHAT LOG SAYS ENDED: a planted fault makes the tests fail, and say why
seen() {
    if [ "$4" = 0 ] || ! grep -q "$3" "$2"; then
        tail -n 20 "$2" >&2
        echo "sanitizers: the planted $1 was not seen" >&2
        exit 1
    fi
}

# The pool needs nothing else of the engine, so it is compiled alone, in seconds.
thread() {
    # What the sanitizer cannot see in the standard library: a fence and a channel.
    cat >"$work/unseen" <<'END'
race:test::event::CompletedTest
race:std::thread::scoped::ScopeData
race:std::thread::thread::Inner
race:std::thread::scoped::ScopedJoinHandle
END
    export TSAN_OPTIONS=suppressions=$work/unseen
    copied sound
    compiled sound
    for _ in $(seq 10); do
        run sound || { cat "$work/sound.txt" >&2; exit 1; }
    done
    grep -q 'test result: ok. [1-9]' "$work/sound.txt"
    copied planted
    # Whoever enters a call need not see what was written before it.
    changed engine/src/pool/workers.rs "$work/planted/pool/workers.rs" \
        's/Ordering::SeqCst}/Ordering::Relaxed as SeqCst}/'
    compiled planted
    local ended=0
    run planted || ended=$?
    seen race "$work/planted.txt" 'data race.*pool' "$ended"
    echo "sanitizers: no race in the pool, in ten runs; a planted one is seen"
}

copied() {
    mkdir "$work/$1"
    cp -r engine/src/pool.rs engine/src/pool "$work/$1"
    echo 'mod pool;' >"$work/$1/lib.rs"
}

compiled() {
    rustc --edition 2024 -O -g --test --cap-lints allow -Zsanitizer=thread \
        -Cunsafe-allow-abi-mismatch=sanitizer -o "$work/$1/tests" "$work/$1/lib.rs"
}

# On one thread of the tests' own, which would be seen as well.
run() {
    "$work/$1/tests" --test-threads=1 >"$work/$1.txt" 2>&1
}

address() {
    tests_of_engine Cargo.toml --lib --test gguf --test it
    mkdir "$work/address"
    cp -r Cargo.toml Cargo.lock capi engine ffi fuzz harness "$work/address"
    ln -s "$PWD/fixtures" "$work/address/fixtures"
    # Activations are read from behind the row they are in.
    local file=engine/src/kernels/x86/i2_s.rs ended=0
    changed "$file" "$work/address/$file" \
        's/D::load(plane.as_ptr().cast())/D::load(plane.as_ptr().add(BLOCK_BYTES).cast())/'
    tests_of_engine "$work/address/Cargo.toml" --test it kernels >"$work/address.txt" 2>&1 || ended=$?
    seen overflow "$work/address.txt" 'AddressSanitizer: heap-buffer-overflow' "$ended"
    echo "sanitizers: nothing of the engine reads outside of what it has; a planted overflow is seen"
}

# tests_of_engine MANIFEST WORD…
tests_of_engine() {
    local manifest=$1
    shift
    RUSTFLAGS="-Zsanitizer=address -Cunsafe-allow-abi-mismatch=sanitizer" \
        cargo test --quiet --manifest-path "$manifest" --package engine --target "$host" \
        --target-dir target/address "$@"
}

[ $# -gt 0 ] || set -- thread address
for sanitizer in "$@"; do
    "$sanitizer"
done
