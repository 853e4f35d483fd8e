#!/bin/sh
# Makes a DRBD resource primary on the leader, secondary elsewhere; the mount comes after it.
#   command = ["…/drbd-promote.sh", "r0"]               # leaderd adds the verb
# Never forced: a node whose data is not up to date does not lead. Switch DRBD's own auto-promote off,
# and its fencing policy on (fencing resource-and-stonith or a quorum), so that a lone node does not diverge.
set -eu

resource=$1 verb=$2

# DRBD 8 says Primary/Secondary, with the peer's role; DRBD 9 says its own alone. No answer is a failure.
role() {
    answer=$(drbdadm role "$resource") || exit 1
    echo "${answer%%/*}"
}

case $verb in
start)
    drbdadm primary "$resource"
    now=$(role)
    [ "$now" = Primary ]
    ;;
stop)
    now=$(role)
    [ "$now" != Primary ] || drbdadm secondary "$resource"
    now=$(role)
    [ "$now" != Primary ]
    ;;
monitor)
    now=$(role)
    [ "$now" = Primary ] || exit 7
    ;;
*)
    echo "usage: $0 RESOURCE start|stop|monitor" >&2
    exit 3
    ;;
esac
