package main

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"communewatch/agent/cmd/communewatch-agent/exit"
)

const printerRecording = `1.3.6.1.2.1.1.1.0|4|Acme LaserWriter 9
1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.99999.3
1.3.6.1.2.1.1.5.0|4|may-in-01
1.3.6.1.2.1.25.3.2.1.3.1|4|LaserWriter 9
1.3.6.1.2.1.43.5.1.1.1.1|65|4
1.3.6.1.2.1.43.5.1.1.17.1|4|ACM0012345
this line is none
`

func recorded(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "odd.snmprec")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestIdentifyReplaysARecording(t *testing.T) {
	file := recorded(t, printerRecording)
	made := time.Date(2026, 3, 4, 5, 6, 7, 0, time.FixedZone("", 7*3600))
	if err := os.Chtimes(file, made, made); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := execTest(t, "identify", "--replay", file, "--json")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	if !strings.Contains(stderr, "line 7") {
		t.Errorf("the line that is none was not told: %q", stderr)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{"vendor": nil, "model": "LaserWriter 9", "version": nil, "serial": "ACM0012345", "class": "printer", "read_at": "2026-03-03T22:06:07Z"} {
		if v, ok := got[key]; !ok || v != want {
			t.Errorf("%s is %v, want %v", key, v, want)
		}
	}
	evidence, _ := got["evidence"].([]any)
	found := false
	for _, e := range evidence {
		m := e.(map[string]any)
		if m["at"] != "2026-03-03T22:06:07Z" {
			t.Errorf("%v was read at %v", m["fact"], m["at"])
		}
		if m["fact"] == "serial" {
			found = m["source"] == "snmp 1.3.6.1.2.1.43.5.1.1.17.1" && m["confidence"].(float64) > 0.5
		}
	}
	if !found {
		t.Errorf("the serial number has no evidence: %s", stdout)
	}
}

func TestIdentifyTakesProfilesOfTheUsers(t *testing.T) {
	file, dir := recorded(t, printerRecording), t.TempDir()
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "acme.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("vendor: Acme\nprofiles:\n  - name: acme\n    match: {object_id: [1.3.6.1.4.1.99999]}\n    facts:\n      version: [{descr: 'LaserWriter (\\d+)'}]\n")
	if code, stdout, stderr := execTest(t, "identify", "--replay", file, "--profiles", dir); code != 0 || !strings.Contains(stdout, "Acme") {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
	write("profiles:\n  - name: acme\n    match: {descr: ['(']}\n    clas: printer\n")
	code, _, stderr := execTest(t, "identify", "--replay", file, "--profiles", dir)
	if code != exit.CodeOwn || !strings.Contains(stderr, "acme.yaml:3") || !strings.Contains(stderr, `did you mean "class"`) {
		t.Errorf("exit code %d, and mistakes are told as %q", code, stderr)
	}
}

func TestIdentifySaysWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"nothing to identify": {[]string{}, exit.CodeOwn, "want one HOST[:PORT]"},
		"two ways":            {[]string{"10.0.0.1", "--sweep", "10.0.0.0/24"}, exit.CodeOwn, "want one HOST[:PORT]"},
		"no such recording":   {[]string{"--replay", "/nowhere/x.snmprec"}, exit.CodeOwn, "no such file"},
		"version":             {[]string{"127.0.0.1", "--snmp-version", "4"}, exit.CodeOwn, "--snmp-version"},
		"no user":             {[]string{"127.0.0.1", "--snmp-version", "3"}, exit.CodeOwn, "--v3"},
		"no auth key":         {[]string{"127.0.0.1", "--v3", "monitor", "--priv-key", "long enough"}, exit.CodeOwn, "--auth-key"},
		"auth protocol":       {[]string{"127.0.0.1", "--v3", "monitor", "--auth-key", "long enough", "--auth", "sha3"}, exit.CodeOwn, "--auth"},
		"no community file":   {[]string{"127.0.0.1", "--community-file", "/nowhere/community"}, exit.CodeOwn, "--community-file"},
		"a foreign network":   {[]string{"--sweep", "198.51.100.0/24"}, exit.CodeOwn, "--sweep"},
		"a large network":     {[]string{"--sweep", "10.0.0.0/8", "--allow", "10.0.0.0/8"}, exit.CodeOwn, "1024"},
		"not allowed":         {[]string{"--sweep", "10.1.0.0/24", "--allow", "10.2.0.0/16"}, exit.CodeOwn, "--sweep"},
	} {
		code, stdout, stderr := execTest(t, append([]string{"identify"}, c.args...)...)
		if code != c.code || !strings.Contains(stderr, c.want) || stdout != "" {
			t.Errorf("%s: exit code %d, want %d; stderr %q should name %q; stdout %q", name, code, c.code, stderr, c.want, stdout)
		}
	}
}

func TestIdentifyNamesADeviceThatIsOff(t *testing.T) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0") // a port that was free a moment ago
	if err != nil {
		t.Fatal(err)
	}
	address := c.LocalAddr().String()
	c.Close()
	code, _, stderr := execTest(t, "identify", address, "--snmp-only", "--timeout", "200ms")
	if code != exit.CodeNotUp || !strings.Contains(stderr, address) {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}
