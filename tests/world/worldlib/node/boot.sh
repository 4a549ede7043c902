#!/bin/sh
# Runs first in a native node's new namespaces, still on the machine's file system: makes the node's own and goes there.
# Given: HF_LAYERS (overlay lowerdir), HF_DISK (what survives a boot), HF_BOOT_ID (a file), HF_WORLD (the world's directory),
# HF_V1 ("name=option name=option …", the machine's cgroup v1 hierarchies; empty on a v2 machine), HF_NAME, HF_LOGS.
set -eu
mount --make-rprivate /
root=$HF_DISK/root
mount -t overlay overlay -o "lowerdir=$HF_LAYERS,upperdir=$HF_DISK/upper,workdir=$HF_DISK/work" "$root"
cd "$root"
mkdir -p dev proc sys run tmp witness lib/modules var/lib/containerd var/lib/kubelet var/lib/holdfast-world/images var/log/world old-root

mount -t proc proc proc
mount --bind "$HF_BOOT_ID" proc/sys/kernel/random/boot_id
# What the kubelet wants of the kernel. These settings have no namespace: it finds them so here, and the machine keeps its own.
settings=$HF_DISK/kernel-settings
rm -rf "$settings"
for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 kernel/keys/root_maxkeys=1000000 \
	kernel/keys/root_maxbytes=25000000; do
	name=${setting%=*}
	[ -e "proc/sys/$name" ] || continue
	mkdir -p "$settings/$(dirname "$name")"
	echo "${setting#*=}" > "$settings/$name"
	mount --bind "$settings/$name" "proc/sys/$name"
done
mount -t sysfs sysfs sys
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp

mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty kmsg fuse net/tun loop-control; do
	[ -e "/dev/$device" ] || continue
	mkdir -p "dev/$(dirname $device)"
	touch "dev/$device"
	mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/pts dev/shm dev/mqueue
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t mqueue mqueue dev/mqueue
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for number in 0 1 2; do ln -s "/proc/self/fd/$number" "dev/std$(echo 'in out err' | cut -d' ' -f$((number + 1)))"; done

# Plain directories, as containerd's own overlays cannot lie on an overlay.
mount --bind "$HF_DISK/containerd" var/lib/containerd
mount --bind "$HF_DISK/kubelet" var/lib/kubelet
mount --bind "$HF_LOGS" var/log/world
mount --bind "$HF_WORLD/witness" witness
mount --bind "$HF_WORLD/images" var/lib/holdfast-world/images
[ ! -d /lib/modules ] || mount --rbind -o ro /lib/modules lib/modules

if [ -n "$HF_V1" ]; then
	mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup
	for hierarchy in $HF_V1; do
		mkdir "sys/fs/cgroup/${hierarchy%%=*}"
		mount -t cgroup -o "${hierarchy#*=}" cgroup "sys/fs/cgroup/${hierarchy%%=*}"
	done
else
	mount -t cgroup2 cgroup2 sys/fs/cgroup
	/bin/sh "${0%/*}/hand-on.sh" sys/fs/cgroup
fi

pivot_root . old-root
cd /
umount -l /old-root
mount --make-rshared /
hostname "$HF_NAME"
unset HF_LAYERS HF_DISK HF_BOOT_ID HF_WORLD HF_V1 HF_NAME HF_LOGS
exec /usr/local/lib/holdfast-world/init
