#!/usr/bin/env bash
# Runs a Windows program under Wine, with a prefix of its own below target/platforms.
#
#   scripts/wine.sh PROGRAM.exe ARG…
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

"$root/scripts/debian-packages.sh" wine /usr/lib/wine/wine64=wine64 \
    x86_64-w64-mingw32-gcc=gcc-mingw-w64-x86-64-win32
kept=$root/target/platforms/wine
export WINEPREFIX=$kept/prefix WINEARCH=win64 WINEDEBUG=-all
if [ ! -e "$kept/ready" ]; then
    mkdir -p "$kept"
    /usr/lib/wine/wine64 wineboot -i >/dev/null 2>&1
    # Wine 8 is older than what the standard library takes its random numbers from.
    library=$WINEPREFIX/drive_c/windows/system32/bcryptprimitives.dll
    [ -e "$library" ] || x86_64-w64-mingw32-gcc -shared -O2 -o "$library" \
        "$root/scripts/platforms/process_prng.c" -ladvapi32
    touch "$kept/ready"
fi
exec /usr/lib/wine/wine64 "$@"
