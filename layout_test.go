// Package communewatch_test holds the house rules: which room may import which, where a third-party package may
// live, how long files and rooms may get. The files are parsed in this process: a test that asks `go list` would be
// answered from the build cache after a violation.
package communewatch_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "communewatch"

const (
	maxFileLines = 800
	maxRoomLines = 1500
)

// never lists imports that may not happen, not even through another room. The first word of a pattern is a room and
// everything below it; "!room" exempts one.
var never = []struct{ from, to, why string }{
	{"probes", "agent", "a probe must be usable without an agent"},
	{"probes", "collector", "a probe must be usable without a collector"},
	{"probes", "inventory", "a probe measures; it does not know what the province owns"},
	{"inventory", "probes", "inventory is pure functions of an item and a date"},
	{"inventory", "agent", "inventory is pure functions of an item and a date"},
	{"inventory", "collector", "inventory is pure functions of an item and a date"},
	{"agent", "collector", "an agent runs on an old PC; the contract between the two is probes and probes/wire"},
	{"agent", "inventory", "an agent knows its checks, not the province"},
	{"collector", "agent", "the contract between the two is probes and probes/wire"},
	{"collector", "probes/icmp", "a collector measures nothing itself"},
	{"collector", "probes/tcp", "a collector measures nothing itself"},
	{"collector", "probes/dns", "a collector measures nothing itself"},
	{"collector", "probes/http", "a collector measures nothing itself"},
	{"collector", "probes/bind", "a collector measures nothing itself"},
	{"collector", "probes/snmp", "a collector measures nothing itself"},
	{"collector", "probes/sweep", "a collector measures nothing itself"},
	{"collector", "probes/fingerprint", "a collector measures nothing itself"},
	{"collector", "probes/machine", "a collector measures nothing itself"},
	{"collector", "probes/connect", "a collector measures nothing itself"},
	{"collector", "probes/sip", "a collector measures nothing itself"},
	{"collector", "probes/stun", "a collector measures nothing itself"},
	{"collector", "probes/h323", "a collector measures nothing itself"},
	{"probes/orders", "probes/webrtc/rtc", "what is said on the order channel knows no media library"},
	{"probes/webrtc/media", "probes/webrtc/rtc", "what streams look like is pure"},
	{"probes/webrtc/flow", "probes/webrtc/rtc", "what became of streams is pure"},
	{"probes/webrtc/quality", "probes/webrtc/rtc", "what people would make of it is pure"},
	{"probes/webrtc/reflector", "probes/bind", "the reflector waits for agents; it chooses no paths"},
	{"collector/rehearsal", "collector/web", "a rehearsal does not depend on who watches"},
	{"collector/rehearsal", "collector/api", "a rehearsal does not depend on who watches"},
	{"collector/orders", "collector/rehearsal", "the channel does not know what orders are for"},
	{"probes/snmp/ask", "probes/snmp/session", "the vocabulary knows no way of asking"},
	{"probes/snmp/identify", "probes/snmp/session", "what a device is can be told from a recording too"},
	{"probes/snmp/poll", "probes/snmp/session", "what a device says can be read from a recording too"},
	{"probes", "deploy", "deploy is built from the rest, never the other way round"},
	{"agent", "deploy", "deploy is built from the rest, never the other way round"},
	{"collector", "deploy", "deploy is built from the rest, never the other way round"},
	{"inventory", "deploy", "deploy is built from the rest, never the other way round"},
	{"agent/spool", "probes", "the spool keeps bytes; it knows no points"},
	{"agent/spool", "agent/ship", "the spool knows no network"},
	{"agent/schedule", "agent/spool", "the schedule knows no disk"},
	{"agent/schedule", "agent/ship", "the schedule knows no network"},
	{"agent/ship", "agent/identity", "who brings batches is told how to connect"},
	{"agent/orders", "agent/identity", "the channel is told how to connect"},
	{"agent/identity", "agent/schedule", "who an agent is does not depend on what it does"},
	{"agent/presence", "agent/schedule", "that an agent is there does not depend on what it does"},
	{"agent/work", "agent/checks", "how work is come by does not depend on what is in it"},
	{"collector/runs", "collector/registry", "runs by order are forgotten; what they measured is kept with all else"},
	{"collector/runs", "collector/web", "a run does not depend on who watches"},
	{"collector/health", "collector/store", "the judge is pure: rows are brought to it"},
	{"collector/health", "collector/registry", "the judge is pure: rows are brought to it"},
	{"collector/store", "collector/registry", "time series and relations are two stores"},
	{"collector/registry", "collector/store", "time series and relations are two stores"},
	{"collector/store", "collector/history", "engines keep windows; who works them out is not their affair"},
	{"collector/rollup", "collector/store", "what a window is does not depend on where it is kept"},
	{"collector/history", "collector/reports", "rollups don't know what is made of them"},
	{"collector/history", "collector/registry", "what is to be worked out anew is brought by an interface"},
	{"collector/reports", "collector/web", "a report does not depend on who reads it"},
	{"collector/reports", "collector/api", "a report does not depend on who reads it"},
	{"collector/export", "collector/registry", "what is measured is exported from the store alone"},
	{"collector/registry", "collector/stock", "tables know no verdicts"},
	{"collector/stock", "collector/web", "what is true of a device does not depend on who asks"},
	{"collector/stock", "collector/api", "what is true of a device does not depend on who asks"},
	{"collector/stock", "collector/store", "an inventory is made of facts, not of measurements"},
	{"collector/fleet", "collector/registry", "what is said of the fleet does not depend on where it is kept"},
	{"collector/people/password", "collector/registry", "how passwords are hashed does not depend on where they are kept"},
	{"collector/people/door", "collector/web", "who may come in does not depend on how pages look"},
	{"collector/people/door", "collector/api", "who may come in does not depend on what is asked"},
	{"collector/audit", "collector/registry", "the record's words do not depend on where it is kept"},
	{"collector/assign", "collector/registry", "what an agent is to do is a function of the plan"},
	{"collector/assign", "collector/store", "what an agent is to do is a function of the plan"},
	{"collector/muster", "collector/web", "how agents fare does not depend on who asks"},
	{"collector/muster", "collector/api", "how agents fare does not depend on who asks"},
	{"collector/plans", "collector/web", "a plan does not depend on who looks at it"},
	{"collector/plans", "collector/api", "a plan does not depend on who looks at it"},
	{"collector/dispatch", "collector/web", "the agents' door and the humans' door are two"},
	{"collector/dispatch", "collector/assign", "the door hands work out; what it is, others say"},
	{"collector/seal", "collector/registry", "how secrets are sealed does not depend on where they are kept"},
	{"collector/authority", "collector/registry", "who vouches for whom is apart from who is thrown out"},
	{"collector/clock", "collector/registry", "what time it is does not depend on what goes by it"},
	{"collector/clock", "collector/ingest", "what time it is does not depend on what goes by it"},
	{"collector/callers", "collector/web", "who sends a request does not depend on what it asks for"},
	{"collector/callers", "collector/api", "who sends a request does not depend on what it asks for"},
	{"collector/doors", "collector/registry", "the port knows handlers, not what is behind them"},
	{"collector/doors", "collector/web", "the port knows handlers, not what is behind them"},
	{"collector/enroll", "collector/web", "the agents' door and the humans' door are two"},
	{"collector/enroll", "collector/api", "the agents' door and the humans' door are two"},
	{"collector/releases/stages", "collector/registry", "how a release goes out is a function of what is known"},
	{"agent/update/course", "agent/ship", "which binary runs does not depend on any collector"},
	{"agent/update/launch", "agent/ship", "which binary runs does not depend on any collector"},
	{"collector/ingest", "collector/stock", "what is taken in is not judged on the way"},
	{"collector/ingest", "collector/web", "the agents' door and the humans' door are two"},
	{"collector/ingest", "collector/api", "the agents' door and the humans' door are two"},
}

// only lists third-party packages that stay inside the rooms named for them.
var only = []struct {
	pkg   string
	rooms []string
}{
	{"github.com/prometheus-community/pro-bing", []string{"probes/icmp"}},
	{"github.com/gosnmp/gosnmp", []string{"probes/snmp", "deploy/lab"}},
	{"github.com/influxdata/influxdb-client-go", []string{"agent/ship", "collector/store/influx", "deploy/lab/bench"}},
	{"github.com/prometheus/prometheus", []string{"collector/store/embedded"}},
	{"github.com/parquet-go/parquet-go", []string{"collector/export"}},
	{"modernc.org/sqlite", []string{"collector/sqlite", "collector/registry"}},
	{"github.com/xuri/excelize", []string{"inventory"}},
	{"go.yaml.in/yaml", []string{"probes/settings"}},
	{"github.com/spf13/cobra", []string{"agent/cmd", "collector/cmd", "deploy/cmd"}},
	{"github.com/vishvananda", []string{"deploy/lab"}},
	{"github.com/gosnmp/gosnmp", []string{"probes/snmp", "deploy/lab"}},
	{"github.com/pion", []string{"probes/webrtc/rtc", "deploy/lab"}},
	{"github.com/emiago/sipgo", []string{"probes/sip"}},
	{"github.com/kardianos/service", []string{"agent/service"}},
	{"golang.org/x/oauth2", []string{"collector/people/door"}},
	{"github.com/golang-jwt/jwt", []string{"collector/people/door"}},
	{"golang.org/x/crypto/argon2", []string{"collector/people/password"}},
	{"aead.dev/minisign", []string{"probes/release", "deploy/cmd/communewatch-release"}},
	{"golang.org/x/net/dns", []string{"probes/dns", "deploy/lab"}},
}

// neighbours lists what rooms below probes may know beyond probes and probes/bind. Everything else is each kind's own.
var neighbours = []struct{ from, to string }{
	{"probes/snmp", "probes/snmp"},              // one protocol in several rooms
	{"probes/snmp/identify", "probes/settings"}, // knowledge in files of the user's, read as strictly as settings
	{"probes/fingerprint", "probes/settings"},
	{"probes/fingerprint", "probes/fingerprint"}, // what is asked and how an answer reads
	{"probes/sweep", "probes/fingerprint"},       // a sweep takes fingerprints
	{"probes/webrtc", "probes/webrtc"},           // one kind of test in several rooms
	{"probes/webrtc", "probes/orders"},           // a call is made of a meeting's profile
	{"probes/orders", "probes/webrtc/report"},    // what an ordered call came to
	{"probes/sweep", "probes/snmp/ask"},          // and asks devices that are opened for it
	{"probes/http", "probes/connect"},            // who looks at a server's certificate
	{"probes/webrtc", "probes/connect"},          // and so does who calls the agent's own collector
	{"probes/sip", "probes/connect"},             // who asks by UDP, TCP or TLS
	{"probes/stun", "probes/connect"},
	{"probes/h323", "probes/connect"},
	{"probes/presence", "probes/enroll"}, // what an agent says of its machine
	{"probes/presence", "probes/work"},   // and of its work
	{"probes/release", "probes/release"}, // releases made for tests
}

func neighbourly(from, to string) bool {
	return to == "probes" || to == "probes/bind" || slices.ContainsFunc(neighbours, func(n struct{ from, to string }) bool {
		return within(from, n.from) && within(to, n.to)
	})
}

var badNames = []string{"util", "utils", "common", "helper", "helpers", "misc", "base", "shared"}

// room is one package directory, without its tests.
type room struct {
	dir     string // slash-separated, relative to the module's root
	name    string
	files   map[string]int      // file -> lines
	imports map[string]string   // import path -> a file that imports it
	test    map[string][]string // the same for tests
	doc     bool
	inits   []string
}

func parseHouse(t *testing.T) map[string]*room {
	t.Helper()
	house := map[string]*room{}
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if p != "." && (strings.HasPrefix(name, ".") || name == "node_modules" || name == "testdata" || name == "dist" || name == "build") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		src, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(p))
		r := house[dir]
		if r == nil {
			r = &room{dir: dir, files: map[string]int{}, imports: map[string]string{}, test: map[string][]string{}}
			house[dir] = r
		}
		lines := bytes.Count(src, []byte("\n"))
		if lines > maxFileLines {
			t.Errorf("%s has %d lines, more than %d: split it where it does two things", p, lines, maxFileLines)
		}
		isTest := strings.HasSuffix(name, "_test.go")
		for _, im := range f.Imports {
			to, _ := strconv.Unquote(im.Path.Value)
			if isTest {
				r.test[to] = append(r.test[to], p)
			} else {
				r.imports[to] = p
			}
		}
		if isTest {
			return nil
		}
		r.files[name] = lines
		r.name = f.Name.Name
		r.doc = r.doc || f.Doc != nil && len(f.Doc.Text()) > 40
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				r.inits = append(r.inits, p)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(house) < 10 {
		t.Fatalf("found only %d rooms: is this the root of the module?", len(house))
	}
	return house
}

func within(dir, parent string) bool { return dir == parent || strings.HasPrefix(dir, parent+"/") }

func internal(importPath string) (dir string, ok bool) {
	return strings.CutPrefix(importPath, module+"/")
}

// reach returns every room that dir imports, directly or not, with the way there.
func reach(house map[string]*room, dir string) map[string]string {
	way := map[string]string{}
	var visit func(at, via string)
	visit = func(at, via string) {
		r := house[at]
		if r == nil {
			return
		}
		for _, to := range slices.Sorted(maps.Keys(r.imports)) {
			d, ok := internal(to)
			if !ok || way[d] != "" {
				continue
			}
			way[d] = via + " -> " + d
			visit(d, way[d])
		}
	}
	visit(dir, dir)
	return way
}

func TestNobodyImportsWhatTheyMayNot(t *testing.T) {
	house := parseHouse(t)
	for _, rule := range never {
		for dir := range house {
			if !within(dir, rule.from) {
				continue
			}
			for to, way := range reach(house, dir) {
				if within(to, rule.to) {
					t.Errorf("%s: %s may not import %s: %s", way, rule.from, rule.to, rule.why)
				}
			}
		}
	}
	for dir, r := range house {
		for to, file := range r.imports {
			d, ok := internal(to)
			if ok && path.Base(d) != "lab" && within(d, path.Join("deploy", "cmd")) {
				t.Errorf("%s imports the program %s", file, d)
			}
			if ok && house[d] == nil {
				t.Errorf("%s imports %s, which is not there", file, d)
			}
		}
		if within(dir, "probes") && dir != "probes" {
			for to, file := range r.imports {
				if d, ok := internal(to); ok && !neighbourly(dir, d) {
					t.Errorf("%s imports %s: a kind of probe knows probes and probes/bind, and what is listed in neighbours", file, d)
				}
			}
		}
	}
}

func TestThirdPartyPackagesStayInTheirRooms(t *testing.T) {
	for dir, r := range parseHouse(t) {
		for _, rule := range only {
			if slices.ContainsFunc(rule.rooms, func(room string) bool { return within(dir, room) }) {
				continue
			}
			for to, file := range r.imports {
				if within(to, rule.pkg) {
					t.Errorf("%s imports %s, which belongs into %s", file, to, strings.Join(rule.rooms, ", "))
				}
			}
		}
	}
}

func TestEveryRoomIsSmallAndSaysWhatItIsFor(t *testing.T) {
	for dir, r := range parseHouse(t) {
		if len(r.files) == 0 {
			continue // tests only
		}
		total := 0
		for _, n := range r.files {
			total += n
		}
		if total > maxRoomLines+maxRoomLines/20 { // "about"
			t.Errorf("%s has %d lines without tests, more than about %d: it does too much", dir, total, maxRoomLines)
		}
		if !r.doc {
			t.Errorf("%s has no package comment that says what it is for", dir)
		}
		if slices.Contains(badNames, r.name) {
			t.Errorf("%s: a package called %s says nothing", dir, r.name)
		}
		for _, f := range r.inits {
			t.Errorf("%s has an init function: build values where they are used", f)
		}
	}
}
