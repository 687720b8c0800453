#!/bin/busybox sh
# The first program of the machine that scripts/emulated.sh boots: runs /run, tells how it ended and
# what lies in /out.
/bin/busybox --install -s /bin
export PATH=/bin HOME=/root TMPDIR=/tmp
mount -t devtmpfs dev /dev && mount -t proc proc /proc && mount -t sysfs sys /sys
stty -F /dev/ttyS0 -opost
exec >/dev/ttyS0 2>&1 </dev/null
cd /root
echo "=== begins"
sh /run
ended=$?
echo "=== ended with $ended"
tar -C /out -c . | gzip | base64
echo "=== all told"
sleep 1000000
