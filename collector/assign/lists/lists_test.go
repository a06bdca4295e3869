package lists_test

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"communewatch/collector/assign"
	"communewatch/collector/assign/lists"
	"communewatch/collector/assign/values"
	"communewatch/inventory"
	"communewatch/inventory/sheet"
)

func options(t *testing.T) lists.Options {
	t.Helper()
	p, err := assign.Parse("p", []byte(`values:
  gateway: {type: address, headings: [Bộ định tuyến]}
  switches: {type: address, list: true, headings: [Thiết bị]}
  line_kbps: {type: number, headings: ["Tốc độ"]}
  vlan: {type: switch}
  snmp: {type: secret}
secrets: [snmp-doc]
`))
	if err != nil {
		t.Fatal(err)
	}
	return lists.Options{Values: p.Values(), Sites: []inventory.Site{{ID: "s08824", Name: "Tam Sơn", Code: "08824", Type: "thị trấn", Parent: "Sông Lô"},
		{ID: "s08746", Name: "Xuân Hoà", Code: "08746"}, {ID: "s08794", Name: "Xuân Hòa", Code: "08794"}}}
}

func TestListsAsPeopleKeepThem(t *testing.T) {
	const list = "DANH SÁCH GIÁ TRỊ;;;;;\nSTT;Đơn vị;Bộ định tuyến (IP);Thiết bị;Tốc độ (kbps);Ghi chú\n1;TT Tam Sơn;192.168.1.1;192.168.1.2, 192.168.1.3;20000;x\n2;08746;-;;;\n"
	got := options(t).Read("l.csv", []byte(list))
	want := values.Table{"s08824": {"gateway": {"192.168.1.1"}, "switches": {"192.168.1.2", "192.168.1.3"}, "line_kbps": {"20000"}}, "s08746": {"gateway": {}}}
	if len(got.Problems)+len(got.Warnings) > 0 || !reflect.DeepEqual(got.Values, want) {
		t.Errorf("%v %v %v", got.Values, got.Problems, got.Warnings)
	}
	english := options(t).Read("l.csv", []byte("site,gateway,line_kbps,VLAN,SNMP,colour\ns08794,10.0.0.1,1e4,TRUE,SNMP-doc,red\n"))
	want = values.Table{"s08794": {"gateway": {"10.0.0.1"}, "line_kbps": {"10000"}, "vlan": {"true"}, "snmp": {"snmp-doc"}}}
	if len(english.Problems) > 0 || !reflect.DeepEqual(english.Values, want) || len(english.Warnings) != 1 || !strings.Contains(english.Warnings[0].Text, `"colour"`) {
		t.Errorf("%v %v %v", english.Values, english.Problems, english.Warnings)
	}
}

func TestAWorkbook(t *testing.T) {
	var b bytes.Buffer
	s := &sheet.Sheet{Name: "Giá trị", Columns: []sheet.Column{{Heading: "Mã đơn vị"}, {Heading: "Thiết bị"}, {Heading: "line_kbps", Kind: sheet.Whole}},
		Rows: [][]any{{"08824", "192.168.1.2\n192.168.1.3", int64(50000)}}}
	if err := sheet.WriteXLSX(&b, s); err != nil {
		t.Fatal(err)
	}
	got := options(t).Read("l.xlsx", b.Bytes())
	if want := (values.Table{"s08824": {"switches": {"192.168.1.2", "192.168.1.3"}, "line_kbps": {"50000"}}}); !reflect.DeepEqual(got.Values, want) {
		t.Errorf("%v %v", got.Values, got.Problems)
	}
}

func TestEveryMistakeIsNamed(t *testing.T) {
	for name, c := range map[string]struct{ list, want string }{
		"no site column":  {"gateway\n10.0.0.1\n", "l.csv: no site was found"},
		"no value":        {"site,colour\ns08824,red\n", "row 1: no column is a value of the plan; head one with gateway"},
		"unknown site":    {"site,gateway\nnowhere,10.0.0.1\n", `row 2, column site: "nowhere" is no site's id, code or name`},
		"two of a name":   {"site,gateway\nXuân Hoà,10.0.0.1\n", "row 2, column site: \"Xuân Hoà\" may be"},
		"twice":           {"site,gateway\n08824,10.0.0.1\ns08824,10.0.0.2\n", "row 3, column site: site s08824 is in row 2 too"},
		"no address":      {"site,gateway\n08824,10.0.0.300\n", `row 2, column gateway: "10.0.0.300" is not an IP address`},
		"a list of one":   {"site,gateway\n08824,\"10.0.0.1, 10.0.0.2\"\n", `row 2, column gateway: "10.0.0.1, 10.0.0.2" is not an IP address`},
		"a reference":     {"site,snmp\n08824,${secret:x}\n", "row 2, column snmp"},
		"no number":       {"site,line_kbps\n08824,fast\n", `row 2, column line_kbps: "fast" is not a number`},
		"columns twice":   {"site,gateway,Bộ định tuyến\n08824,a,b\n", `two columns mean this: "gateway" and "Bộ định tuyến"`},
		"no name":         {"site,gateway\n,10.0.0.1\n", "row 2, column site: names no site"},
		"too many cells":  {"site,gateway\n08824,10.0.0.1,x\n", "row 2: has 3 cells but there are 2 headings"},
		"an old workbook": {"\xD0\xCF\x11\xE0", "save it as .xlsx"},
	} {
		t.Run(name, func(t *testing.T) {
			got := options(t).Read("l.csv", []byte(c.list))
			if got.Values != nil || !strings.Contains(fmt.Sprint(got.Problems), c.want) {
				t.Errorf("%v, want %s; %v", got.Problems, c.want, got.Values)
			}
		})
	}
	two := options(t).Read("l.csv", []byte("site,gateway,line_kbps\n08824,x,y\nnowhere,10.0.0.1,1\n"))
	if len(two.Problems) != 3 {
		t.Error("all at once:", two.Problems)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("site,gateway,switches\n08824,10.0.0.1,\"10.0.0.2;10.0.0.3\"\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got := options(t).Read("l", data)
		if len(got.Problems) > 0 && got.Values != nil {
			t.Error("a list with a mistake was taken")
		}
		if again, err := values.ParseTable(got.Values.Text()); err != nil || again.Text() != got.Values.Text() {
			t.Errorf("%v: %v", got.Values, err)
		}
	})
}
