# install.sh PACKAGES NEWER SCRATCH - run in a mount namespace of its own, as root.
packages=$1
newer=$2
scratch=$3
mount -t tmpfs packages "$scratch" 2>/dev/null || { echo "SKIP: may not mount, so packages are not installed"; exit 0; }
mkdir "$scratch/upper" "$scratch/work" "$scratch/root"
mount -t overlay -o "lowerdir=/,upperdir=$scratch/upper,workdir=$scratch/work" packages "$scratch/root" 2>/dev/null ||
	{ echo "SKIP: no overlays here, so packages are not installed"; exit 0; }
root=$scratch/root
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount -t tmpfs run "$root/run" # no systemd runs in it
mkdir "$root/run/packages" "$root/run/newer"
mount --bind "$packages" "$root/run/packages"
mount --bind "$newer" "$root/run/newer"

fail() {
	echo "FAIL: $*"
	exit 1
}
inside() { chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"; }
enabled=etc/systemd/system/multi-user.target.wants/communewatch-agent.service
settings=etc/communewatch/agent.yaml
state=var/lib/communewatch-agent

echo "== install"
inside sh -c 'dpkg --install /run/packages/communewatch-agent_*_amd64.deb /run/packages/communewatch-collector_*_amd64.deb'
[ "$(inside stat -c '%U %a' /$state)" = "communewatch-agent 700" ] || fail "the state folder is $(inside stat -c '%U %a' /$state)"
[ "$(inside stat -c '%U:%G %a' /$settings)" = "root:communewatch-agent 640" ] || fail "the settings are $(inside stat -c '%U:%G %a' /$settings)"
[ "$(inside stat -c '%U %a' /var/lib/communewatch-collector)" = "communewatch-collector 700" ] || fail "the collector's folder"
case $(inside getent passwd communewatch-agent) in */nologin) ;; *) fail "the agent's user may log in" ;; esac
inside communewatch-agent version
if command -v systemctl >/dev/null; then
	[ -L "$root/$enabled" ] || fail "the service would not start with the machine"
	[ -L "$root/etc/systemd/system/multi-user.target.wants/communewatch-collector.service" ] || fail "the collector would not start"
	problems=$(inside systemd-analyze verify /usr/lib/systemd/system/communewatch-agent.service /usr/lib/systemd/system/communewatch-shutdown.service \
		/usr/lib/systemd/system/communewatch-collector.service 2>&1 | grep communewatch || true)
	[ -z "$problems" ] || fail "systemd finds in the units: $problems"
fi

echo "== upgrade keeps what was edited and disabled"
echo '# edited by the province' >>"$root/$settings"
echo result >"$root/$state/waiting"
[ ! -L "$root/$enabled" ] || inside systemctl --quiet disable communewatch-agent.service
inside sh -c 'dpkg --force-confold --force-confdef --install /run/newer/communewatch-agent_*_amd64.deb'
grep -q '^# edited by the province' "$root/$settings" || fail "edited settings were overwritten"
grep -q 'new in this version' "$root/$settings" && fail "edited settings were mixed with new ones"
[ "$(inside stat -c '%U:%G %a' /$settings)" = "root:communewatch-agent 640" ] || fail "after the upgrade the settings are $(inside stat -c '%U:%G %a' /$settings)"
[ ! -e "$root/$enabled" ] || fail "the upgrade enabled a service that was disabled"
[ -e "$root/$state/waiting" ] || fail "the upgrade removed results"

echo "== removal keeps settings and results"
inside dpkg --remove communewatch-agent
[ ! -e "$root/usr/bin/communewatch-agent" ] || fail "the program is still there"
[ -e "$root/$settings" ] && [ -e "$root/$state/waiting" ] || fail "removal took settings or results"
inside getent passwd communewatch-agent >/dev/null || fail "removal took the user to whom the results belong"

echo "== installed again it starts with the machine again"
inside sh -c 'dpkg --force-confold --install /run/newer/communewatch-agent_*_amd64.deb'
! command -v systemctl >/dev/null || [ -L "$root/$enabled" ] || fail "after remove and install the service would not start with the machine"

echo "== purge leaves nothing"
inside dpkg --purge communewatch-agent communewatch-collector
left=$(find "$scratch/upper" -name '*communewatch*' ! -path "$scratch/upper/var/log/*" ! -path "$scratch/upper/run/*" ! -type c)
[ -z "$left" ] || fail "purge left $left"
for file in passwd group shadow; do
	! grep -q communewatch "$root/etc/$file" || fail "purge left a user in /etc/$file"
done

if ! command -v rpm >/dev/null; then
	echo "no rpm here, so the rpm is not installed"
	exit 0
fi
echo "== rpm: install, upgrade, remove"
inside sh -c 'rpm --install --nodeps /run/packages/communewatch-agent-*.x86_64.rpm'
[ "$(inside stat -c '%U %a' /$state)" = "communewatch-agent 700" ] || fail "rpm: the state folder"
echo '# edited by the province' >>"$root/$settings"
inside sh -c 'rpm --upgrade --nodeps /run/newer/communewatch-agent-*.x86_64.rpm'
grep -q '^# edited by the province' "$root/$settings" || fail "rpm: edited settings were overwritten"
[ -e "$root/$settings.rpmnew" ] || fail "rpm: the new settings are nowhere"
[ -x "$root/usr/bin/communewatch-agent" ] || fail "rpm: the upgrade took the program"
! command -v systemctl >/dev/null || [ -L "$root/$enabled" ] || fail "rpm: the upgrade disabled the service"
inside rpm --erase communewatch-agent
[ ! -e "$root/usr/bin/communewatch-agent" ] || fail "rpm: the program is still there"
[ -d "$root/$state" ] || fail "rpm: removal took results"
[ ! -e "$root/$enabled" ] || fail "rpm: the service is still enabled"
