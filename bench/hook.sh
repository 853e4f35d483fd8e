#!/bin/sh
# The resource of the benchmarks: notes when start begins and when stop is done, in the format of the
# demo's journal. A shell, since an interpreter's start would be measured with everything else.
# Called as: hook.sh JOURNAL start|stop|monitor
note() {
    printf '{"node": "%s", "token": %s, "event": "%s", "at": %s}\n' \
        "$LEADERD_NODE" "$LEADERD_TOKEN" "$1" "$(date +%s.%N)" >>"$JOURNAL"
}
JOURNAL=$1
case $2 in
start | stop) note "$2" ;;
monitor) exit 0 ;;
*) exit 1 ;;
esac
