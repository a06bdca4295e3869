package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"communewatch/collector"
	"communewatch/collector/api/equipment"
	"communewatch/collector/registry"
	"communewatch/collector/registry/devices"
	"communewatch/probes"
)

// equip puts a switch into the inventory, as ingest does.
func equip(t *testing.T, dir string) {
	t.Helper()
	cfg, err := collector.ReadConfig(filepath.Join(dir, "collector.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	reg, err := registry.Open(t.Context(), cfg.RegistryFile(), registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer reg.Close()
	sg := devices.Sighting{Site: "s1", Agent: "pc", Target: "lan", Path: "lan", Key: "a", Kind: "snmp", At: time.Now()}
	for f := range strings.SplitSeq("class=switch;vendor=Cisco;model=WS-C2960-24TT-L;serial=FOC1010X104;version=12.2(55)SE", ";") {
		name, value, _ := strings.Cut(f, "=")
		sg.Facts = append(sg.Facts, probes.Fact{Name: probes.FactName(name), Value: value, Source: "snmp 1.2.3", Confidence: 0.95})
	}
	if err := reg.Devices().See(t.Context(), []devices.Sighting{sg}); err != nil {
		t.Fatal(err)
	}
}

func TestInventoryMistakes(t *testing.T) {
	dir, config := setup(t)
	must(t, "sites", "import", write(t, dir, "sites.csv", list), config)
	equip(t, dir)
	badCatalogue := write(t, dir, "bad-catalogue.csv", "id,kind,vendor,pattern,match,source,confidence\nx,device,,WS-C2960,exact,,A\n")
	foreign := write(t, dir, "foreign.csv", "id,kind,vendor,pattern,match,source,confidence\nx,device,Cisco,WS-C2960,exact,http://a.example/,A\n")
	badPurchases := write(t, dir, "bad.csv", "Đợt cấp,Tên thiết bị,Model,Đơn giá,Xã\nĐợt 1,Switch,WS-C2960,abc,Nơi nào đó\n")
	for _, c := range []struct {
		name   string
		args   []string
		stderr []string
	}{
		{"no device", []string{"fact", "set", "--fact", "model", "--value", "WS-C2960"}, []string{"--device ID", "inventory devices"}},
		{"no such device", []string{"fact", "set", "--device", "d9", "--fact", "model", "--value", "WS-C2960", "--source", "y", "--by", "Lan"}, []string{"d9: not in the inventory"}},
		{"bad id", []string{"fact", "set", "--device", "17", "--fact", "model", "--value", "WS-C2960"}, []string{`"17" is no device's id`}},
		{"no such fact", []string{"fact", "set", "--device", "d1", "--fact", "colour", "--value", "grey"}, []string{"colour", "model", "in_service"}},
		{"bad value", []string{"fact", "set", "--device", "d1", "--fact", "price", "--value", "many"}, []string{"price", "12500000"}},
		{"nobody, no document", []string{"fact", "set", "--device", "d1", "--fact", "model", "--value", "WS-C2960"}, []string{"source document is empty", "who says it is empty"}},
		{"withdraw nothing", []string{"fact", "withdraw", "--device", "d1", "--fact", "model", "--by", "Lan"}, []string{"nobody says anything of model"}},
		{"bad ticket", []string{"ticket", "add", "--device", "d1", "--kind", "party", "--by", "Lan"}, []string{"failure, repair, quote", "needs its day"}},
		{"bad day", []string{"ticket", "add", "--device", "d1", "--date", "soon", "--by", "Lan"}, []string{"--date", "2025-07-01"}},
		{"bad as-of", []string{"devices", "--as-of", "soon"}, []string{"--as-of"}},
		{"bad format", []string{"report", "--format", "pdf"}, []string{"csv, json, xlsx"}},
		{"bad report", []string{"report", "--what", "all"}, []string{"replacements", "verify"}},
		{"no such device to show", []string{"devices", "d9"}, []string{`"d9" is not in the inventory`}},
		{"bad catalogue", []string{"catalogue", "import", badCatalogue, "--by", "Lan"}, []string{"bad-catalogue.csv: row 2, column vendor: is empty", "column source"}},
		{"a maker's row", []string{"catalogue", "import", foreign, "--by", "Lan"}, []string{"row 2, column confidence", "A(local)"}},
		{"half a row", []string{"catalogue", "add", "--vendor", "Polycom", "--end-of-support", "x"}, []string{"--end-of-support", "--pattern", "--document", "--by"}},
		{"retire nothing", []string{"catalogue", "retire", "local-9", "--by", "Lan"}, []string{"local-9"}},
		{"link nothing", []string{"link", "--purchase", "x", "--device", "d1", "--source", "y", "--by", "Lan"}, []string{"x or d1"}},
		{"unlink nothing", []string{"unlink", "--purchase", "x", "--by", "Lan"}, []string{"nobody says which device it is"}},
		{"add to nowhere", []string{"add", "--site", "s9", "--source", "x", "--by", "Lan"}, []string{"s9 is not in the registry"}},
		{"no such office", []string{"site", "set", "--site", "s9", "--value", "14", "--source", "x", "--by", "Lan"}, []string{`"s9" is not in the registry`}},
		{"nobody at an office", []string{"site", "set", "--site", "s1", "--source", "x", "--by", "Lan"}, []string{"0 is no number of people"}},
		{"no such fact of an office", []string{"site", "set", "--site", "s1", "--fact", "cats", "--value", "1"}, []string{"cats", "staff, leaders, group_viii", "source document is empty"}},
		{"nothing said of an office", []string{"site", "withdraw", "--site", "s1", "--by", "Lan"}, []string{"nobody says anything of staff"}},
		{"a day to come", []string{"fact", "set", "--device", "d1", "--fact", "in_service", "--value", "2099-01-01"}, []string{"in_service", "2099-01-01 is yet to come", "handover"}},
		{"a serial that many have", []string{"fact", "set", "--device", "d1", "--fact", "serial", "--value", "0123456789"}, []string{"identifies nothing", "name plate"}},
		{"a ticket to come", []string{"ticket", "add", "--device", "d1", "--kind", "quote", "--date", "2099-01-01", "--cost", "5", "--by", "Lan"}, []string{"2099-01-01 is yet to come", "whole VND"}},
		{"no post", []string{"fact", "set", "--device", "d1", "--fact", "post", "--value", "king"}, []string{"leader or staff"}},
		{"bad purchases", []string{"purchases", "import", badPurchases, "--by", "Lan"}, []string{"bad.csv: row 2", "abc", "Nơi nào đó"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, errs := run(t, append(append([]string{"inventory"}, c.args...), config)...)
			if code != 1 || out != "" {
				t.Errorf("exit code %d, want 1; printed %q", code, out)
			}
			contains(t, "stderr", errs, c.stderr...)
		})
	}
	if out, _ := must(t, "inventory", "audit", config); strings.Count(out, "\n") != 1 {
		t.Error("what failed is in the audit:", out)
	}
}

// A device is described, bought, repaired and judged by the command line alone.
func TestInventoryLife(t *testing.T) {
	dir, config := setup(t)
	must(t, "sites", "import", write(t, dir, "sites.csv", list), config)
	if out, errs := must(t, "inventory", "devices", config); out != "" || !strings.Contains(errs, "no device fits") {
		t.Errorf("%q %q", out, errs)
	}
	if code, _, errs := run(t, "inventory", "devices", "--site", "s9", config); code != 1 || !strings.Contains(errs, "there is no site s9") {
		t.Error(code, errs)
	}
	equip(t, dir)
	out, _ := must(t, "inventory", "devices", config)
	contains(t, "devices", out, "d1", "WS-C2960-24TT-L", "FOC1010X104", "outdated")

	bought := write(t, dir, "dot1.csv", "Đợt cấp,Tên thiết bị,Hãng,Model,Số serial,Đơn giá,Xã,Ngày nhận\nĐợt 1 năm 2012,Switch,Cisco,WS-C2960-24TT-L,FOC1010X104,15000000,Tích Sơn,01/05/2012\n")
	out, _ = must(t, "inventory", "purchases", "import", bought, "--dry-run", "--by", "Lan", config)
	contains(t, "dry run", out, "Đợt 1 năm 2012: 1 pieces would be added")
	must(t, "inventory", "purchases", "import", bought, "--by", "Lan", config)
	out, _ = must(t, "inventory", "purchases", "import", bought, "--by", "Lan", config)
	contains(t, "the same again", out, "0 pieces added, 0 changed, 0 removed, 1 unchanged")
	out, _ = must(t, "inventory", "purchases", "list", config)
	contains(t, "phases", out, "Đợt 1 năm 2012", "15000000", "0 devices belong to no known purchase")
	out, _ = must(t, "inventory", "purchases", "list", "--pieces", config)
	contains(t, "pieces", out, "FOC1010X104", "d1", "serial", "100 %")

	must(t, "inventory", "fact", "set", "--device", "d1", "--fact", "reachable", "--value", "no", "--source", "biên bản 7", "--by", "Lan", config)
	must(t, "inventory", "ticket", "add", "--device", "d1", "--kind", "quote", "--date", time.Now().Format(time.DateOnly), "--cost", "9000000", "--note", "thay nguồn", "--by", "Lan", config)
	out, _ = must(t, "inventory", "devices", "d1", config)
	contains(t, "device", out, "Đợt 1 năm 2012", "reachable", "biên bản 7", "Lan", "R01", "L02")
	out, _ = must(t, "inventory", "devices", "d1", "--json", config)
	var d equipment.DeviceDetail
	if err := json.Unmarshal([]byte(out), &d); err != nil || d.ID != "d1" || len(d.Bought) != 1 || len(d.Tickets) != 1 {
		t.Errorf("%v %+v", err, d)
	}
	out, _ = must(t, "inventory", "audit", "d1", config)
	contains(t, "audit", out, "say reachable", "ticket quote", "Lan")
	must(t, "inventory", "fact", "withdraw", "--device", "d1", "--fact", "reachable", "--by", "Minh", config)

	out, _ = must(t, "inventory", "add", "--site", "s2", "--source", "kiểm kê 2026", "--by", "Lan", config)
	paperID := strings.TrimSpace(out)
	must(t, "inventory", "fact", "set", "--device", paperID, "--fact", "model", "--value", "HDX 7000", "--source", "nhãn máy", "--by", "Lan", config)
	must(t, "inventory", "fact", "set", "--device", paperID, "--fact", "vendor", "--value", "Polycom", "--source", "nhãn máy", "--by", "Lan", config)
	must(t, "inventory", "fact", "set", "--device", paperID, "--fact", "class", "--value", "videoconference", "--source", "nhãn máy", "--by", "Lan", config)
	out, _ = must(t, "inventory", "devices", "--site", "s2", config)
	contains(t, "before the letter", out, paperID, "HDX 7000", "never")
	must(t, "inventory", "catalogue", "add", "--vendor", "Polycom", "--pattern", "HDX 7000", "--end-of-support", "2019-08-31", "--document", "công văn 12/PLC, 2026-11-02", "--by", "Lan", config)
	out, _ = must(t, "inventory", "devices", "--site", "s2", "--standing", "outdated", config)
	contains(t, "after the letter", out, paperID, "outdated")
	out, _ = must(t, "inventory", "catalogue", "list", config)
	contains(t, "local rows", out, "local-1", "HDX 7000", "2019-08-31", "công văn 12/PLC")
	must(t, "inventory", "catalogue", "retire", "local-1", "--by", "Lan", config)

	for _, what := range []string{"devices", "unsupported", "replacements", "verify"} {
		out, _ = must(t, "inventory", "report", "--what", what, "--as-of", "2026-11-23", "--format", "csv", config)
		rows, err := csv.NewReader(bytes.NewReader([]byte(strings.TrimPrefix(out, "\ufeff")))).ReadAll()
		if err != nil || len(rows) < 2 || rows[0][0] != "id" {
			t.Errorf("%s: %v %q", what, err, out)
		}
		out, _ = must(t, "inventory", "report", "--what", what, "--format", "json", config)
		var list []map[string]any
		if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) == 0 {
			t.Errorf("%s: %v %s", what, err, out)
		}
	}
	out, _ = must(t, "inventory", "report", "--what", "summary", "--format", "json", config)
	var s equipment.Summary
	if err := json.Unmarshal([]byte(out), &s); err != nil || s.Total.Devices != 2 || s.Total.Outdated+s.Total.Fine+s.Total.Unknown != 2 {
		t.Errorf("%v %+v", err, s.Total)
	}
	if out, _ = must(t, "inventory", "report", "--format", "xlsx", config); !strings.HasPrefix(out, "PK") {
		t.Error("no workbook")
	}
	must(t, "inventory", "site", "set", "--site", "s1", "--value", "14", "--source", "biên chế 5", "--by", "Lan", config)
	must(t, "inventory", "site", "set", "--site", "s1", "--value", "15", "--source", "biên chế 6", "--by", "Lan", config)
	if out, _ = must(t, "inventory", "site", "list", config); strings.Count(out, "\n") != 2 || !strings.Contains(out, "biên chế 6") {
		t.Error(out)
	}
	must(t, "inventory", "site", "withdraw", "--site", "s1", "--by", "Lan", config)
	out, _ = must(t, "inventory", "audit", "s1", config)
	contains(t, "audit of an office", out, "say staff", "withdraw staff", "14 (biên chế 5)")
	out, _ = must(t, "inventory", "fact", "names", config)
	contains(t, "names", out, "model", "isolated", "surplus")
}

// A file with a part of a phase takes nothing away, what --replace takes away is shown first, and all can be taken back.
func TestPurchasesInParts(t *testing.T) {
	dir, config := setup(t)
	must(t, "sites", "import", write(t, dir, "sites.csv", list), config)
	head := "Đợt cấp,Tên thiết bị,Model,Số serial,Đơn giá,Xã\n"
	row := func(serial, site string) string {
		return "Đợt 1 năm 2016,Switch,WS-C2960-24TT-L," + serial + ",15000000," + site + "\n"
	}
	whole := write(t, dir, "whole.csv", head+row("FOC1010X104", "Tích Sơn")+row("FOC1010X105", "Tích Sơn")+row("FOC1010X106", "s2"))
	part := write(t, dir, "part.csv", "Đợt cấp,Tên thiết bị,Hãng,Số serial,Xã\nĐợt 1 năm 2016,Switch,Cisco,FOC1010X105,Tích Sơn\nĐợt 1 năm 2016,Switch,Cisco,FOC1010X107,Tích Sơn\n")
	purchases := func(args ...string) string {
		t.Helper()
		out, _ := must(t, append(append([]string{"inventory", "purchases"}, args...), config)...)
		return out
	}
	contains(t, "first", purchases("import", whole, "--by", "Lan"), "3 pieces added", "import 1")
	before := purchases("list", "--pieces")
	contains(t, "part", purchases("import", part, "--by", "Minh"), "1 pieces added, 1 changed, 0 removed",
		"2 pieces of Đợt 1 năm 2016 are not in this file and are left as they are; --replace removes them", "purchases undo 2")
	if out := purchases("list", "--pieces"); strings.Count(out, "FOC1010X") != 4 || strings.Count(out, "WS-C2960-24TT-L") != 3 {
		t.Errorf("what the file leaves out stays, and the piece whose maker is new is the same one:\n%s", out)
	}
	contains(t, "dry run", purchases("import", part, "--replace", "--dry-run", "--by", "Minh"), "2 would be removed", "would be removed  p", "FOC1010X104", "FOC1010X106")
	contains(t, "replace", purchases("import", part, "--replace", "--by", "Minh"), "2 removed")
	contains(t, "list", purchases("list"), "part.csv", "Minh")
	out, _ := must(t, "inventory", "audit", "--json", config)
	contains(t, "audit", out, "remove piece", "FOC1010X104", "15000000")

	code, _, errs := run(t, "inventory", "purchases", "undo", "1", "--by", "Lan", config)
	if code != 1 {
		t.Error("an older import was undone")
	}
	contains(t, "stderr", errs, "undo 3 first")
	contains(t, "undo", purchases("undo", "--by", "Lan"), "import 3", "2 put back")
	contains(t, "undo", purchases("undo", "--by", "Lan"), "import 2", "1 pieces removed again, 1 as they were")
	if after := purchases("list", "--pieces"); after != before {
		t.Errorf("%s\nwas\n%s", after, before)
	}
	contains(t, "remove", purchases("remove", "--phase", "Đợt 1 năm 2016", "--by", "Lan"), "3 removed", "FOC1010X104", "undo 4")
	contains(t, "undo", purchases("undo", "4", "--by", "Lan"), "3 put back")
	contains(t, "imports", purchases("imports"), "replace", "whole.csv", "Minh")
	for _, args := range [][]string{{"undo", "x", "--by", "Lan"}, {"undo", "9", "--by", "Lan"}, {"undo"}, {"remove", "--phase", "Đợt 9", "--by", "Lan"}, {"remove", "--by", "Lan"}} {
		if code, _, errs := run(t, append(append([]string{"inventory", "purchases"}, args...), config)...); code != 1 || errs == "" {
			t.Error(args, code, errs)
		}
	}
}
