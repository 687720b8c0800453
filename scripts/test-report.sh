#!/usr/bin/env bash
# Opens the HTML report of a run in headless Chromium, as people do: walks with the keyboard, reads
# what a screen reader is told, makes the window narrow, and holds every number against the receipt.
# Then sees a wrong number on the page, and one in the receipt, be found.
#
#   scripts/test-report.sh
#   PICTURES=DIR scripts/test-report.sh  # leaves pictures there: light, dark, narrow
#
# Installs what is missing when run as root, says what is missing otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(chromium)
command -v node >/dev/null || packages+=(nodejs)
command -v npm >/dev/null || packages+=(npm)
if ! command -v chromium >/dev/null || ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "report: needs Debian's ${packages[*]}" >&2
        exit 4
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi

cargo build --quiet --package harness
tools=target/web-tools
[ -d "$tools/node_modules/puppeteer-core" ] ||
    npm install --silent --no-audit --no-fund --prefix "$tools" puppeteer-core@24.10.0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
node scripts/test-report.mjs "$work"
