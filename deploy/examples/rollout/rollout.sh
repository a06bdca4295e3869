#!/bin/sh
# rollout.sh PACKAGE.deb MACHINES [KEY [ALLOW]] - install or upgrade the agent by SSH and let each machine join with a code of its own.
#
# MACHINES is a file that only you can read (chmod 600), with a line per machine: user@host CODE
# Lines that begin with # are left out, and so is the code for a machine that has joined. The first failure ends it, so that
# a mistake meets one site and not all; what is done is skipped when it is run again. With KEY (RW...), the public key of who
# signs releases, machines that join update themselves from the collector; give '' to leave it out. ALLOW is the public addresses
# that the plan measures, by commas: machines that join let checks from the collector speak to them.
set -eu
[ $# -ge 2 ] && [ $# -le 4 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
package=$1
machines=$2
[ -r "$package" ] || { echo "rollout: $package is not there" >&2; exit 1; }
more=
case ${3:-} in
'') ;;
*[!A-Za-z0-9+/=]* | [!R]* | R[!W]*) echo "rollout: $3 is no public key, which begins with RW" >&2; exit 1 ;;
*) more="--updates $3" ;;
esac
case ${4:-} in
'') ;;
*[!0-9A-Fa-f.:/,]*) echo "rollout: $4 is no list of addresses or prefixes such as 203.0.113.7,198.51.100.0/24" >&2; exit 1 ;;
*) more="$more --allow $4" ;;
esac
case $(ls -l "$machines") in
-r??------*) ;;
*) echo "rollout: others can read $machines, and codes are in it: chmod 600 $machines" >&2; exit 1 ;;
esac

# Joins unless the machine has an identity. The code comes on standard input, so that it is in no list of processes on the way.
join='if sudo -n test -e /var/lib/communewatch-agent/identity/identity.json; then echo "has joined before"; else
	read -r code; sudo -n communewatch-agent enroll "$code" '$more'; fi'

file=/tmp/$(basename "$package")
while read -r machine code <&3; do
	case $machine in '' | '#'*) continue ;; esac
	echo "== $machine"
	scp -q -o BatchMode=yes "$package" "$machine:$file"
	ssh -o BatchMode=yes "$machine" "sudo -n env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o Dpkg::Options::=--force-confold $file && rm -f $file" </dev/null
	printf '%s\n' "$code" | ssh -o BatchMode=yes "$machine" "$join"
	ssh -o BatchMode=yes "$machine" 'sudo -n systemctl is-active communewatch-agent' </dev/null
done 3<"$machines"
echo "rollout: done"
