#!/usr/bin/env bash
# Opens the HTML report of a run in headless Chromium, as people do: walks with the keyboard, reads
# what a screen reader is told, makes the window narrow, and holds every number against the receipt.
# Then sees a wrong number on the page, and one in the receipt, be found.
#
#   scripts/test-report.sh
#   PICTURES=DIR scripts/test-report.sh  # leaves pictures there: light, dark, narrow
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/browser.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
node scripts/test-report.mjs "$work"
