#!/bin/sh
# Moves what a provider routes to this machine, by the provider's own command: an elastic or floating
# address, an alias range, an entry of a route table.
#   command = ["…/move-address.sh",
#              "aws ec2 assign-private-ip-addresses --allow-reassignment --network-interface-id eni-1 --private-ip-addresses 10.0.0.100",
#              "aws ec2 unassign-private-ip-addresses --network-interface-id eni-1 --private-ip-addresses 10.0.0.100",
#              "curl -sf http://169.254.169.254/latest/meta-data/local-ipv4s | grep -qx 10.0.0.100"]
#   $1 takes it, $2 gives it up, $3 succeeds while this machine has it ("" if there is no such question);
#   each is a line for sh. leaderd adds the verb.
# Giving up by name what somebody else has taken meanwhile must do no harm: name your own interface in $2.
# The provider answers in seconds: set stop_timeout to suit, and let a resource of type vip come before.
set -eu

take=$1 give_up=$2 mine=$3 verb=$4

case $verb in
start)
    sh -c "$take"
    [ -z "$mine" ] || sh -c "$mine"
    ;;
stop)
    # Asked first: most providers call it an error to give up what one does not have.
    if [ -n "$mine" ] && ! sh -c "$mine"; then
        exit 0
    fi
    sh -c "$give_up"
    [ -z "$mine" ] || ! sh -c "$mine"
    ;;
monitor)
    [ -z "$mine" ] || sh -c "$mine" || exit 7
    ;;
*)
    echo "usage: $0 TAKE GIVE_UP MINE start|stop|monitor" >&2
    exit 3
    ;;
esac
