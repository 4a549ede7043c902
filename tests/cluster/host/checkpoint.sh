# A counter, frozen and brought back by the programs that were brought; it must not begin anew. Runs on a node.
set -eu
export PATH=/opt/holdfast/bin:$PATH
here=/var/lib/containerd/try
rm -rf $here
mkdir -p $here/rootfs/bin
cd $here
cp /usr/bin/busybox rootfs/bin/
ln -s busybox rootfs/bin/sh

counted() { cat rootfs/count 2> /dev/null || echo 0; }
beyond() { # COUNT: waits until the counter is there
	tries=500
	until [ "$(counted)" -gt "$1" ]; do
		tries=$((tries - 1))
		[ $tries -gt 0 ]
		busybox usleep 20000
	done
}

# No network namespace of its own: CRIU would lock it with iptables, where a pod's is one that it is given.
runc spec
program='"sh", "-c", "n=0; while :; do n=$((n+1)); echo $n > /count; busybox usleep 20000; done"'
sed -e 's/"terminal": true/"terminal": false/' -e 's/"readonly": true/"readonly": false/' -e "s#\"sh\"#$program#" config.json |
	busybox tr '\n\t' '  ' | sed 's/{ *"type": "network" *}, *//' > changed.json
mv changed.json config.json
runc run -d try < /dev/null > /dev/null 2>&1
beyond 10
runc checkpoint --image-path "$here/image" --work-path "$here/work" --manage-cgroups-mode ignore try || { tail -20 work/dump.log; exit 1; }
stood=$(counted)
runc restore -d --image-path "$here/image" --work-path "$here/work" --manage-cgroups-mode ignore try < /dev/null > /dev/null 2>&1 ||
	{ tail -20 work/restore.log; exit 1; }
beyond $((stood + 5))
runc delete -f try
cd /
rm -rf $here
echo "it went on from $stood"
