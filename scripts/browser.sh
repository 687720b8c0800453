#!/usr/bin/env bash
# What the tests in headless Chromium need: the browser, node, what drives it, and the harness of
# this machine to compare with.
#
#   scripts/browser.sh
#
# Installs what is missing when run as root, says what is missing otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(chromium)
command -v node >/dev/null || packages+=(nodejs)
command -v npm >/dev/null || packages+=(npm)
if ! command -v chromium >/dev/null || ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "browser: needs Debian's ${packages[*]}" >&2
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
