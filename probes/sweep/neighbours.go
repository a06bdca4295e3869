package sweep

import (
	"bufio"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// neighbour is an address of the machine's own networks that was asked for by ARP.
type neighbour struct {
	mac      net.HardwareAddr
	complete bool // somebody answered; else nobody did
}

// neighbours reads the system's table. Only Linux has it as a file; elsewhere nobody is known.
func neighbours() map[netip.Addr]neighbour {
	f, err := os.Open("/proc/net/arp")
	if err != nil {
		return nil
	}
	defer f.Close()
	return parseNeighbours(f)
}

// Card returns the network card of a host in one of the machine's own networks, nil where it is not known. It sends
// nothing: the system knows the card after it has sent the host something.
func Card(host netip.Addr) net.HardwareAddr {
	if n, ok := neighbours()[host.Unmap()]; ok && n.complete {
		return n.mac
	}
	return nil
}

// maxNeighbours bounds what is read of the table; a network of an office has a few hundred.
const maxNeighbours = 20_000

// parseNeighbours reads lines "address type flags mac mask device", the first of which is a heading.
func parseNeighbours(r io.Reader) map[netip.Addr]neighbour {
	out := map[netip.Addr]neighbour{}
	lines := bufio.NewScanner(r)
	for n := 0; n < maxNeighbours && lines.Scan(); n++ {
		words := strings.Fields(lines.Text())
		if len(words) < 6 || words[1] != "0x1" { // Ethernet
			continue
		}
		addr, err := netip.ParseAddr(words[0])
		if err != nil {
			continue
		}
		flags, err := strconv.ParseUint(words[2], 0, 32)
		if err != nil {
			continue
		}
		const complete = 2 // ATF_COM
		mac, err := net.ParseMAC(words[3])
		if err != nil || len(mac) != 6 || mac.String() == "00:00:00:00:00:00" {
			mac = nil
		}
		out[addr] = neighbour{mac: mac, complete: flags&complete != 0 && mac != nil}
	}
	return out
}
