package catalogue

import (
	_ "embed"
	"slices"
	"strconv"
	"strings"

	"communewatch/inventory/lifecycle/version"
)

//go:embed windows.csv
var windowsCSV string

// Edition is a group of Windows editions that Microsoft gives the same dates.
type Edition string

// The groups.
const (
	EditionUnknown    Edition = ""
	EditionHomePro    Edition = "Home/Pro"
	EditionEnterprise Edition = "Enterprise/Education"
	EditionLTSC       Edition = "Enterprise LTSC/LTSB"
	EditionIoTLTSC    Edition = "IoT Enterprise LTSC"
	EditionIoT        Edition = "IoT"
)

var squeeze = strings.NewReplacer(" ", "", "-", "")

// EditionOf returns the group of an edition as Windows names it: "Pro", "Windows 10 Enterprise LTSC 2021",
// "EnterpriseS", "IoTEnterpriseS", "Professional". EditionUnknown where the text names none.
func EditionOf(s string) Edition {
	s = strings.ToLower(s)
	squeezed := squeeze.Replace(s)
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(squeezed, w) })
	}
	longTerm := has("ltsc", "ltsb", "enterprises", "longterm")
	switch {
	case has("iotcore"):
		return EditionIoT
	case has("iot") && longTerm:
		return EditionIoTLTSC
	case longTerm:
		return EditionLTSC
	case has("proeducation", "professionaleducation"):
		return EditionHomePro
	case has("enterprise", "education"):
		return EditionEnterprise
	case has("home", "professional", "core", "singlelanguage", "workstation"), slices.Contains(strings.Fields(s), "pro"):
		return EditionHomePro
	}
	return EditionUnknown
}

// systems are the rows of operating systems.
type systems struct {
	builds  []build
	windows map[string][]windowsRow // "Windows 10 22H2", "Windows Server 2019", "Windows 7"
	trains  *software
}

type build struct {
	number         int
	client, server string
}

type windowsRow struct {
	edition Edition // unknown: all that have no row of their own
	row     *Row
}

func loadSystems() *systems {
	s := &systems{windows: map[string][]windowsRow{},
		trains: &software{names: loadNames(), byName: map[string]*product{}, trains: map[string][]train{}}}
	for _, r := range records(windowsCSV) {
		n, _ := strconv.Atoi(r[0])
		s.builds = append(s.builds, build{n, r[1], r[2]})
	}
	return s
}

func (s *systems) add(r *Row) {
	if !strings.HasPrefix(r.Pattern, "Windows ") {
		if r.Match == MatchTrain {
			s.trains.add(r)
		}
		return
	}
	name := strings.TrimSuffix(r.Pattern, "*")
	edition := EditionUnknown
	if at := strings.Index(name, " ("); at > 0 {
		edition = Edition(strings.Trim(name[at:], " ()"))
		name = name[:at]
	}
	name = release(name)
	s.windows[name] = append(s.windows[name], windowsRow{edition, r})
}

// release drops the service pack: what has one last service pack is named without it, since what ran without ended
// earlier.
func release(name string) string {
	for _, sp := range []string{" SP1", " SP2", " SP3"} {
		name = strings.TrimSuffix(name, sp)
	}
	return name
}

// System is an operating system as the catalogue names it.
type System struct {
	Name    string  // "Windows 10 22H2", "Windows Server 2019", "Debian 12"; "" : not known
	Windows bool    // Windows of any kind
	Client  bool    // Windows for PCs
	Edition Edition // of Windows for PCs
	Missing string  // what would have to be known to name it: "os", "os_release", "os_version"
}

// System names an operating system from what was read of it. Of Windows the build tells more than the name: programs
// call Windows 11 "Windows 10" for old programs' sake. server decides what a build means that PCs and servers share.
func (c *Catalogue) System(os, edition, rel, build string, server bool) System {
	if len(os)+len(edition)+len(rel)+len(build) > 4*maxModel {
		return System{Missing: "os"}
	}
	return c.systems.name(os, edition, rel, build, server)
}

func (s *systems) name(os, edition, rel, buildText string, server bool) System {
	low := strings.ToLower(os)
	if os == "" && buildText == "" {
		return System{Missing: "os"}
	}
	if !strings.Contains(low, "windows") && !(os == "" && strings.HasPrefix(buildText, "10.0.")) {
		return s.other(os, rel)
	}
	sys := System{Windows: true, Edition: EditionOf(os + " " + edition)}
	server = server || strings.Contains(low, "server")
	number := buildNumber(buildText)
	if number == 0 {
		number = buildNumber(os)
	}
	if number > 0 {
		for _, b := range s.builds {
			if b.number != number {
				continue
			}
			if sys.Name = b.client; server && b.server != "" || b.client == "" {
				sys.Name = b.server
			}
			sys.Client = sys.Name == b.client
			if b.client != "" && b.server != "" && !server && !strings.Contains(low, "windows 1") && !namesClient(low) {
				// SNMP says "Windows" and a build: it may be either.
				return System{Windows: true, Missing: "os"}
			}
			return sys
		}
	}
	return s.byName(sys, low, strings.ToLower(rel), server)
}

func namesClient(low string) bool {
	for _, n := range []string{"windows 7", "windows 8", "windows vista", "windows xp"} {
		if strings.Contains(low, n) {
			return true
		}
	}
	return false
}

// longTerm returns the release behind the year that long-term editions are named by.
func longTerm(low string) string {
	for _, y := range [][2]string{{"2015", "1507"}, {"2016", "1607"}, {"2019", "1809"}, {"2021", "21h2"}, {"2024", "24h2"}} {
		if wholeWord(low, y[0]) {
			return y[1]
		}
	}
	return ""
}

// byName is for what has no build: the name and the release have to say it.
func (s *systems) byName(sys System, low, rel string, server bool) System {
	if rel == "" && (sys.Edition == EditionLTSC || sys.Edition == EditionIoTLTSC) {
		rel = longTerm(low)
	}
	best, torn := "", false
	for name := range s.windows {
		n := strings.ToLower(name)
		family, version, _ := cutLast(n)
		hit := wholeWord(low, n) || wholeWord(low+" "+rel, n) ||
			(strings.HasPrefix(n, "windows 1") && wholeWord(low, family) && (wholeWord(rel, version) || wholeWord(low, version)))
		switch {
		case hit && len(name) > len(best):
			best, torn = name, false
		case hit && len(name) == len(best):
			torn = true // the name says one release and the release another
		}
	}
	if best != "" && !torn {
		sys.Name, sys.Client = best, !strings.Contains(best, "Server") && !strings.Contains(best, "Embedded")
		return sys
	}
	sys.Client = !server
	sys.Missing = "os_release"
	return sys
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, ' ')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// wholeWord reports whether w is in s with no letter, digit or dot on either side.
func wholeWord(s, w string) bool {
	if w == "" {
		return false
	}
	part := func(c byte) bool { return letter(c) || digit(c) || c == '.' }
	for from := 0; ; {
		i := strings.Index(s[from:], w)
		if i < 0 {
			return false
		}
		i += from
		end := i + len(w)
		if (i == 0 || !part(s[i-1])) && (end == len(s) || !part(s[end])) {
			return true
		}
		from = i + 1
	}
}

// buildNumber reads "10.0.19045.4412", "19045", "Windows 10 build 19045" and "6.3 (Build 19045 Multiprocessor Free)".
func buildNumber(s string) int {
	low := strings.ToLower(s)
	if i := strings.Index(low, "build "); i >= 0 {
		v, _ := version.Parse(low[i+len("build "):])
		return v.At(0)
	}
	v, ok := version.Parse(low)
	switch {
	case !ok:
		return 0
	case len(v.Numbers) >= 3:
		return v.Numbers[2]
	case len(v.Numbers) <= 2 && v.Numbers[0] >= 2600:
		return v.Numbers[0]
	}
	return 0
}

// besideNames takes out what makers write beside the name of a system.
var besideNames = strings.NewReplacer("GNU/Linux", "", "Linux", "", "VMware", "")

// other is for systems with trains: "Debian GNU/Linux 12 (bookworm)", "Ubuntu 22.04.4 LTS", "macOS 13.5".
func (s *systems) other(os, rel string) System {
	text := besideNames.Replace(os)
	text = strings.Join(strings.Fields(text), " ")
	sw := s.trains.find("", "", text, text)
	if sw.Product == "" {
		return System{Missing: "os_known"}
	}
	if len(sw.Version.Numbers) == 0 {
		if v, ok := version.Parse(rel); ok {
			sw.Version = v
		} else {
			return System{Missing: "os_version"}
		}
	}
	parts := make([]string, len(sw.Version.Numbers))
	for i, n := range sw.Version.Numbers {
		parts[i] = strconv.Itoa(n)
		if i == 1 && sw.Product == "Ubuntu" && n < 10 {
			parts[i] = "0" + parts[i]
		}
	}
	return System{Name: sw.Product + " " + strings.Join(parts, ".")}
}

// Systems finds the rows of an operating system. Where its edition decides and is not known, the rows of all its
// editions are found and open is true.
func (c *Catalogue) Systems(sys System) (hit Hit, open bool) {
	if !sys.Windows {
		product, t, ok := parseTrain(sys.Name)
		if !ok {
			return Hit{}, false
		}
		return (&Catalogue{soft: c.systems.trains}).Firmware(Software{product, t.version}), false
	}
	rows := c.systems.windows[sys.Name]
	if len(rows) == 0 {
		return Hit{}, false
	}
	var own, general, all []*Row
	for _, w := range rows {
		all = append(all, w.row)
		switch {
		case w.edition == EditionUnknown:
			general = append(general, w.row)
		case w.edition == sys.Edition:
			own = append(own, w.row)
		}
	}
	kind := rows[0].row.Match
	switch {
	case len(own) > 0:
		return Hit{own, kind}, false
	case sys.Edition != EditionUnknown && len(general) > 0:
		return Hit{general, kind}, false
	case sys.Edition != EditionUnknown:
		return Hit{}, false
	case len(general) == len(all):
		return Hit{all, kind}, false
	}
	return Hit{all, kind}, true
}
