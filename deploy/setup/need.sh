#!/bin/sh
# need.sh COMMAND[:DEBIAN-PACKAGE] ... - make sure that commands exist. As root on Debian the missing packages are
# installed; elsewhere they are named, and the script fails so that no test is skipped unnoticed. A pattern of a file
# does in place of a command: '/usr/lib/*/x.so:libx'.
# Tests start the servers among them themselves; what was installed here does not run by itself, now or after a restart.
set -eu
missing=""
for need in "$@"; do
	cmd=${need%%:*}
	pkg=${need##*:}
	case $cmd in
	/*) ls -d $cmd >/dev/null 2>&1 && continue ;;
	*) command -v "$cmd" >/dev/null 2>&1 && continue ;;
	esac
	[ -x "/usr/sbin/$cmd" ] || missing="$missing $pkg"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
	echo "setup: installing Debian packages:$missing"
	log=$(mktemp)
	policy=/usr/sbin/policy-rc.d # asked by packages whether their servers may start
	if [ ! -e $policy ]; then
		trap 'rm -f $policy' EXIT
		trap 'exit 1' HUP INT TERM
		printf '#!/bin/sh\nexit 101\n' >$policy
		chmod +x $policy
	fi
	if apt-get update >"$log" 2>&1 &&
		DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing >>"$log" 2>&1; then
		rm -f "$log"
		for pkg in $missing; do
			for unit in $(dpkg -L "$pkg" | sed -n 's|.*/systemd/system/\([^/@]*\.service\)$|\1|p'); do
				! command -v systemctl >/dev/null 2>&1 || systemctl disable --quiet "$unit" >/dev/null 2>&1 || true
			done
		done
		exit 0
	fi
	tail -n 20 "$log" >&2
	echo "setup: could not install$missing (the full log is in $log)" >&2
	exit 1
fi
echo "setup: please install these packages (Debian's names):$missing" >&2
exit 1
