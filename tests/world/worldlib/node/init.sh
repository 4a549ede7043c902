#!/bin/sh
# PID 1 of a native node: keeps containerd, kube-proxy and the kubelet running, as a service manager would, and reaps orphans.
# `systemctl stop NAME` (see the stand-in beside this file) leaves /run/world/stopped/NAME, and NAME stays down.
. /usr/local/lib/holdfast-world/node.conf
logs=/var/log/world
mkdir -p /run/world/stopped /run/containerd
ln -sf /proc/self/mounts /etc/mtab

keep() { # NAME COMMAND…
	name=$1
	shift
	while :; do
		while [ -e "/run/world/stopped/$name" ]; do sleep 0.2; done
		"$@" >> "$logs/$name.log" 2>&1 &
		child=$!
		echo "$child" > "/run/world/$name.pid"
		wait "$child"
		echo "world: $name ended with $?" >> "$logs/$name.log"
		sleep 1
	done
}

until_ready() { # TRIES COMMAND…
	tries=$1
	shift
	while ! "$@" > /dev/null 2>&1; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || return 1
		sleep 0.1
	done
}

import_images() {
	for archive in /var/lib/holdfast-world/images/*.tar; do
		ctr --namespace k8s.io images import "$archive" >> "$logs/images.log" 2>&1
	done
}

answers() { # HOST PORT
	busybox nc -w 1 "$1" "$2" < /dev/null
}

keep containerd containerd --log-level info &
until_ready 300 ctr version
import_images
# A kubelet that finds no API server waits for seconds before it asks again, so it is given one; but it starts in any case.
until_ready 200 answers "$API_HOST" "$API_PORT"
keep kube-proxy kube-proxy --config=/etc/kubernetes/kube-proxy.yaml --hostname-override="$(hostname)" &
keep kubelet kubelet --config=/etc/kubernetes/kubelet.yaml --kubeconfig=/etc/kubernetes/kubelet.kubeconfig \
	--hostname-override="$(hostname)" --node-ip="$NODE_IP" --v=2 &
while :; do
	wait
	sleep 1
done
