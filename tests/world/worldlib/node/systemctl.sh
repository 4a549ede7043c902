#!/bin/sh
# A stand-in for systemctl on native nodes, which have no systemd: what an installer or an operator asks of a node's services.
# It knows containerd, kubelet and kube-proxy (init.sh keeps them) and reboot, poweroff. Emulated nodes have the real one.
set -eu
fail() {
	echo "systemctl (stand-in of the test world): $*" >&2
	exit 1
}

pid_of() { cat "/run/world/$1.pid" 2> /dev/null; }

is_up() { [ ! -e "/run/world/stopped/$1" ] && kill -0 "$(pid_of "$1")" 2> /dev/null; }

end() {
	kill "$(pid_of "$1")" 2> /dev/null || return 0
	tries=100
	while kill -0 "$(pid_of "$1")" 2> /dev/null && [ "$tries" -gt 0 ]; do
		tries=$((tries - 1))
		sleep 0.1
	done
}

verb=
unit=
for word in "$@"; do
	case $word in
	-*) ;;
	*) if [ -z "$verb" ]; then verb=$word; else unit=${word%.service}; fi ;;
	esac
done
case $verb in
daemon-reload) exit 0 ;;
reboot) exec busybox reboot -f ;;
poweroff) exec busybox poweroff -f ;;
esac
case $unit in
containerd | kubelet | kube-proxy) ;;
*) fail "no unit \`$unit\`: only containerd, kubelet and kube-proxy" ;;
esac
case $verb in
is-active) if is_up "$unit"; then echo active; else echo inactive && exit 3; fi ;;
start) rm -f "/run/world/stopped/$unit" ;;
stop) : > "/run/world/stopped/$unit" && end "$unit" ;;
restart | try-restart | reload-or-restart) rm -f "/run/world/stopped/$unit" && end "$unit" ;;
*) fail "no verb \`$verb\`" ;;
esac
