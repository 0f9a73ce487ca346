#!/bin/sh
# Fuzz every target for a while: run.sh FOLDER-OF-TARGETS SECONDS-EACH. New inputs stay in build/; a crash fails.
set -eu
targets=$1
seconds=$2
for target in "$targets"/fuzz_*; do
	name=$(basename "$target")
	found=build/fuzz-found/$name
	mkdir -p "$found"
	echo "== $name, $seconds s"
	"$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
		-artifact_prefix="$found/crash-" "$found" "test/fuzz/corpus/${name#fuzz_}" 2>&1 | tail -n 4
done
