# boot.sh PACKAGES SCRATCH LOOK [FILE...] - boot a throw-away root, with the packages in /root, under a real systemd, run the
# script LOOK in it, shut it down, and want these files to be there then. Run in a mount namespace of its own, as root.
packages=$1
scratch=$2
look=$3
shift 3
mount -t tmpfs packages "$scratch" 2>/dev/null || { echo "SKIP: may not mount, so no systemd is started"; exit 0; }
mkdir "$scratch/upper" "$scratch/work" "$scratch/root"
mount -t overlay -o "lowerdir=/,upperdir=$scratch/upper,workdir=$scratch/work" packages "$scratch/root" 2>/dev/null ||
	{ echo "SKIP: no overlays here, so no systemd is started"; exit 0; }
root=$scratch/root
: >"$root/etc/machine-id"
rm -rf "$root"/etc/systemd/system/*.wants "$root/usr/sbin/policy-rc.d" # of this machine's own services
cp "$packages"/communewatch-agent_*_amd64.deb "$packages"/communewatch-collector_*_amd64.deb "$root/root/"
cp "$look" "$root/root/look.sh"
cat >"$root/etc/systemd/system/look.service" <<'UNIT'
[Unit]
After=basic.target
[Service]
Type=oneshot
Environment=HOME=/root DEBIAN_FRONTEND=noninteractive
ExecStart=/bin/sh -c '/bin/sh -eu /root/look.sh >/root/looked 2>&1; systemctl --no-block poweroff'
UNIT
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -s ../look.service "$root/etc/systemd/system/multi-user.target.wants/look.service"
SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 timeout 300 systemd-nspawn --quiet --directory="$root" --boot --register=no --keep-unit --private-network \
	--machine=communewatch-test systemd.unit=multi-user.target </dev/null >"$scratch/console" 2>&1 || true
if [ ! -s "$root/root/looked" ]; then
	grep -q 'Welcome to' "$scratch/console" || { echo "SKIP: systemd does not run in a container here"; tail -n 5 "$scratch/console"; exit 0; }
	cat "$scratch/console"
	exit 1
fi
cat "$root/root/looked"
grep -q '^PASSED$' "$root/root/looked" || exit 1
for file in "$@"; do
	[ -e "$root$file" ] || { echo "FAIL: after the shutdown there is no $file"; exit 1; }
done
