#!/bin/sh
# All static checks; exits non-zero when any of them fails. Prints `N passed, N failed`.
cd "$(dirname "$0")/../.." || exit 2
passed=0
failed=0
check() {
	name=$1
	shift
	if "$@"; then
		passed=$((passed + 1))
	else
		echo "lint: $name failed"
		failed=$((failed + 1))
	fi
}
whitespace() {
	! git grep -nIE '[[:space:]]+$' -- ':!test/fuzz/corpus' ':!test/data' ':!LICENSE'
}
machine_paths() {
	# the repo speaks of the project alone
	! git grep -nIE '/work/|/root/|/home/[a-z]' -- ':!test/lint/run.sh' ':!test/data'
}
check layers sh test/lint/layers.sh
check sizes /usr/bin/python3 test/lint/sizes.py
check shellcheck shellcheck test/lint/cov.sh test/deps.sh test/lint/layers.sh test/lint/run.sh test/fuzz/run.sh .ci/run
check whitespace whitespace
check paths machine_paths
check clang-tidy /usr/bin/python3 test/lint/tidy.py
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
