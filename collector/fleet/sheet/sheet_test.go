package sheet

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"communewatch/collector/fleet"
	"communewatch/probes/enroll"
)

func made(site string) fleet.Made {
	c := enroll.Code{Addresses: []string{"https://giamsat.example.gov.vn:8787"}}
	copy(c.Secret[:], site)
	return fleet.Made{Text: c.String(), Code: fleet.Code{ID: "abc", Site: site, Expires: time.Date(2026, 11, 27, 10, 5, 0, 0, time.UTC)}}
}

func render(t *testing.T, codes []fleet.Made, o Options) string {
	t.Helper()
	var out strings.Builder
	if err := Render(&out, codes, o); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestASheetSaysWhatIsNeededAtTheSite(t *testing.T) {
	one := made("s08707")
	one.Approve, one.Agent = true, "pc-1"
	page := render(t, []fleet.Made{one}, Options{Zone: time.FixedZone("", 7*3600), Addresses: []string{"https://giamsat.example.gov.vn:8787"},
		Site: func(string) string { return "phường Tích Sơn" }})
	for _, want := range []string{"phường Tích Sơn", "s08707", "27/11/2026 17:05", "pc-1", "https://giamsat.example.gov.vn:8787", "install.ps1",
		"sudo communewatch-agent enroll " + one.Text, "gọi về trung tâm", "Giữ kín"} {
		if !strings.Contains(page, want) {
			t.Errorf("the sheet does not say %q", want)
		}
	}
	// What is typed from the printed lines is the code.
	var printed []string
	for _, m := range regexp.MustCompile(`<span>([^<]*)</span>`).FindAllStringSubmatch(page, -1) {
		printed = append(printed, m[1])
	}
	if code, err := enroll.ParseCode(strings.Join(printed, "\n")); err != nil || code.String() != one.Text {
		t.Errorf("%q reads as %v, %v", printed, code, err)
	}
}

func TestHostileNamesStayText(t *testing.T) {
	one := made("s1")
	one.Note = `<script>alert(1)</script>`
	page := render(t, []fleet.Made{one}, Options{Title: `</title><img src=x onerror=alert(1)>`, Site: func(string) string { return `"><svg onload=alert(1)>` },
		Stylesheet: `javascript:alert(1)`})
	for _, bad := range []string{"<script", "<img", "<svg", `href="javascript:`} {
		if strings.Contains(page, bad) {
			t.Errorf("the sheet has %s", bad)
		}
	}
}

// One block for each site, none across two pages, and nothing that is loaded from elsewhere.
func TestASheetOfTheProvince(t *testing.T) {
	var codes []fleet.Made
	for i := range 136 {
		codes = append(codes, made(fmt.Sprintf("s%03d", i)))
	}
	page := render(t, codes, Options{})
	if n := strings.Count(page, "<article>"); n != 136 {
		t.Errorf("%d blocks", n)
	}
	if !strings.Contains(page, "break-inside: avoid") || strings.Contains(page, "ZgotmplZ") {
		t.Error("the style is missing")
	}
	if m := regexp.MustCompile(`(?i)(src|href)=|@import|url\(`).FindString(page); m != "" {
		t.Error("something is loaded:", m)
	}
	if linked := render(t, codes[:1], Options{Stylesheet: "/fleet/sheet.css"}); strings.Contains(linked, "<style") || !strings.Contains(linked, `href="/fleet/sheet.css"`) {
		t.Error("the stylesheet is not linked")
	}
}
