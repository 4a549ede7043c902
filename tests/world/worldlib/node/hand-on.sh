#!/bin/sh
# Makes a v2 cgroup (the directory $1, a node's own) hand all of its controllers to its children: only one without processes can.
# The node's go one step down, and the machine's process moves the `unshare` that started them away. That may take a moment, so
# each controller is tried again until it is on.
set -eu
here=$1
mkdir -p "$here/init"
tries=100
while :; do
	for pid in $(cat "$here/cgroup.procs"); do echo "$pid" > "$here/init"/cgroup.procs 2> /dev/null || true; done
	missing=
	for controller in $(cat "$here/cgroup.controllers"); do
		grep -qw "$controller" "$here/cgroup.subtree_control" && continue
		echo "+$controller" 2> /dev/null > "$here/cgroup.subtree_control" || missing="$missing $controller"
	done
	[ -n "$missing" ] || break
	tries=$((tries - 1))
	if [ "$tries" -le 0 ]; then
		echo "world: this kernel does not hand the cgroup controllers$missing on to a node:" \
			"see which processes hold the node's cgroup ($(cat "$here/cgroup.procs" | tr '\n' ' '); 0 is one outside the node)." >&2
		exit 1
	fi
	sleep 0.1
done
