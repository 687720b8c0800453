#!/usr/bin/env bash
# The tests of the engine's pool of threads under ThreadSanitizer, ten times, which is then shown a
# planted race: two threads that touch the same without saying so.
#
# The pool needs nothing else of the engine, so it is compiled alone, in seconds. The flags are no
# stable ones: the compiler is told to take them all the same. Its standard library is not compiled
# along, and what the sanitizer cannot see there, a fence and a channel, is named below.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/unseen" <<'END'
race:test::event::CompletedTest
race:std::thread::scoped::ScopeData
race:std::thread::thread::Inner
race:std::thread::scoped::ScopedJoinHandle
END
export TSAN_OPTIONS=suppressions=$work/unseen

# compiled NAME [CHANGE]: the tests of the pool, with its workers changed so
compiled() {
    local place=$work/$1
    mkdir "$place"
    cp -r engine/src/pool.rs engine/src/pool "$place"
    [ $# = 1 ] || sed -i "$2" "$place/pool/workers.rs"
    echo 'mod pool;' >"$place/lib.rs"
    RUSTC_BOOTSTRAP=1 rustc --edition 2024 -O -g --test --cap-lints allow -Zsanitizer=thread \
        -Cunsafe-allow-abi-mismatch=sanitizer -o "$place/tests" "$place/lib.rs"
}

# run NAME: on one thread of the tests' own, which would be seen as well
run() {
    "$work/$1/tests" --test-threads=1 >"$work/$1.txt" 2>&1
}

compiled sound
for _ in $(seq 10); do
    run sound || { cat "$work/sound.txt" >&2; exit 1; }
done
grep -q 'test result: ok. [1-9]' "$work/sound.txt"
# Whoever enters a call need not see what was written before it.
compiled planted 's/Ordering::SeqCst}/Ordering::Relaxed as SeqCst}/'
cmp -s engine/src/pool/workers.rs "$work/planted/pool/workers.rs" &&
    { echo "sanitizers: nothing was planted" >&2; exit 1; }
if run planted || ! grep -q 'data race.*pool' "$work/planted.txt"; then
    tail -n 20 "$work/planted.txt" >&2
    echo "sanitizers: the planted race was not seen" >&2
    exit 1
fi
echo "sanitizers: no race in the pool; a planted one is seen"
