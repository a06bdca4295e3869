#!/bin/sh
# Before removal (deb: remove, rpm: 0), not before an upgrade: the new version restarts the service itself.
set -e
case "${1:-}" in
remove | 0) ;;
*) exit 0 ;;
esac
if [ -d /run/systemd/system ]; then
	systemctl stop communewatch-collector.service || true
fi
if command -v systemctl >/dev/null 2>&1; then
	systemctl --quiet disable communewatch-collector.service || true
fi
rm -f /var/lib/communewatch-collector/.enabled
