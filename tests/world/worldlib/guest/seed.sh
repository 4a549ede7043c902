#!/bin/sh
# First service of an emulated node: takes what the world tells this node from the second disk, and brings its network up.
# That disk is a tar, written anew for each start. After the first boot it does not overwrite what a program here has changed.
set -eu
mark=/var/lib/holdfast-world/seeded
if [ -e "$mark" ]; then keep=--skip-old-files; else keep=--overwrite; fi
tar -x -f /dev/vdb -C / --no-same-owner "$keep"
mkdir -p "$(dirname $mark)" /var/log/world /witness
touch "$mark"
. /usr/local/lib/holdfast-world/node.conf
hostname "$(cat /etc/hostname)"
modprobe -a overlay br_netfilter
ip link set eth0 up
ip addr replace "$NODE_IP/24" dev eth0
ip route replace default via "$API_HOST"
echo 1 > /proc/sys/net/ipv4/ip_forward
mount -t virtiofs witness /witness
echo "seeded; boot $(cat /proc/sys/kernel/random/boot_id)"
