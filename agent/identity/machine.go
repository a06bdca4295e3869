package identity

import (
	"bufio"
	"io"
	"os"
	"runtime"
	"strings"
	"unicode"

	"communewatch/probes/enroll"

	"github.com/shirou/gopsutil/v4/host"
)

// Machine is what an agent says of the machine that it runs on.
func Machine(version string) enroll.Machine {
	m := enroll.Machine{System: runtime.GOOS + "/" + runtime.GOARCH, Version: plain(version)}
	if name, err := os.Hostname(); err == nil {
		m.Host = plain(name)
	}
	m.Release = plain(release())
	return m
}

// release is what the system calls itself; "" where it does not say.
func release() string {
	if f, err := os.Open("/etc/os-release"); err == nil { // os-release(5)
		defer f.Close()
		in := bufio.NewScanner(io.LimitReader(f, 64<<10))
		for in.Scan() {
			if name, ok := strings.CutPrefix(in.Text(), "PRETTY_NAME="); ok {
				return strings.Trim(name, `"'`)
			}
		}
	}
	if runtime.GOOS == "linux" {
		return "" // the library would run programs to find out
	}
	name, _, version, err := host.PlatformInformation()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(name + " " + version)
}

// plain makes a text fit for one line of at most 200 bytes.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "")
	}
	return s
}
