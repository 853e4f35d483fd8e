#!/bin/sh
# A gate for an address that every node has all the time: only the leader lets traffic to it in.
#   command = ["…/nft-gate.sh", "10.0.0.100"]          # IPv4 or IPv6; leaderd adds the verb
# Closed is the state that holds: stop puts a table with one drop rule in place, start takes it away.
# Load the same table at boot (run this with stop), so that the gate is closed before leaderd runs.
# If guard and agent die together the gate stays open: outside the promise without a watchdog device.
set -eu

address=$1 verb=$2

table=leaderd_$(printf %s "$address" | tr .: __)
case $address in
*:*) family=ip6 ;;
*) family=ip ;;
esac

closed() {
    nft list table inet "$table" 2>/dev/null | grep -q ' drop$'
}

case $verb in
start)
    # In one transaction: add is harmless when the table is there, delete needs it.
    printf 'add table inet %s\ndelete table inet %s\n' "$table" "$table" | nft -f -
    ;;
stop)
    # One transaction again, so that there is no moment without the rule.
    nft -f - <<RULES
add table inet $table
delete table inet $table
table inet $table {
    chain input {
        type filter hook input priority -10; policy accept;
        $family daddr $address counter drop
    }
}
RULES
    closed
    ;;
monitor)
    # A failing nft says nothing about the gate.
    nft list tables >/dev/null
    if closed; then exit 7; fi
    ;;
*)
    echo "usage: $0 ADDRESS start|stop|monitor" >&2
    exit 3
    ;;
esac
