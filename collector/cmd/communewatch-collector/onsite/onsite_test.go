package onsite

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"communewatch/collector"
	"communewatch/probes/phone"
)

func TestACodeIsExplained(t *testing.T) {
	at := time.Date(2026, 11, 26, 1, 31, 0, 0, time.UTC)
	code := phone.Code{Site: "s08707", At: at, Lights: phone.Lights{LAN: phone.Green, Line: phone.Red}}.String()
	for arg, want := range map[string]string{
		code:            "site s08707, page of 26/11/2026 08:31 (9m0s ago)\nLAN:          good\nlines:        down\nmeeting room: not known\n",
		"s08707-000000": "mistake",
		"hello":         "no code",
	} {
		cmd := New(func() (collector.Config, error) { return collector.DefaultConfig(), nil }, func() time.Time { return at.Add(9 * time.Minute) })
		var out bytes.Buffer
		cmd.SetArgs([]string{arg})
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		if err := cmd.Execute(); err != nil {
			out.WriteString(err.Error())
		}
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s: got %q, want %q", arg, out.String(), want)
		}
	}
}
