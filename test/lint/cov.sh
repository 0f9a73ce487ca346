#!/bin/sh
# Line coverage of src/ by room, from a coverage build: cov.sh build/cov
set -eu
cd "$1"
find . -path './src/*' -name '*.gcda' | while read -r data; do
	gcov -n -o "$(dirname "$data")" "$data" 2>/dev/null
done | awk '
	/^File .src\// { split($2, part, "/"); room = part[2]; next }
	/^File/ { room = ""; next }
	/^Lines executed/ && room != "" {
		split($2, x, /[:%]/); lines = $4
		total[room] += lines; hit[room] += lines * x[2] / 100; room = ""
	}
	END {
		for (r in total) { printf "%-8s %5.1f %% of %d lines\n", r, 100 * hit[r] / total[r], total[r]; t += total[r]; h += hit[r] }
		if (!t) exit 1
		printf "%-8s %5.1f %% of %d lines\n", "all", 100 * h / t, t
	}'
