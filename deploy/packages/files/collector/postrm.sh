#!/bin/sh
# After removal. All that was collected, and the authority that vouches for the agents, go with a purge only.
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
fi
if [ "${1:-}" = purge ]; then
	rm -rf /var/lib/communewatch-collector
	if getent passwd communewatch-collector >/dev/null 2>&1; then
		userdel communewatch-collector || true
	fi
	if getent group communewatch-collector >/dev/null 2>&1; then
		groupdel communewatch-collector || true
	fi
fi
