#!/bin/sh
# Becomes a systemd that runs nothing but the units in the directory $1. Everything that it would touch of
# the host is covered first: its units, generators, temporary files. Run by unshare, as PID 1.
set -e
mount --make-rprivate /
mount --bind "$1" /etc/systemd/system
for directory in /usr/lib/systemd/system /usr/lib/systemd/system-generators /run /tmp /var/tmp /var/log; do
    mount -t tmpfs tmpfs "$directory"
done
exec env -i container=leaderd PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system \
    --unit=nothing.target --log-target=console --show-status=no
