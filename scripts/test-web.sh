#!/usr/bin/env bash
# Opens the page in the browser in headless Chromium, as people do: drops files, walks with the
# keyboard, and holds every number against what the program of this machine computes.
#
#   scripts/test-web.sh               # builds the page first
#   PICTURES=DIR scripts/test-web.sh  # leaves pictures there: light, dark, narrow
#   LARGE=FILE scripts/test-web.sh    # drops that model, too
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/test-report.sh # which installs the browser and what drives it
scripts/build-web.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
node scripts/test-web.mjs "$work"
