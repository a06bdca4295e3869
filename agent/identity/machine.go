package identity

import (
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
	if name, _, release, err := host.PlatformInformation(); err == nil {
		m.Release = plain(strings.TrimSpace(name + " " + release))
	}
	return m
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
