# green.sh - run by boot.sh in a machine that is thrown away: the README's commands, as somebody types them who has the
# packages and nothing else. How long is it from the package to a green site on the map?
fail() {
	{
		echo "FAIL: $*"
		cat /root/said
		systemctl --no-pager status communewatch-agent communewatch-collector
		journalctl --no-pager -u communewatch-agent -u communewatch-collector | tail -n 60
	} >&2
	exit 1
}
install() { apt-get install --yes --quiet=2 "$1" </dev/null >/root/said 2>&1 || fail "$1 can't be installed"; }
centre() { ip netns exec centre runuser -u communewatch-collector -- communewatch-collector "$@" 2>/root/said || fail "communewatch-collector $*"; }
map() { curl --silent --show-error --fail --cacert authority/roots.pem --header "Authorization: Bearer $key" "https://10.98.0.2:8787/api/v1/sites$1"; }
await() { # until the map says something of the site
	until map "" | grep -q "\"state\":\"$1\""; do
		[ $(($(now) - begin)) -lt 1500 ] || fail "the map does not say $1: $(map /s08707)"
		sleep 0.2
	done
}
now() { echo $(($(date +%s%N) / 100000000)); } # tenths of a second

# An office with a router, and behind that the collector, as if it ran on another machine.
for name in router centre; do
	ip netns add $name
	ip -n $name link set lo up
done
ip link add office type veth peer name office netns router
ip -n centre link add card type veth peer name centre netns router
ip address add 10.99.0.10/24 dev office
ip link set office up
ip route add default via 10.99.0.1
ip -n router address add 10.99.0.1/24 dev office
ip -n router address add 10.98.0.1/24 dev centre
ip -n router link set office up
ip -n router link set centre up
ip netns exec router sysctl --quiet --write net.ipv4.ip_forward=1
ip -n centre address add 10.98.0.2/24 dev card
ip -n centre link set card up
ip -n centre route add default via 10.98.0.1
mkdir -p /etc/systemd/system/communewatch-collector.service.d
printf '[Service]\nNetworkNamespacePath=/run/netns/centre\n' >/etc/systemd/system/communewatch-collector.service.d/test.conf

install /root/communewatch-collector_*.deb
systemctl is-active --quiet communewatch-collector || fail "the collector was not started with its package"
cd /var/lib/communewatch-collector
printf 'id,name,lat,lon\ns08707,Xã Tam Đảo,21.4563,105.6441\n' >sites.csv
printf 'Mã đơn vị,Bộ định tuyến\ns08707,10.99.0.1\n' >values.csv
{
	centre sites import sites.csv
	centre work init /tmp/plan.yaml
	centre work apply /tmp/plan.yaml --note "first"
	centre work values import values.csv
	centre user add witness --role viewer
} >/dev/null
key=$(centre user keys create witness)
code=$(centre enroll create --site s08707 | grep -o 'CW1-[0-9A-Z-]*' | head -n 1)
begin=$(now)
await no_data

# The three commands.
begin=$(now)
install /root/communewatch-agent_*.deb
installed=$(now)
communewatch-agent enroll "$code" >/root/said 2>&1 || fail "it can't join"
joined=$(now)
systemctl is-active --quiet communewatch-agent || fail "its service does not run"
await ok
green=$(now)
systemctl is-active --quiet communewatch-agent || fail "its service does not run any more"
map /s08707 | grep -q '"gateway"' || fail "it is green without its router: $(map /s08707)"
echo "from the package to green on the map: $(((green - begin) / 10)) s, of them $(((installed - begin) / 10)) s for apt and $(((joined - installed) / 10)) s to join"
echo PASSED
