package load

import (
	"bufio"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// DropsOf returns a function that reads how many packets the kernel has dropped because the socket's queue was full.
func DropsOf(udp *net.UDPConn) func() (uint64, bool) {
	none := func() (uint64, bool) { return 0, false }
	raw, err := udp.SyscallConn()
	if err != nil {
		return none
	}
	var stat unix.Stat_t
	if cerr := raw.Control(func(fd uintptr) { err = unix.Fstat(int(fd), &stat) }); cerr != nil || err != nil {
		return none
	}
	inode := strconv.FormatUint(stat.Ino, 10)
	return func() (uint64, bool) {
		for _, file := range []string{"/proc/thread-self/net/udp", "/proc/thread-self/net/udp6"} {
			if n, ok := dropsIn(file, inode); ok {
				return n, true
			}
		}
		return 0, false
	}
}

// dropsIn reads the column "drops" of the socket with that inode (proc_net_udp(5)).
func dropsIn(file, inode string) (uint64, bool) {
	f, err := os.Open(file)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	const inodeColumn, dropsColumn = 9, 12
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		column := strings.Fields(lines.Text())
		if len(column) > dropsColumn && column[inodeColumn] == inode {
			n, err := strconv.ParseUint(column[dropsColumn], 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
