#!/bin/sh
# After removal. What was measured and not yet sent, and the machine's identity, go with a purge only.
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
fi
if [ "${1:-}" = purge ]; then
	rm -rf /var/lib/communewatch-agent
	if getent passwd communewatch-agent >/dev/null 2>&1; then
		userdel communewatch-agent || true
	fi
	if getent group communewatch-agent >/dev/null 2>&1; then
		groupdel communewatch-agent || true
	fi
fi
