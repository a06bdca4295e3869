package orders

import (
	"testing"

	"communewatch/probes"
)

func FuzzChecks(f *testing.F) {
	f.Add("hub/dedicated, hub2/broadband")
	f.Add(",,/,a/lan/lan,\x00/lan")
	f.Fuzz(func(t *testing.T, header string) {
		list := parseChecks(header)
		if len(list) > maxChecks {
			t.Fatalf("%d checks", len(list))
		}
		for _, c := range list {
			if probes.CheckName(c.Name) != nil || !c.Path.Valid() {
				t.Fatalf("%+v", c)
			}
		}
	})
}
