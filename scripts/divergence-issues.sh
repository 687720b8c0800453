#!/usr/bin/env bash
# Keeps one issue open for each divergence of a night: a new one is opened, one that is there is
# commented on, one that is gone is closed. A result of another command than crossval, and a night
# without any, have one of their own.
#
#   RUN=URL scripts/divergence-issues.sh REPORTS
#
# REPORTS is the folder of receipts. `gh` and `jq` are needed; GH names another program than gh.
set -euo pipefail
reports=${1:?names the folder of receipts}
: "${RUN:?is where the run can be looked at}"
gh=${GH:-gh}
label=parity
shopt -s nullglob

# A line for each divergence: what tells it from the others, which is the title.
found=$(mktemp)
trap 'rm -f "$found"' EXIT
for receipt in "$reports"/*.json; do
    jq -r --arg name "$(basename "$receipt" .json)" '
        def ended: if type == "array" then .[] | ended else .status?, .outcome? end;
        if type == "object" and has("parity") then
            .cases[] | .claims.case as $case | .claims.comparisons[]
            | select(.verdict | type == "object" and has("diverge"))
            | "Parity: \($case) diverges from \(.reference.name)"
        else
            ended | select(. == ("divergence", "engine_died")) | "Parity: \($name) ends with \(.)"
        end
    ' "$receipt" 2>/dev/null || echo "Parity: $(basename "$receipt") cannot be read"
done | sort -u >"$found"
receipts=("$reports"/*.json)
[ ${#receipts[@]} -gt 0 ] || echo "Parity: the nightly run left no receipt" >"$found"

"$gh" label create "$label" --description "kept by the nightly run" --force >/dev/null
open=$("$gh" issue list --label "$label" --state open --limit 500 --json number,title \
    --jq '.[] | "\(.number)\t\(.title)"')

while IFS= read -r title; do
    [ -n "$title" ] || continue
    number=$(awk -F'\t' -v title="$title" '$2 == title { print $1; exit }' <<<"$open")
    if [ -n "$number" ]; then
        "$gh" issue comment "$number" --body "Still there: $RUN"
    else
        "$gh" issue create --label "$label" --title "$title" \
            --body "The nightly run $RUN found it; the receipt is attached to it."
    fi
done <"$found"

while IFS=$'\t' read -r number title; do
    [ -n "$number" ] || continue
    grep -qxF -- "$title" "$found" ||
        "$gh" issue close "$number" --comment "Gone since $RUN"
done <<<"$open"
