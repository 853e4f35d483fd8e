#!/bin/sh
# Writes a key of etcd only while this term lasts: the write and the question who leads are one transaction.
# As a hook's child, or with LEADERD_TOKEN and LEADERD_ELECTION from wherever the application keeps them:
#   etcd_guard.sh KEY VALUE        exit 0 written, 1 this term is over
#
# The holder record changes with every takeover and release. It is read first; the transaction writes only if it
# has not changed since.
set -eu
key=$1 value=$2
holder="${LEADERD_ROOT:-/leaderd}/control/$LEADERD_ELECTION/holder"
# The revision before the record: if it changes in between, the write is refused, never let in.
revision=$(etcdctl get -w fields "$holder" | sed -n 's/^"ModRevision" : //p')
record=$(etcdctl get --print-value-only "$holder")
case "$record" in
    *'"token": '"$LEADERD_TOKEN,"*'"held"'*) ;;
    *) echo "the term of token $LEADERD_TOKEN is over" >&2; exit 1 ;;
esac
answer=$(printf 'mod("%s") = "%s"\n\nput "%s" "%s"\n\n\n' "$holder" "$revision" "$key" "$value" | etcdctl txn)
case "$answer" in
    SUCCESS*) ;;
    *) echo "the term of token $LEADERD_TOKEN ended meanwhile" >&2; exit 1 ;;
esac
