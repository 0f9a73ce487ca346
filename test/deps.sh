#!/bin/sh
# Install the Debian packages named on the command line that are missing: as root, or with sudo; else print the line to run.
set -eu
missing=""
for pkg in "$@"; do
	dpkg-query -W -f='${Status}' "$pkg" 2>/dev/null | grep -q 'ok installed' || missing="$missing $pkg"
done
[ -z "$missing" ] && exit 0
# shellcheck disable=SC2086 # the list is meant to split
if [ "$(id -u)" = 0 ]; then
	as=""
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
	as="sudo -n"
else
	echo "These packages are missing. Run this, then make again:"
	echo "  sudo apt-get update && sudo apt-get install -y --no-install-recommends$missing"
	exit 1
fi
echo "installing:$missing"
# shellcheck disable=SC2086
{
	$as env DEBIAN_FRONTEND=noninteractive apt-get update -qq
	$as env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
}
