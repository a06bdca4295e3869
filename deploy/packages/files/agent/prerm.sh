#!/bin/sh
# Before removal (deb: remove, rpm: 0), not before an upgrade: the new version restarts the service itself.
set -e
case "${1:-}" in
remove | 0) ;;
*) exit 0 ;;
esac
if [ -d /run/systemd/system ]; then
	systemctl stop communewatch-agent.service || true
	systemctl stop communewatch-shutdown.service || true
	rm -rf /run/communewatch-shutdown
fi
if command -v systemctl >/dev/null 2>&1; then
	systemctl --quiet disable communewatch-agent.service communewatch-shutdown.service || true
fi
rm -f /var/lib/communewatch-agent/.enabled
