#!/usr/bin/env bash
# Sees to it that what a script needs is there: installs Debian's packages when run as root, says
# which are missing otherwise.
#
#   scripts/debian-packages.sh WHO THING=PACKAGE…
#
# WHO is named in messages. THING is a command, or a file or folder by its full path.
set -euo pipefail

who=$1
shift

# The packages of what is not there.
missing() {
    local need thing
    for need in "$@"; do
        thing=${need%%=*}
        if [[ $thing == /* ]]; then
            [ -e "$thing" ] || echo "${need#*=}"
        else
            command -v "$thing" >/dev/null || echo "${need#*=}"
        fi
    done
}

mapfile -t packages < <(missing "$@")
[ ${#packages[@]} -gt 0 ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "$who: needs Debian's ${packages[*]}" >&2
    exit 4
fi
export DEBIAN_FRONTEND=noninteractive
for package in "${packages[@]}"; do
    [[ $package != *:* ]] || dpkg --add-architecture "${package#*:}"
done
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
mapfile -t packages < <(missing "$@")
[ ${#packages[@]} -eq 0 ] && exit 0
echo "$who: what should come with ${packages[*]} is not there, though they are installed" >&2
exit 4
