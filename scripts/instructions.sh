#!/usr/bin/env bash
# Counts the instructions of a prefill and of a decode step under valgrind, whose processor is the
# same everywhere, and compares them with those of scripts/instructions.tsv: a kernel that became
# slower in the code, not on the clock.
#
#   scripts/instructions.sh            # exit 1 where a count is farther off than PERCENT
#   scripts/instructions.sh --write    # writes what was counted instead
#
# A count is a difference of two runs that differ in the number of tokens alone, so that opening
# the model is no part of it. That the comparison can fail is shown in every run: the scalar kernel
# has to be refused. Installs valgrind when run as root, says that it is missing otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."

PERCENT=5
expected=scripts/instructions.tsv
model=fixtures/moby-tiny/moby-tiny-b158.gguf
scripts/debian-packages.sh instructions valgrind=valgrind
cargo build --quiet --workspace --example passes
passes=${CARGO_TARGET_DIR:-target}/debug/examples/passes

# Instructions of a run: of a kernel, with so many tokens and steps.
run() {
    valgrind --tool=cachegrind --cache-sim=no --cachegrind-out-file=/dev/null \
        "$passes" "$model" "$@" 2>&1 >/dev/null | sed -n 's/.*I *refs: *//p' | tr -d ,
}

# The counts of a kernel, a line each.
counts() {
    local one prompt steps
    one=$(run "$1" 1 0)
    prompt=$(run "$1" 65 0)
    steps=$(run "$1" 1 16)
    printf 'prefill, a token of 64\t%d\n' $(((prompt - one) / 64))
    printf 'decode, a step of 16\t%d\n' $(((steps - one) / 16))
}

# Counts beside those that are expected; fails where one is too far off.
compare() {
    awk -F'\t' -v percent=$PERCENT '
        /^#/ { next }
        NR == FNR { expected[$1] = $2; next }
        {
            off = expected[$1] ? 100 * ($2 / expected[$1] - 1) : 1e9
            printf "%s: %d instructions, %+.2f %% of %d\n", $1, $2, off, expected[$1]
            seen++
            if (off > percent || off < -percent) bad++
        }
        END { exit !(seen == length(expected) && !bad) }' "$expected" -
}

found=$(counts x86_64-avx2)
if [ "${1:-}" = --write ]; then
    {
        echo "# Instructions with x86_64-avx2 of $(rustc --version | cut -d' ' -f1,2)"
        echo "$found"
    } >$expected
    exit
fi
ended=0
compare <<<"$found" || ended=1
if compare <<<"$(counts scalar)" >/dev/null; then
    echo "instructions: the scalar kernel passes, so that a slower one would" >&2
    ended=1
fi
[ $ended = 0 ] || echo "instructions: more than $PERCENT % off; if that is meant, --write" >&2
exit $ended
