#!/bin/sh
# After unpacking: the user, its folder, the service. The same for deb (configure [OLD-VERSION]) and rpm (1 or 2), and
# without systemd, as in a container or an image that is being made.
set -e
case "${1:-}" in
abort-*) exit 0 ;;
esac
user=communewatch-collector
state=/var/lib/communewatch-collector
if ! getent passwd $user >/dev/null 2>&1; then
	if command -v systemd-sysusers >/dev/null 2>&1; then
		systemd-sysusers /usr/lib/sysusers.d/$user.conf
	else
		useradd --system --user-group --no-create-home --home-dir $state --shell /usr/sbin/nologin $user
	fi
fi
[ -d $state ] || install -d -m 0700 -o $user -g $user $state
# The settings may hold secrets: root writes them, the collector reads them, nobody else does.
[ ! -e /etc/communewatch/collector.yaml ] || chgrp $user /etc/communewatch/collector.yaml

running() { [ -d /run/systemd/system ]; }
if running; then
	systemctl daemon-reload || true
fi
# Enabled once: who disables the service finds it disabled after an upgrade.
if [ ! -e $state/.enabled ]; then
	if command -v systemctl >/dev/null 2>&1; then
		systemctl --quiet enable communewatch-collector.service || true
	fi
	: >$state/.enabled
	if running; then
		systemctl start communewatch-collector.service || true
	fi
	echo "communewatch-collector is installed; its first start prints a link for the first administrator:  journalctl -u communewatch-collector"
elif running; then
	systemctl try-restart communewatch-collector.service || true
fi
