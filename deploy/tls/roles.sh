#!/bin/sh
# Gives leaderd a role that reaches its own keys alone, and turns etcd's access control on:
#
#   ETCDCTL="etcdctl --endpoints=… --cacert=… --cert=root.pem --key=root-key.pem" deploy/tls/roles.sh [ROOT]
#
# ROOT is the `root` of leaderd's configuration, /leaderd by default. Users have no passwords: they are the
# common names of client certificates. docs/etcd-role.md explains each line. May be run again.
set -eu
etcdctl=${ETCDCTL:-etcdctl}
root=${1:-/leaderd}

# $etcdctl is a command with its arguments, and is meant to be split.
# shellcheck disable=SC2086
run() { $etcdctl "$@" </dev/null; }

# What is there already is fine; anything else that goes wrong is not.
ensure() {
    answer=$(run "$@" 2>&1) && return
    case $answer in
        *"already exist"*) ;;
        *) echo "$answer" >&2; exit 1 ;;
    esac
}

ensure user add --no-password root
ensure role add root
run user grant-role root root >/dev/null
ensure user add --no-password leaderd
ensure role add leaderd
run role grant-permission --prefix=true leaderd readwrite "$root/" >/dev/null
run user grant-role leaderd leaderd >/dev/null
run auth enable
