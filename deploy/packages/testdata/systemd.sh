# systemd.sh PACKAGES SCRATCH - boot a throw-away root with the packages under a real systemd, look at the services, shut it
# down. Run in a mount namespace of its own, as root.
packages=$1
scratch=$2
mount -t tmpfs packages "$scratch" 2>/dev/null || { echo "SKIP: may not mount, so no systemd is started"; exit 0; }
mkdir "$scratch/upper" "$scratch/work" "$scratch/root"
mount -t overlay -o "lowerdir=/,upperdir=$scratch/upper,workdir=$scratch/work" packages "$scratch/root" 2>/dev/null ||
	{ echo "SKIP: no overlays here, so no systemd is started"; exit 0; }
root=$scratch/root
: >"$root/etc/machine-id"
rm -rf "$root"/etc/systemd/system/*.wants # of this machine's own services
cp "$packages"/communewatch-agent_*_amd64.deb "$packages"/communewatch-collector_*_amd64.deb "$root/root/"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -c 'dpkg --install /root/communewatch-*.deb' >"$scratch/dpkg" 2>&1 || { cat "$scratch/dpkg"; exit 1; }
umount -l "$root/dev" "$root/proc"

# A watchdog that a test can wait for, and a witness of what the agent sees at its stop.
mkdir -p "$root/etc/systemd/system/communewatch-agent.service.d"
cat >"$root/etc/systemd/system/communewatch-agent.service.d/test.conf" <<'UNIT'
[Service]
WatchdogSec=4
RestartSec=1
ExecStopPost=/bin/sh -c 'if test -e /run/communewatch-shutdown/now; then touch /var/lib/communewatch-agent/saw-shutdown; else touch /var/lib/communewatch-agent/saw-stop; fi'
UNIT
cat >"$root/root/look.sh" <<'LOOK'
fail() { echo "FAIL: $*"; systemctl --no-pager status communewatch-agent communewatch-collector; journalctl --no-pager -u communewatch-agent -u communewatch-collector | tail -n 40; exit 1; }
show() { systemctl show --value -p "$1" communewatch-agent; }
# A service is active once it has said READY=1: both are of Type=notify.
systemctl start communewatch-agent || fail "the agent does not start"
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
systemctl start communewatch-agent communewatch-shutdown

systemctl start communewatch-collector || fail "the collector does not start"
pid=$(systemctl show --value -p MainPID communewatch-collector)
[ "$(stat -c %U /proc/$pid)" = communewatch-collector ] || fail "the collector runs as $(stat -c %U /proc/$pid)"
grep -q '^CapBnd:.0000000000000000$' /proc/$pid/status || fail "the collector may have $(grep ^CapBnd /proc/$pid/status)"
journalctl --no-pager -u communewatch-collector | grep -q 'collector started' || fail "the collector said READY=1 before it had started"
echo "the collector runs and has no capability"
echo PASSED
LOOK
cat >"$root/etc/systemd/system/look.service" <<'UNIT'
[Unit]
After=basic.target
[Service]
Type=oneshot
ExecStart=/bin/sh -c '/bin/sh /root/look.sh >/root/looked 2>&1; systemctl --no-block poweroff'
UNIT
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -s ../look.service "$root/etc/systemd/system/multi-user.target.wants/look.service"
SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 timeout 150 systemd-nspawn --quiet --directory="$root" --boot --register=no --keep-unit --private-network \
	--machine=communewatch-test systemd.unit=multi-user.target </dev/null >"$scratch/console" 2>&1 || true
if [ ! -s "$root/root/looked" ]; then
	grep -q 'Welcome to' "$scratch/console" || { echo "SKIP: systemd does not run in a container here"; tail -n 5 "$scratch/console"; exit 0; }
	cat "$scratch/console"
	exit 1
fi
cat "$root/root/looked"
grep -q '^PASSED$' "$root/root/looked" || exit 1
[ -e "$root/var/lib/communewatch-agent/saw-shutdown" ] || { echo "FAIL: a shutdown was taken for a stop of the service"; exit 1; }
echo "the agent knew that the machine was shut down"
