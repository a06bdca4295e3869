#!/bin/sh
# need.sh COMMAND[:DEBIAN-PACKAGE] ... - make sure that commands exist. As root on Debian the missing packages are
# installed; elsewhere they are named, and the script fails so that no test is skipped unnoticed.
set -eu
missing=""
for need in "$@"; do
	cmd=${need%%:*}
	pkg=${need##*:}
	if ! command -v "$cmd" >/dev/null 2>&1 && [ ! -x "/usr/sbin/$cmd" ]; then
		missing="$missing $pkg"
	fi
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
	echo "setup: installing Debian packages:$missing"
	log=$(mktemp)
	if apt-get update >"$log" 2>&1 &&
		DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing >>"$log" 2>&1; then
		rm -f "$log"
		exit 0
	fi
	tail -n 20 "$log" >&2
	echo "setup: could not install$missing (the full log is in $log)" >&2
	exit 1
fi
echo "setup: please install these packages (Debian's names):$missing" >&2
exit 1
