#!/usr/bin/env bash
# What a run survives: kill -9 at random moments, a signal, a disk that is full. No file is torn, no
# finished case is lost, nobody it started goes on, and whoever resumes claims the same.
#
#   scripts/survive.sh [KILLS] [SEED]    # 48 kills; every second one with live bitnet.cpp
#
# HARNESS is the program, target/debug/harness where none is named. Live C++ is asked where
# HARNESS_REQUIRE_LIVE=1 is set; disks are filled where this may mount one, and told where not.
set -euo pipefail
cd "$(dirname "$0")/.."

kills=${1:-48}
RANDOM=${2:-1}
harness=$(realpath -m "${HARNESS:-target/debug/harness}")
[ -x "$harness" ] || cargo build --quiet --package harness
work=$(mktemp -d)
disk=$work/disk
trap 'umount "$disk" 2>/dev/null || true; rm -rf "$work"' EXIT
mkdir "$disk" "$work/tmp"
export TMPDIR=$work/tmp
cases=edges,split32,bitnet32,scaled,mixed,llama-ahab,bitnet-ishmael,b158-ishmael
alone=(crossval --case "$cases")
live=("${alone[@]}")
[ -z "${HARNESS_REQUIRE_LIVE:-}" ] || live+=(--reference bitnet)

fail() {
    echo "survive: $*" >&2
    exit 1
}

# everyone PROCESS: it and what it started, one a line
everyone() {
    local child
    echo "$1"
    for child in $(pgrep -P "$1"); do
        everyone "$child"
    done
}

# gone PROCESS…: all of them have ended within two seconds
gone() {
    local process tries
    for tries in $(seq 100); do
        local left=()
        for process in "$@"; do
            [ "$(ps -o stat= -p "$process" | cut -c 1)" = "" ] || left+=("$process")
        done
        [ ${#left[@]} -gt 0 ] || return 0
        sleep 0.02
    done
    fail "still there after $((tries / 50)) s: ${left[*]}"
}

# How many cases of which model a table on standard output says are finished.
printed() {
    awk '$4 ~ /^[0-9]+\/[0-9]+$/ { split($4, cases, "/"); most[$1] = cases[2] }
        END { for (model in most) sum += most[model]; print sum + 0 }' "$1"
}

kept() {
    python3 -c 'import json, sys; print(len(json.load(open(sys.argv[1]))["cases"]))' "$1"
}

# sound RECEIPT WHEN: nothing of it is refuted; what only C++ can tell is not asked again
sound() {
    "$harness" receipt verify "$1" >"$work/verified" || true
    grep -q '[1-9][0-9]* confirmed, 0 refuted' "$work/verified" ||
        { cat "$work/verified" >&2; fail "$2: the receipt does not verify"; }
}

# What is in a folder besides the files named.
besides() {
    local folder=$1 name
    shift
    for name in $(ls -A "$folder"); do
        [[ " $* " == *" $name "* ]] || echo "$name"
    done
}

now() {
    date +%s%3N
}

declare -A took whole
for kind in alone live; do
    declare -n words=$kind
    began=$(now)
    "$harness" "${words[@]}" --json "$work/$kind.json" >"$work/$kind.txt" || fail "$kind: ended with $?"
    took[$kind]=$(($(now) - began))
    whole[$kind]=$work/$kind.json
done
all=$(kept "$work/alone.json")
[ "$(printed "$work/alone.txt")" = "$all" ] || fail "the table does not show $all cases"

# What has to be noticed is: half a file, a process that goes on, a file that is left.
head -c $(($(stat -c %s "$work/alone.json") / 2)) "$work/alone.json" >"$work/torn.json"
sleep 60 &
sleeper=$!
! (sound "$work/torn.json" planted) 2>/dev/null && ! (gone "$sleeper") 2>/dev/null &&
    [ "$(besides "$work" "$(ls -A "$work" | grep -v torn.json | tr '\n' ' ')")" = torn.json ] ||
    fail "a planted fault went unseen"
kill "$sleeper"

with_receipt=0
partly=0
workers=0
mkdir "$work/killed"
receipt=$work/killed/receipt.json
for kill in $(seq "$kills"); do
    kind=alone
    ((kill % 2)) || kind=live
    declare -n words=$kind
    rm -f "$receipt"
    "$harness" "${words[@]}" --json "$receipt" >"$work/printed" 2>/dev/null &
    process=$!
    disown
    sleep "$(awk "BEGIN { print ${took[$kind]} * $RANDOM / 32768 / 1000 }")"
    mapfile -t family < <(everyone "$process")
    workers=$((workers + ${#family[@]} - 1))
    kill -9 "$process" 2>/dev/null || true
    gone "${family[@]}"
    resume=()
    if [ -e "$receipt" ]; then
        with_receipt=$((with_receipt + 1))
        sound "$receipt" "kill $kill"
        [ "$(kept "$receipt")" -ge "$(printed "$work/printed")" ] ||
            fail "kill $kill: $(kept "$receipt") cases kept of $(printed "$work/printed") finished"
        [ "$(kept "$receipt")" = "$all" ] || partly=$((partly + 1))
        cp "$receipt" "$work/kept.json"
        resume=(--resume "$work/kept.json")
    else
        [ "$(printed "$work/printed")" = 0 ] || fail "kill $kill: finished cases and no receipt"
    fi
    "$harness" "${words[@]}" "${resume[@]}" --json "$receipt" >"$work/resumed" ||
        fail "kill $kill: the run after it ended with $?"
    "$harness" receipt diff "${whole[$kind]}" "$receipt" >"$work/diff" ||
        { cat "$work/diff" >&2; fail "kill $kill: claims something else when resumed"; }
    left=$(besides "$work/killed" receipt.json)$(besides "$work/tmp")
    [ -z "$left" ] || fail "kill $kill: the next run leaves $left"
done
echo "survive: $kills of $kills kills: no receipt torn, no finished case lost, the same claims when" \
    "resumed; $with_receipt had a receipt, $partly an unfinished one; $workers workers, all gone"
[ "$partly" -gt 0 ] || fail "no kill came between two cases"
[ "$workers" -gt 0 ] || [ -z "${HARNESS_REQUIRE_LIVE:-}" ] || fail "no kill came while C++ ran"

# A signal: the code says which, what is finished is kept, nothing is left.
for signal in INT=130 TERM=143 HUP=129; do
    rm -f "$receipt"
    ended=0
    timeout --preserve-status --signal "${signal%=*}" \
        "$(awk "BEGIN { print ${took[live]} / 2000 }")" \
        "$harness" "${live[@]}" --json "$receipt" >"$work/printed" 2>"$work/told" || ended=$?
    [ "$ended" = "${signal#*=}" ] || fail "${signal%=*}: ended with $ended"
    [ ! -e "$receipt" ] || sound "$receipt" "${signal%=*}"
    left=$(besides "$work/killed" receipt.json)$(besides "$work/tmp")
    [ -z "$left" ] || fail "${signal%=*} leaves $left"
done
echo "survive: SIGINT, SIGTERM and SIGHUP end a run with 130, 143 and 129 and leave nothing"

# A disk too small: the table is printed all the same, the file is named, and what is there is whole.
size=$(stat -c %s "$work/alone.json")
full=0
fits=0
for part in 0 1 5 10 25 50 90 101 150 250; do
    mount -t tmpfs -o "size=$((part * size / 100 / 4096 * 4096 + 4096))" none "$disk" 2>/dev/null || {
        echo "survive: SKIPPED: no disk may be mounted here, so none is filled"
        [ -z "${HARNESS_REQUIRE_LIVE:-}" ] || fail "where live C++ is asked for, nothing is skipped"
        exit 0
    }
    ended=0
    "$harness" "${alone[@]}" --json "$disk/r.json" >"$work/printed" 2>"$work/told" || ended=$?
    [ "$(printed "$work/printed")" = "$all" ] || fail "$part %: $(printed "$work/printed") cases shown"
    if [ "$ended" = 0 ]; then
        fits=$((fits + 1))
        "$harness" receipt diff "$work/alone.json" "$disk/r.json" >/dev/null || fail "$part %: differs"
    else
        full=$((full + 1))
        [ "$ended" = 4 ] || fail "$part %: ended with $ended"
        grep -q "r.json.*space\|space.*r.json" "$work/told" || fail "$part %: $(cat "$work/told")"
        [ ! -e "$disk/r.json" ] || sound "$disk/r.json" "$part %"
    fi
    left=$(besides "$disk" r.json)
    [ -z "$left" ] || fail "$part %: leaves $left"
    umount "$disk"
done
[ "$full" -gt 0 ] && [ "$fits" -gt 0 ] || fail "no disk was too small, or all were"
echo "survive: $full disks too small: told by name, all $all cases shown, nothing torn; $fits large enough"
