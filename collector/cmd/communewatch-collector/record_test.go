package main

import (
	"encoding/json"
	"os"
	"os/user"
	"strings"
	"testing"
)

// Whatever the command line changes is in the record of changes, under the name of who typed it.
func TestTheRecordHasWhatCommandsChange(t *testing.T) {
	dir, config := setup(t)
	me := os.Getenv("SUDO_USER")
	if me == "" {
		u, err := user.Current()
		if err != nil {
			t.Skip("nobody knows who runs this:", err)
		}
		me = u.Username
	}
	must(t, "sites", "import", write(t, dir, "sites.csv", list), "--dry-run", config)
	must(t, "sites", "import", write(t, dir, "sites.csv", list), config)
	must(t, "sites", "import", write(t, dir, "sites.csv", list), config) // nothing new
	must(t, "sites", "import", write(t, dir, "sites.csv", strings.Replace(list, "Tích Sơn,phường,Vĩnh Yên", "Tích Sơn,phường,Tam Dương", 1)), config)
	secret, _ := must(t, "token", "create", "--writer", "--site", "s1", "--measurement", "cpu", "--note", "telegraf", config)
	id := strings.Split(secret, "_")[1]
	must(t, "token", "revoke", id, config)
	must(t, "lines", "import", write(t, dir, "lines.csv", "site,layer,provider,down,from\ns1,dedicated,VNPT,20,2026-01-01\n"), "--by", "Lan", config)
	must(t, "lines", "withdraw", "--site", "s1", "--layer", "dedicated", "--from", "2026-01-01", "--by", "Minh", config)
	must(t, "inventory", "site", "set", "--site", "s1", "--value", "14", "--source", "biên chế 5", "--by", "Lan", config)
	must(t, "inventory", "site", "set", "--site", "s1", "--value", "15", "--source", "biên chế 6", "--by", "Lan", config)

	out, _ := must(t, "audit", "export", "--format", "json", config)
	var got []struct {
		Who, Via, Act, What, Detail string
		OK                          bool
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err, out)
	}
	want := []struct{ act, what, detail string }{
		{"site.add", "s1", "Tích Sơn"}, {"site.add", "s2", "Liên Bảo"}, {"site.change", "s1", "district Vĩnh Yên, district code 243, at 21.3067 105.5856 -> name Tích Sơn, type phường, code 08707, district Tam Dương"},
		{"token.create", id, `kind writer, site s1, measurements ["cpu"], note telegraf`}, {"token.revoke", id, ""},
		{"contract.add", "s1/dedicated", "VNPT, by Lan (lines.csv)"}, {"contract.withdraw", "s1/dedicated", "from 2026-01-01, by Minh"},
		{"inventory.say", "s1", "say staff by Lan: 14 (biên chế 5)"}, {"inventory.say", "s1", "say staff by Lan: 14 -> 15 (biên chế 6)"},
	}
	if len(got) != len(want) {
		t.Fatalf("%d lines, want %d:\n%s", len(got), len(want), out)
	}
	for i, w := range want {
		if g := got[i]; g.Act != w.act || g.What != w.what || !strings.Contains(g.Detail, w.detail) || g.Who != me || g.Via != "command" || !g.OK {
			t.Errorf("line %d is %+v, want %+v by %s", i, g, w, me)
		}
	}
	if strings.Contains(out, strings.TrimSpace(secret)) {
		t.Error("a token is in the record")
	}
}
