#!/bin/sh
# After unpacking: the user, its folder, the service. The same for deb (configure [OLD-VERSION]) and rpm (1 or 2), and
# without systemd, as in a container or an image that is being made.
set -e
case "${1:-}" in
abort-*) exit 0 ;;
esac
user=communewatch-agent
state=/var/lib/communewatch-agent
if ! getent passwd $user >/dev/null 2>&1; then
	if command -v systemd-sysusers >/dev/null 2>&1; then
		systemd-sysusers /usr/lib/sysusers.d/$user.conf
	else
		useradd --system --user-group --no-create-home --home-dir $state --shell /usr/sbin/nologin $user
	fi
fi
[ -d $state ] || install -d -m 0700 -o $user -g $user $state
# The settings may hold a token: root writes them, the agent reads them, nobody else does.
[ ! -e /etc/communewatch/agent.yaml ] || chgrp $user /etc/communewatch/agent.yaml

running() { [ -d /run/systemd/system ]; }
if running; then
	/usr/lib/systemd/systemd-sysctl /usr/lib/sysctl.d/50-communewatch-agent.conf || true
	systemctl daemon-reload || true
fi
# Enabled once: who disables the service finds it disabled after an upgrade.
if [ ! -e $state/.enabled ]; then
	if command -v systemctl >/dev/null 2>&1; then
		systemctl --quiet enable communewatch-agent.service communewatch-shutdown.service || true
	fi
	: >$state/.enabled
	if running; then
		systemctl start communewatch-agent.service communewatch-shutdown.service || true
	fi
	if [ ! -e $state/identity/identity.json ]; then
		echo "communewatch-agent is installed. To let this machine join:  communewatch-agent enroll CODE"
	fi
elif running; then
	systemctl try-restart communewatch-agent.service || true
fi
