#!/bin/sh
# A file server in a network namespace of its own, with the guest as its client: 10.9.0.1 serves 10.9.0.2.
set -e
modprobe -a nfsd nfsv4 nfsv3 veth
ip netns add server
ip link add client type veth peer name server netns server
ip addr add 10.9.0.2/24 dev client
ip link set client up
mkdir -p /srv/export /var/lib/nfs
touch /var/lib/nfs/etab /var/lib/nfs/rmtab
mount -t tmpfs export /srv/export
nsenter --net=/run/netns/server sh -e <<'INSIDE'
ip addr add 10.9.0.1/24 dev server
ip link set server up
ip link set lo up
mount -t nfsd nfsd /proc/fs/nfsd
rpcbind -w
exportfs -i -o rw,no_root_squash,fsid=0,no_subtree_check '*:/srv/export'
rpc.mountd -p 20048
# Nobody has locks of before: it need not wait 90 s for them.
echo 10 >/proc/fs/nfsd/nfsv4leasetime
echo 10 >/proc/fs/nfsd/nfsv4gracetime
rpc.nfsd 4
INSIDE
