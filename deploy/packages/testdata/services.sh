# services.sh - run by boot.sh in a machine that is thrown away: are the services started, watched, and held to what their
# units say?
fail() { echo "FAIL: $*"; systemctl --no-pager status communewatch-agent communewatch-collector; journalctl --no-pager -u communewatch-agent -u communewatch-collector | tail -n 40; exit 1; }
show() { systemctl show --value -p "$1" communewatch-agent; }

# A watchdog that a test can wait for, and a witness of what the agent sees at its stop.
mkdir -p /etc/systemd/system/communewatch-agent.service.d
cat >/etc/systemd/system/communewatch-agent.service.d/test.conf <<'UNIT'
[Service]
WatchdogSec=4
RestartSec=1
ExecStopPost=/bin/sh -c 'if test -e /run/communewatch-shutdown/now; then touch /var/lib/communewatch-agent/saw-shutdown; else touch /var/lib/communewatch-agent/saw-stop; fi'
UNIT
# The packages start their services: both are of Type=notify, and active once
# they have said READY=1.
apt-get install --yes --quiet=2 /root/communewatch-*.deb </dev/null >/root/apt 2>&1 || { cat /root/apt; fail "they can't be installed"; }
[ "$(systemctl is-active communewatch-agent communewatch-shutdown communewatch-collector | sort -u)" = active ] || fail "a service was not started with its package"
[ "$(show StatusText)" = "waiting for: communewatch-agent enroll CODE" ] || fail "the agent says it is $(show StatusText)"
pid=$(show MainPID)
[ "$(stat -c %U /proc/$pid)" = communewatch-agent ] || fail "the agent runs as $(stat -c %U /proc/$pid)"
grep -q '^CapBnd:.0000000000002000$' /proc/$pid/status || fail "the agent may have $(grep ^CapBnd /proc/$pid/status), not CAP_NET_RAW alone"
grep -q '^NoNewPrivs:.1$' /proc/$pid/status || fail "the agent may gain privileges"
echo "the agent runs, waits for a code, and has one capability"

kill -STOP "$pid" # it hangs
tries=0
while [ "$(show NRestarts)" = 0 ]; do
	tries=$((tries + 1))
	[ $tries -lt 40 ] || fail "the watchdog has not ended an agent that hangs"
	sleep 0.5
done
systemctl start communewatch-agent || fail "the agent does not come back"
[ "$(show MainPID)" != "$pid" ] || fail "the agent is the one that hung"
echo "the watchdog has started an agent that hung anew"

systemctl stop communewatch-agent
[ -e /var/lib/communewatch-agent/saw-stop ] && [ ! -e /var/lib/communewatch-agent/saw-shutdown ] || fail "a stop of the service was taken for a shutdown"
rm /var/lib/communewatch-agent/saw-stop
systemctl start communewatch-agent

pid=$(systemctl show --value -p MainPID communewatch-collector)
[ "$(stat -c %U /proc/$pid)" = communewatch-collector ] || fail "the collector runs as $(stat -c %U /proc/$pid)"
grep -q '^CapBnd:.0000000000000000$' /proc/$pid/status || fail "the collector may have $(grep ^CapBnd /proc/$pid/status)"
journalctl --no-pager -u communewatch-collector | grep -q 'collector started' || fail "the collector said READY=1 before it had started"
echo "the collector runs and has no capability"
echo PASSED
