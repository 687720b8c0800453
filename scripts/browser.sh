#!/usr/bin/env bash
# What the tests in headless Chromium need: the browser, node, what drives it, and the harness of
# this machine to compare with.
#
#   scripts/browser.sh
#
# Installs what is missing when run as root, says what is missing otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/debian-packages.sh browser chromium=chromium node=nodejs npm=npm

cargo build --quiet --package harness
tools=target/web-tools
[ -d "$tools/node_modules/puppeteer-core" ] ||
    npm install --silent --no-audit --no-fund --prefix "$tools" puppeteer-core@24.10.0
