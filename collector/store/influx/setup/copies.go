package setup

import (
	"net"
	"net/url"
	"path"
	"strings"

	"communewatch/collector/store/influx"
)

// BackupCommands are what copies the databases into dir, to be run beside the server. They are told apart by the
// settings: only 2.x has an organisation. 3.x has no such command; docs/storage.md says what to copy there.
func BackupCommands(c influx.Config, dir string) []string {
	if c.Org == "" {
		host := "127.0.0.1"
		if u, err := url.Parse(c.URL); err == nil && u.Hostname() != "" {
			host = u.Hostname()
		}
		return []string{"influxd backup -portable -host " + net.JoinHostPort(host, "8088") + " " + shell(dir)}
	}
	var all []string
	for _, l := range levels() {
		name := c.DatabaseOf(l)
		all = append(all, "influx backup --host "+shell(c.URL)+" --org "+shell(c.Org)+" --bucket "+name+" "+shell(path.Join(dir, name)))
	}
	return all
}

// shell quotes a word for a shell, where it needs that.
func shell(s string) string {
	plain := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_./:", c)
	}
	if s != "" && !strings.ContainsFunc(s, func(c rune) bool { return !plain(c) }) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
