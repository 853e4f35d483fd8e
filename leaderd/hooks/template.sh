#!/bin/sh
# A hook to begin with: copy it, then replace the three bodies. As it stands it keeps a file.
#   command = ["/etc/leaderd/hooks/mine.sh", "/run/mine"]
# leaderd adds the verb as the last argument: start, stop or monitor.
#   start, stop   may come again at any time and must then do no harm; stop comes once at daemon start
#   exit code     0 done or running, 7 not running, anything else failed
#   environment   LEADERD_TOKEN is the fencing token: hand it to whatever can refuse a stale one;
#                 LEADERD_TIMEOUT is how many seconds there are; see docs/interfaces.md, section 3
# A stop that says 0 while something still runs breaks the promise. Look before you say it.
set -eu

file=$1 verb=$2

case $verb in
start)
    echo "${LEADERD_TOKEN:-0}" >"$file"
    ;;
stop)
    rm -f "$file"
    [ ! -e "$file" ]
    ;;
monitor)
    [ -e "$file" ] || exit 7
    ;;
*)
    echo "usage: $0 FILE start|stop|monitor" >&2
    exit 3
    ;;
esac
