#!/usr/bin/env bash
# Opens the page in the browser in headless Chromium, as people do: drops files, walks with the
# keyboard, and holds every number against what the program of this machine computes. Then sees a
# damaged model, one wrong bit of a recording and wrong numbers be found.
#
#   scripts/test-web.sh               # builds the page first
#   PICTURES=DIR scripts/test-web.sh  # leaves pictures there: light, dark, narrow
#   README=1 scripts/test-web.sh      # takes README's picture anew: web/page.png
#   LARGE=FILE scripts/test-web.sh    # drops that model, too
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/browser.sh
scripts/build-web.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
node scripts/test-web.mjs "$work"
