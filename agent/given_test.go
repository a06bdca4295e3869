package agent

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"communewatch/agent/allow"
	"communewatch/agent/identity"
	"communewatch/probes"
	said "communewatch/probes/orders"
	"communewatch/probes/wire"
	"communewatch/probes/work"
)

// planted is looked for in all that is said.
const planted = "planted-s3cret-77aa"

func given(version int, document string) *work.Work {
	return &work.Work{Version: version, Document: document, Secrets: map[string]string{"community": planted, "pass": planted + "-pass", "token": planted}}
}

func settingsFile(t *testing.T, more string) Config {
	t.Helper()
	state := "state_dir: '" + t.TempDir() + "'\n"
	if strings.Contains(more, "state_dir:") {
		state = ""
	}
	cfg, err := ParseConfig("agent.yaml", fmt.Appendf(nil, "site: s1\nagent: a\n%scollectors: [{url: 'http://127.0.0.1:1', token: x}]\n%s", state, more))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// What was allowed as a machine joined counts like what its settings allow, beside a narrow list of theirs too.
func TestWorkMayLookAtWhatTheMachineLetIn(t *testing.T) {
	dir := t.TempDir()
	list, err := allow.Parse([]string{"203.0.113.0/24"})
	if err != nil {
		t.Fatal(err)
	}
	if err := allow.Keep(identity.Folder(dir), list); err != nil {
		t.Fatal(err)
	}
	for name, more := range map[string]string{"nothing said": "", "a narrow list": "allow: {addresses: [10.1.0.0/16]}\n"} {
		cfg := settingsFile(t, more+"state_dir: '"+dir+"'\n")
		for address, want := range map[string]string{"203.0.113.7": "", "203.0.114.7": "`communewatch-agent allow add 203.0.114.7`"} {
			_, err := cfg.with(given(3, "checks:\n- {name: c, path: broadband, kind: icmp, address: "+address+"}\n"))
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("%s, %s: %v", name, address, err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(identity.Folder(dir), "allow.txt"), []byte("everything"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := settingsFile(t, "state_dir: '"+dir+"'\n")
	if _, err := cfg.with(given(3, "checks: [{name: c, path: lan, kind: icmp, address: 203.0.113.7}]")); err == nil || cfg.keptBroken == nil {
		t.Errorf("a damaged list: %v, told as %v", err, cfg.keptBroken)
	}
}

// Everything that the collector must not have an agent do, and everything that it may.
func TestWorkIsHeldAgainstTheAgentsOwnSettings(t *testing.T) {
	own := "checks: [{name: dns, kind: dns, address: a.test, path: lan, options: {resolvers: [{name: r, address: '203.0.113.53'}]}}]\n"
	check := func(s string) string { return "checks:\n- {name: c, path: lan, " + s + "}\n" }
	for name, c := range map[string]struct{ file, document, want string }{
		"private":                 {"", check("kind: tcp, address: '10.1.2.3:80'"), ""},
		"carrier":                 {"", check("kind: icmp, address: 100.64.9.9"), ""},
		"unique local":            {"", check("kind: icmp, address: 'fd12::1'"), ""},
		"a name":                  {"", check("kind: http, address: 'https://portal.example.gov.vn/'"), ""},
		"machine":                 {"", check("kind: machine"), ""},
		"what the file names":     {own, check("kind: icmp, address: 203.0.113.53"), ""},
		"no checks at all":        {own, "checks: []", ""},
		"Internet":                {own, check("kind: icmp, address: 203.0.113.54"), "not among allow.addresses"},
		"Internet allowed":        {"allow: {addresses: [0.0.0.0/0]}", check("kind: icmp, address: 203.0.113.54"), ""},
		"loopback":                {"allow: {addresses: [0.0.0.0/0]}", check("kind: http, address: 'http://127.0.0.1:8086/'"), "this machine"},
		"loopback in IPv6":        {"allow: {addresses: ['::/0']}", check("kind: tcp, address: '[::1]:22'"), "this machine"},
		"mapped loopback":         {"allow: {addresses: [0.0.0.0/0]}", check("kind: tcp, address: '[::ffff:127.0.0.1]:22'"), "this machine"},
		"loopback of the file":    {"checks: [{name: x, kind: tcp, address: '127.0.0.1:1', path: lan}]", check("kind: tcp, address: '127.0.0.1:1'"), "this machine"},
		"metadata":                {"", check("kind: http, address: 'http://169.254.169.254/latest'"), "its link"},
		"multicast":               {"", check("kind: sip, address: 224.0.1.75"), "group"},
		"broadcast":               {"allow: {addresses: [0.0.0.0/0]}", check("kind: icmp, address: 255.255.255.255"), "group"},
		"outside a narrow list":   {"allow: {addresses: [10.1.0.0/16]}", check("kind: icmp, address: 10.2.0.1"), "allow.addresses"},
		"resolver":                {"", check("kind: dns, address: a.test, options: {resolvers: [{name: r, address: '8.8.8.8'}]}"), "8.8.8.8"},
		"conference":              {"", check("kind: webrtc, address: 'https://198.51.100.1/whip', options: {token: x}"), "198.51.100.1"},
		"sweep":                   {"", check("kind: sweep, address: 10.0.0.0/24, options: {allow: [10.0.0.0/24]}"), "allow.kinds"},
		"sweep allowed":           {"allow: {kinds: [sweep]}", check("kind: sweep, address: 10.0.0.0/24, options: {allow: [10.0.0.0/24]}"), ""},
		"sweep allowed elsewhere": {"allow: {kinds: [sweep], addresses: [10.0.0.0/25]}", check("kind: sweep, address: 10.0.0.0/24, options: {allow: [10.0.0.0/24]}"), "allow add 10.0.0.0/24`"},
		"other kind":              {"allow: {kinds: [icmp]}", check("kind: tcp, address: '10.0.0.1:22'"), "tcp is forbidden"},
		"unknown kind":            {"", check("kind: exec, address: reboot"), "not a kind of check"},
		"unknown key":             {"", "spool: {max_bytes: 1048576}", "unknown key"},
		"another site":            {"", "site: s2\nchecks: []", "unknown key"},
		"another collector":       {"", "collectors: [{url: 'https://evil.test', token: x}]", "unknown key"},
		"more allowed":            {"", "allow: {addresses: [0.0.0.0/0]}", "unknown key"},
		"device":                  {"", "paths: {lan: {device: eth1}}\nchecks: []", "unknown key"},
		"file of a community":     {"", check("kind: snmp, address: 10.0.0.1, options: {community_file: /etc/shadow}"), "file or variable of the agent's machine"},
		"file of a token":         {"", check("kind: webrtc, address: 'https://10.0.0.1/whip', options: {token_file: /etc/shadow}"), "file or variable"},
		"variable":                {"", check("kind: webrtc, address: 'https://10.0.0.1/whip', options: {token_env: AWS_SECRET}"), "file or variable"},
		"authorities":             {"", check("kind: http, address: 'https://10.0.0.1/', options: {ca_file: /etc/passwd}"), "file or variable"},
		"folder of profiles":      {"", check("kind: snmp, address: 10.0.0.1, options: {community: x, profiles: /root}"), "file or variable"},
		"secrets in their place":  {"", check("kind: snmp, address: 10.0.0.1, options: {community: '${secret:community}'}"), ""},
		"secrets of version 3":    {"", check("kind: snmp, address: 10.0.0.1, options: {v3: {user: u, auth_key: '${secret:pass}', priv_key: '${secret:pass}'}}"), ""},
		"secret header":           {"", check("kind: http, address: 'http://10.0.0.1/', options: {headers: {Authorization: '${secret:token}'}}"), ""},
		"secret as an address":    {"", check("kind: tcp, address: '${secret:token}'"), "no place for a secret"},
		"secret in a URL":         {"", check("kind: http, address: 'http://10.0.0.1/?t=${secret:token}'"), ""}, // is no reference: sent as it stands
		"unknown secret":          {"", check("kind: snmp, address: 10.0.0.1, options: {community: '${secret:other}'}"), "no secret called"},
		"half a reference":        {"", check("kind: snmp, address: 10.0.0.1, options: {community: '${secret:community'}"), "does not end"},
		"two of one name":         {"", "checks:\n- {name: c, kind: machine, path: lan}\n- {name: c, kind: machine, path: lan}", "is taken by"},
		"too often":               {"", check("kind: icmp, address: 10.0.0.1, interval: 1ms"), "out of range"},
		"no YAML":                 {"", "checks: [", "not valid YAML"},
		"aliases":                 {"", "defaults: &a {interval: 30s}\nchecks: *a", "aliases"},
		"meeting":                 {"", "meetings: [{days: [mon], from: '07:30', to: '11:30'}]\nchecks: []", ""},
		"bad meeting":             {"", "meetings: [{days: [mon], from: 'noon', to: '11:30'}]\nchecks: []", "meetings[0]"},
		"hop":                     {"", "paths: {broadband: {hop: {ttl: 2, expect: [10.9.0.0/16]}}}\nchecks: []", ""},
		"hop without end":         {"", "paths: {broadband: {hop: {ttl: 900, expect: [10.9.0.0/16]}}}\nchecks: []", "ttl"},
		"path that is none":       {"", "paths: {satellite: {}}\nchecks: []", "satellite"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := settingsFile(t, c.file)
			next, err := cfg.with(given(3, c.document))
			switch {
			case c.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), planted) {
				t.Errorf("a secret shows: %v", err)
			}
			if err == nil {
				for _, c := range next.Checks {
					if next.binding(c.Path).Guard == nil {
						t.Errorf("check %s has no guard", c.Name)
					}
				}
				if len(cfg.Collectors) != len(next.Collectors) || next.Site != "s1" {
					t.Error("work changed what is the settings file's")
				}
			}
		})
	}
}

func TestEveryMistakeOfWorkIsTold(t *testing.T) {
	a, _ := newAgent(t, "", Options{}, nil)
	problems := a.assign(given(5, "checks:\n- {name: a, kind: icmp, address: 8.8.8.8, path: lan}\n- {name: b, kind: exec, path: lan}\n- {name: c, kind: tcp, address: '127.0.0.1:1', path: moon}\n"))
	text := strings.Join(problems, "\n")
	for _, want := range []string{"work 5:2: checks[0].address: forbidden: 8.8.8.8", "checks[1].kind", "checks[2].address: forbidden: 127.0.0.1", "checks[2].path"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing in\n%s", want, text)
		}
	}
	if len(a.current().Checks) != 0 || a.current().cfg != &a.cfg {
		t.Error("work that was refused is done in part")
	}
}

// names lists the checks of an agent, and which of them are the same as before.
func kept(before, now doing) (list []string) {
	for _, c := range now.Checks {
		word := c.Target.Name + " new"
		if before.Find(c.Target.Name) == c {
			word = c.Target.Name + " kept"
		}
		list = append(list, word)
	}
	return list
}

func TestChecksThatDidNotChangeGoOn(t *testing.T) {
	a, _ := newAgent(t, "- {name: own, kind: tcp, address: '127.0.0.1:1', path: lan}", Options{}, nil)
	base := "checks:\n- {name: a, kind: icmp, address: 10.0.0.1, path: lan}\n- {name: s, kind: snmp, address: 10.0.0.2, path: lan, options: {community: '${secret:community}'}}\n- {name: b, kind: icmp, address: 10.0.0.3, path: lan}\n"
	if p := a.assign(given(1, base)); p != nil {
		t.Fatal(p)
	}
	first := a.current()
	if len(first.Checks) != 3 {
		t.Fatalf("it does %d checks, want those of its work alone", len(first.Checks))
	}
	changed := strings.NewReplacer("10.0.0.3", "10.0.0.4").Replace(base) + "- {name: d, kind: machine, path: lan}\n"
	if p := a.assign(given(2, changed)); p != nil {
		t.Fatal(p)
	}
	if got := fmt.Sprint(kept(first, a.current())); got != "[a kept s kept b new d new]" {
		t.Errorf("with another address: %s", got)
	}
	second := a.current()
	w := given(3, changed)
	w.Secrets["community"] = "other"
	if p := a.assign(w); p != nil {
		t.Fatal(p)
	}
	if got := fmt.Sprint(kept(second, a.current())); got != "[a kept s new b kept d kept]" {
		t.Errorf("with another secret: %s", got)
	}
	third := a.current()
	w.Document = "paths: {lan: {hop: {ttl: 1, expect: [10.0.0.1]}}}\n" + w.Document
	if p := a.assign(w); p != nil {
		t.Fatal(p)
	}
	if got := fmt.Sprint(kept(third, a.current())); got != "[a new s new b new d new]" {
		t.Errorf("with a proof of path: %s", got)
	}
	if p := a.assign(nil); p != nil {
		t.Fatal(p)
	}
	if now := a.current(); len(now.Checks) != 1 || now.Checks[0].Target.Name != "own" || now.cfg.binding(probes.PathLAN).Guard != nil {
		t.Error("without work it does not do what its settings file says")
	}
}

// province is a collector that gives work, tells orders and takes reports.
type province struct {
	head
	mu    sync.Mutex
	given string // JSON of a work; "": nothing assigned
	tag   string
}

func (p *province) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != work.Path {
		p.head.ServeHTTP(w, r)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	w.Header().Set(wire.HeaderReceivedAt, "1")
	w.Header().Set("ETag", p.tag)
	switch {
	case p.given == "":
		w.WriteHeader(http.StatusNotFound)
	case r.Header.Get("If-None-Match") == p.tag:
		w.WriteHeader(http.StatusNotModified)
	default:
		fmt.Fprint(w, p.given)
	}
}

func (p *province) give(version int, document string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tag = fmt.Sprintf(`"%d"`, version)
	p.given = fmt.Sprintf(`{"version":%d,"document":%q,"secrets":{"community":%q}}`, version, document, planted)
}

func (p *province) look(t *testing.T, id string) said.Report {
	t.Helper()
	p.tell(t, said.Order{ID: id, Kind: said.KindLook, Expires: said.Seconds(20 * time.Second), Look: said.LookWork})
	return p.until(t, id)
}

// The whole way: an agent without checks is told to look, does what it is given while that changes under its hands, runs
// a check when somebody clicks, and loses no result.
func TestWorkChangesWhileChecksRun(t *testing.T) {
	p := &province{head: head{orders: make(chan string), reports: make(chan said.Report, 1000), checks: make(chan string, 1)}}
	server := httptest.NewServer(p)
	defer server.Close()
	hub, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hub.Close()
	var log bytes.Buffer
	a, m := newAgent(t, "", Options{Loopback: true}, nil)
	a.cfg.Collectors[0].URL = server.URL
	a, err = New(a.cfg, Options{Loopback: true, Version: "1.2.3", Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	a.open = func(*Agent) (results, sender, error) { return m, memorySender{m, nil}, nil }
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	ended := sync.OnceFunc(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	defer ended()
	<-p.checks // the channel is open

	document := func(v int) string {
		return fmt.Sprintf("checks:\n- {name: hub, kind: tcp, address: '%s', path: lan, interval: 2s, options: {timeout: %dms}}\n- {name: v%d, kind: tcp, address: '%s', path: lan, interval: 2s, options: {timeout: 500ms}}\n",
			hub.Addr(), 500+v, v, hub.Addr())
	}
	for v := 1; v <= 12; v++ {
		p.give(v, document(v))
		if r := p.look(t, fmt.Sprintf("look%d", v)); r.Outcome != "ok" {
			t.Fatalf("version %d: %+v", v, r)
		}
		if s := a.workStatus(); s.State != work.StateActive || s.Version != v {
			t.Fatalf("version %d: %+v", v, s)
		}
	}
	before := len(m.rows("check"))
	p.tell(t, said.Order{ID: "run1", Kind: said.KindRun, Expires: said.Seconds(20 * time.Second), Run: &said.Run{Checks: []string{"hub", "v12", "v1"}}})
	asked := time.Now()
	r := p.until(t, "run1")
	if took := time.Since(asked); took > 2*time.Second {
		t.Errorf("the result came after %v", took)
	}
	if r.Phase != said.PhaseDone || r.Outcome != "ok" || len(r.Ran) != 3 || r.Ran[0].Outcome != "ok" || r.Ran[1].Outcome != "ok" || r.Ran[1].Took <= 0 ||
		r.Ran[2].Phase != said.PhaseRefused || !strings.Contains(r.Ran[2].Reason, "no such check") {
		t.Errorf("got %+v", r)
	}
	if rows := len(m.rows("check")); rows < before+2 {
		t.Errorf("%d rows before, %d after", before, rows)
	}
	m.mu.Lock()
	sealed := strings.Contains(strings.Join(m.events, " "), "sealed")
	m.mu.Unlock()
	if !sealed {
		t.Error("what somebody waits for was not sealed, so it waits to be sent")
	}

	p.give(13, "checks: [{name: x, kind: tcp, address: '8.8.8.8:53', path: lan}]")
	if r := p.look(t, "look13"); r.Outcome != "failed" || !strings.Contains(r.Reason, "8.8.8.8") {
		t.Errorf("forbidden work: %+v", r)
	}
	if s := a.workStatus(); s.State != work.StateRefused || s.Version != 12 || a.current().Find("hub") == nil {
		t.Errorf("forbidden work: %+v", s)
	}
	ended()

	// By hand, on site.
	results, err := Once(t.Context(), a.cfg, Options{Loopback: true, Log: quiet()})
	if err != nil || len(results) != 2 || results[0].Target.Name != "hub" || results[0].Outcome != probes.OutcomeOK {
		t.Errorf("run by hand: %+v, %v", results, err)
	}

	// Without the collector, after a restart.
	server.Close()
	again, err := New(a.cfg, Options{Loopback: true, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	again.open = a.open
	ctx, stop = context.WithCancel(context.Background())
	go func() { done <- again.Run(ctx) }()
	rows := len(m.rows("check"))
	for deadline := time.Now().Add(30 * time.Second); len(m.rows("check")) < rows+2; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("after a restart without a collector nothing is checked")
		}
	}
	if again.current().Find("v12") == nil {
		t.Error("it does not go on with its last good work")
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if strings.Contains(log.String(), planted) {
		t.Error("a secret is in the log")
	}
}

// From the click to the row at the collector it takes no two seconds, though results are gathered for long by default.
func TestRowsOfOrderedRunsAreThereAtOnce(t *testing.T) {
	in := &inbox{points: map[string]int{}}
	h := &head{orders: make(chan string), reports: make(chan said.Report, 100), checks: make(chan string, 1)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v2/write" {
			in.ServeHTTP(w, r)
		} else {
			h.ServeHTTP(w, r)
		}
	}))
	defer server.Close()
	cfg := realConfig(t, "s1", server.URL, listen(t))
	cfg.Spool.SealAfter, cfg.Checks[0].Interval, cfg.SelfInterval = 10*time.Minute, 24*time.Hour, time.Hour
	cfg.Checks = cfg.Checks[:1]
	a, err := New(cfg, Options{Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	<-h.checks
	clicked := time.Now()
	h.tell(t, said.Order{ID: "run1", Kind: said.KindRun, Expires: said.Seconds(20 * time.Second), Run: &said.Run{Checks: []string{"hub"}}})
	if r := h.until(t, "run1"); r.Outcome != "ok" {
		t.Errorf("got %+v", r)
	}
	arrived := func() bool {
		in.mu.Lock()
		defer in.mu.Unlock()
		for series := range in.points {
			if strings.HasPrefix(series, "check,") {
				return true
			}
		}
		return false
	}
	for !arrived() {
		if time.Since(clicked) > 20*time.Second {
			t.Fatal("the row did not come")
		}
		time.Sleep(5 * time.Millisecond)
	}
	if took := time.Since(clicked); took > 2*time.Second {
		t.Errorf("the row came after %v", took)
	}
}
