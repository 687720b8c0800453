#!/usr/bin/env bash
# Runs a program on an x86-64 processor that this machine does not have: in Bochs, under Debian's
# kernel, with nothing but the files it is given.
#
#   scripts/emulated.sh PROCESSOR FOLDER COMMAND
#
#   scripts/emulated.sh sapphire_rapids /tmp/tree 'grep -m 1 flags /proc/cpuinfo'
#
# PROCESSOR is one that Bochs knows: sapphire_rapids has AVX-512 with VNNI, BF16, FP16 and AMX,
# arrow_lake has AVX-VNNI of 256 bits. FOLDER holds what lies in the root of the machine; a program
# that is not static needs its libraries there. COMMAND is a line for its shell, whose exit code is
# this script's; what it prints is shown, and what it leaves in /out comes back into OUT, if that
# names a folder. PATIENCE bounds the seconds, 3600 if not set.
#
# Bochs 3.0 is compiled from the sources of a later Debian, mended (scripts/platforms/bochs.patch:
# what Linux needs before it lets a program use AMX, and what AMX, bfloat16 and gathers lacked) and
# kept beside the references: the one that Debian 12 has converts to half precision wrongly.
set -euo pipefail
scripts=$(cd "$(dirname "$0")" && pwd)
[ $# = 3 ] || { sed -n '2,19s/^# \{0,1\}//p' "$0" >&2 && exit 2; }
processor=$1 folder=$2 command=$3

"$scripts/debian-packages.sh" emulated /usr/share/bochs/BIOS-bochs-latest=bochsbios \
    /usr/share/bochs/VGABIOS-lgpl-latest=vgabios /usr/lib/ISOLINUX/isolinux.bin=isolinux \
    /usr/lib/syslinux/modules/bios/ldlinux.c32=syslinux-common xorriso=xorriso \
    busybox=busybox-static g++=g++ make=make patch=patch xz=xz-utils
cache=${HARNESS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bitnet-harness}/emulator
mkdir -p "$cache"
work=$(mktemp -d)
machine=
trap '[ -z "$machine" ] || kill "$machine" 2>/dev/null || true; rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Bochs, out of the suite that has this version, with the keys and from the archive of this one.
make_bochs() {
    local archive name hash
    archive=$(apt-get indextargets --format '$(SITE) $(CREATED_BY)' |
        sed -n 's/ Packages$//p' | grep '/debian/\?$' | sort -u | sed -n 1p)
    mkdir -p "$work/lists/partial" "$work/kept/archives/partial"
    echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $archive trixie main" \
        >"$work/sources.list"
    cat >"$work/apt.conf" <<EOF
Dir::Etc::sourcelist "$work/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State::lists "$work/lists";
Dir::Cache "$work/kept";
APT::Sandbox::User "root";
EOF
    APT_CONFIG=$work/apt.conf apt-get update -qq
    read -r archive name _ hash < <(APT_CONFIG=$work/apt.conf \
        apt-get source --print-uris bochs=3.0+dfsg-1 2>/dev/null | grep 'orig\.tar\.xz' | tr -d "'")
    APT_CONFIG=$work/apt.conf /usr/lib/apt/apt-helper download-file \
        "$archive" "$work/$name" "$hash" >&2
    tar -C "$work" -xf "$work/$name"
    patch --quiet -d "$work/bochs-3.0" -p1 <"$scripts/platforms/bochs.patch"
    echo "emulated: compiling Bochs 3.0, some minutes" >&2
    if ! (
        cd "$work/bochs-3.0" &&
            ./configure --enable-cpu-level=6 --enable-x86-64 --enable-avx --enable-evex \
                --enable-amx --enable-handlers-chaining --enable-repeat-speedups --with-nogui \
                --disable-docbook CFLAGS=-O2 CXXFLAGS=-O2 &&
            make -j"$(nproc)" bochs
    ) >"$cache/bochs.log" 2>&1; then
        echo "emulated: Bochs does not compile, see $cache/bochs.log" >&2
        exit 4
    fi
    mv "$work/bochs-3.0/bochs" "$bochs"
}
# Another patch, another program.
bochs=$cache/bochs-3.0-$(sha256sum "$scripts/platforms/bochs.patch" | cut -c1-16)
[ -e "$bochs" ] || make_bochs

# The kernel is only unpacked, nothing boots from it but this.
if [ ! -e "$cache/linux" ]; then
    (
        cd "$work"
        image=$(apt-cache depends linux-image-cloud-amd64 |
            sed -n 's/.*Depends: \(linux-image-.*\)/\1/p')
        apt-get download -qq -o APT::Sandbox::User=root "$image"
        dpkg -x linux-image-*.deb kernel
    )
    mv "$work"/kernel/boot/vmlinuz-* "$cache/linux"
fi

disc=$work/disc
mkdir -p "$disc/isolinux" "$work/root"
cp -a "$folder/." "$work/root/"
(cd "$work/root" && mkdir -p bin dev out proc root sys tmp)
cp "$(command -v busybox)" "$work/root/bin/busybox"
cp "$scripts/platforms/emulated-init.sh" "$work/root/init"
printf '%s\n' "$command" >"$work/root/run"
(cd "$work/root" && find . | busybox cpio -o -H newc -R 0:0 2>/dev/null) >"$disc/initrd"
cp "$cache/linux" "$disc/linux"
cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$disc/isolinux/"
# Bochs ends where its firmware serves the kernel's ACPI, and its short `rep movsb`, which the
# kernel would take for fast (feature 580), does not end.
cat >"$disc/isolinux/isolinux.cfg" <<EOF
DEFAULT linux
PROMPT 0
LABEL linux
  KERNEL /linux
  INITRD /initrd
  APPEND console=ttyS0,115200 mitigations=off nokaslr acpi=off clearcpuid=580
EOF
xorriso -as mkisofs -quiet -o "$work/disc.iso" -b isolinux/isolinux.bin -c isolinux/boot.cat \
    -no-emul-boot -boot-load-size 4 -boot-info-table "$disc" 2>/dev/null
cat >"$work/bochsrc" <<EOF
cpu: model=$processor, count=1, ips=100000000, reset_on_triple_fault=0
memory: guest=2048, host=2048
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
display_library: nogui
boot: cdrom
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path=$work/disc.iso, status=inserted
com1: enabled=1, mode=file, dev=$work/said
clock: sync=none
log: $work/log
panic: action=fatal
error: action=ignore
info: action=ignore
speaker: enabled=0
EOF

: >"$work/said"
ended=0
timeout "${PATIENCE:-3600}" "$bochs" -q -f "$work/bochsrc" >"$work/bochs" 2>&1 \
    </dev/null &
machine=$!
# Nothing switches that machine off: without ACPI it cannot, and a kernel that has died waits.
while kill -0 $machine 2>/dev/null; do
    if grep -q -e '^=== all told' -e 'Kernel panic' "$work/said"; then kill $machine; fi
    sleep 1
done &
tail -f --pid=$machine "$work/said" 2>/dev/null | tr -d '\r' | stdbuf -oL sed -n \
    '/^=== begins/,/^=== ended/{/^===/!p}'
wait $machine || ended=$?
if ! grep -q '^=== all told' <(tr -d '\r' <"$work/said"); then
    echo "emulated: the machine did not come to its end (Bochs: $ended); it last said:" >&2
    for file in said bochs log; do
        tail -n 15 "$work/$file" >&2
    done
    exit 4
fi
if [ -n "${OUT:-}" ]; then
    mkdir -p "$OUT"
    tr -d '\r' <"$work/said" | sed -n '/^=== ended/,/^=== all told/{/^===/!p}' | base64 -d |
        tar -C "$OUT" -xzf -
fi
exit "$(tr -d '\r' <"$work/said" | sed -n 's/^=== ended with //p')"
