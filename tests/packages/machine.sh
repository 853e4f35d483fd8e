#!/bin/sh
# Becomes a systemd that runs nothing but the units in $1, on a copy of this host: what is installed or removed
# in it is written to memory, and forgotten with it. The package $2 lies in /run. Run by unshare, as PID 1.
set -e
mount --make-rprivate /
memory=/mnt
mount -t tmpfs tmpfs $memory
for directory in usr etc var opt; do
    mkdir -p $memory/$directory/upper $memory/$directory/work
    mount -t overlay overlay -o lowerdir=/$directory,upperdir=$memory/$directory/upper,workdir=$memory/$directory/work \
        /$directory
done
# Of the host's own units none; and nothing forbids to start one, as images do.
for directory in /usr/lib/systemd/system /usr/lib/systemd/system-generators /run /var/tmp /var/log /root; do
    mount -t tmpfs tmpfs "$directory"
done
mount --bind "$1" /etc/systemd/system
rm -f /usr/sbin/policy-rc.d
cp "$2" /run/leaderd.deb
mount -t tmpfs tmpfs /tmp
ip link set lo up
exec env -i container=leaderd PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system \
    --unit=nothing.target --log-target=console --show-status=no
