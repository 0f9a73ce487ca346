#!/bin/sh
# The table of rooms, held against the includes. A room may include itself and the rooms listed for it; an outside library
# only where it is named here. docs/architecture.md has the same table for people.
set -u
cd "$(dirname "$0")/../.." || exit 2

may_use() {
	case $1 in
	base) echo "base" ;;
	loop) echo "base loop" ;;
	model) echo "base model" ;;
	heal) echo "base model heal" ;;
	serf) echo "base loop model serf" ;;
	kube) echo "base loop model kube" ;;
	store) echo "base model store" ;;
	node) echo "base loop model node" ;;
	web) echo "base loop web" ;;
	conf) echo "base model conf" ;;
	agent) echo "base loop model heal serf kube store node web conf agent" ;;
	cli) echo "base loop model conf node agent cli" ;;
	esac
}

# header pattern, files that may include it
libraries='
json-c/|src/base/json.c
uthash|src/base/map.c
openssl/|src/base/uuid.c src/store/seal.c src/node/cert.c
event2/|src/loop/loop.c
msgpack|src/serf/encode.c src/serf/doc.c
curl/|src/kube/transport.c src/cli/client.c
sqlite3|src/store/store_int.h
microhttpd|src/web/server.c
nftables/|src/node/gate.c
yaml.h|src/kube/kubeconfig.c src/conf/yaml.c src/conf/document.c
'
failed=0
checked=0

# shellcheck disable=SC2013 # names of files and rooms have no spaces
for file in src/*/*.c src/*/*.h include/*/*.h; do
	room=$(echo "$file" | cut -d/ -f2)
	allowed=" $(may_use "$room") "
	for used in $(sed -n 's/^#include "\([a-z]*\)\/.*/\1/p' "$file" | sort -u); do
		checked=$((checked + 1))
		case $allowed in
		*" $used "*) ;;
		*) echo "$file: room $room may not include $used/"; failed=$((failed + 1)) ;;
		esac
	done
	bad=$(sed -n 's/^#include "\([^/"]*\)".*/\1/p' "$file")
	for header in $bad; do
		[ -f "$(dirname "$file")/$header" ] || { echo "$file: include \"room/file.h\", not \"$header\""; failed=$((failed + 1)); }
	done
done

# shellcheck disable=SC2013
for row in $(echo "$libraries" | tr ' ' ','); do
	pattern=${row%%|*}
	files=" $(echo "${row#*|}" | tr ',' ' ') "
	for file in $(grep -lE "^#include <$pattern" src/*/*.[ch] include/*/*.h); do
		checked=$((checked + 1))
		case $files in
		*" $file "*) ;;
		*) echo "$file: <$pattern…> belongs in$files only"; failed=$((failed + 1)) ;;
		esac
	done
done

echo "layers: $checked includes checked, $failed wrong"
[ "$failed" = 0 ] && [ "$checked" -gt 100 ]
