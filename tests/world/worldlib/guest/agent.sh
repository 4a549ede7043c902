#!/bin/sh
# Runs commands on an emulated node for `world exec`. A request is a line `ID STDIN SCRIPT`, an answer `ID CODE STDOUT STDERR`, both
# over a virtio port and in base64 (`-` where empty): it works without network, so also while the node is partitioned.
exec 3<> /dev/virtio-ports/world # the port can be open only once
work=$(mktemp -d)
plain() { if [ "$1" != - ]; then echo "$1" | base64 -d; fi; }
coded() { if [ -s "$1" ]; then base64 -w0 "$1"; else printf -- -; fi; }

answer() { # ID STDIN SCRIPT
	here=$(mktemp -d "$work/XXXXXX")
	plain "$2" > "$here/in"
	plain "$3" > "$here/script"
	(cd / && exec sh "$here/script" < "$here/in" > "$here/out" 2> "$here/err" 3>&-)
	code=$?
	{
		flock 9
		printf '%s %s %s %s\n' "$1" "$code" "$(coded "$here/out")" "$(coded "$here/err")" >&3
	} 9> "$work/lock"
	rm -rf "$here"
}

while :; do
	while read -r id stdin script; do
		[ -z "$script" ] || answer "$id" "$stdin" "$script" &
	done <&3
	sleep 0.3 # nobody is connected at the other end
done
