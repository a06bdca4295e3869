package attacks_test

import (
	"archive/zip"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"html"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"communewatch/agent/identity"
	"communewatch/collector/fleet"
	"communewatch/collector/people"
	"communewatch/collector/plans"
	kept "communewatch/collector/registry/people"
	"communewatch/deploy/lab/enrolled"
	"communewatch/probes/enroll"
	"communewatch/probes/work"
)

func TestAttacks(t *testing.T) {
	g := newGround(t)
	for _, r := range rows {
		if r.try != nil {
			t.Run(r.name, func(t *testing.T) { r.try(t, g) })
		}
	}
}

// refused tries a code and wants a refusal that leaves no identity.
func refused(t *testing.T, g *ground, text, why string) {
	t.Helper()
	m := g.fleet.Machine(t.Name())
	if _, err := m.Enrol(t.Context(), text, "pc-9"); err == nil || !strings.Contains(err.Error(), why) {
		t.Errorf("it says %v, and should say %q", err, why)
	}
	if _, err := identity.Read(m.Identity()); !errors.Is(err, identity.ErrNone) {
		t.Errorf("what is left: %v", err)
	}
}

func expiredCode(t *testing.T, g *ground) { refused(t, g, g.expired, "expired") }

func reusedCode(t *testing.T, g *ground) { refused(t, g, g.codes[1], "used") }

func truncatedCode(t *testing.T, g *ground) {
	text := g.code(t, g.fleet, "s3")
	for i := range text {
		if _, err := enroll.ParseCode(text[:i]); err == nil {
			t.Errorf("the first %d characters are taken for a code", i)
		}
	}
	refused(t, g, text[:len(text)-2], "")
	if _, err := g.fleet.Machine("typed").Enrol(t.Context(), strings.ToLower(strings.ReplaceAll(text, "-", " ")), "pc-3"); err != nil {
		t.Errorf("the whole code, as people type it: %v", err)
	}
}

// astray is a code of the fleet whose address somebody else answers at.
func astray(t *testing.T, g *ground, address string) string {
	t.Helper()
	c, err := enroll.ParseCode(g.code(t, g.fleet, "s3"))
	if err != nil {
		t.Fatal(err)
	}
	c.Addresses = []string{address}
	return c.String()
}

// unused checks that nobody has come with the newest code.
func unused(t *testing.T, g *ground) {
	t.Helper()
	list, err := g.fleet.Desk().Codes(enrolled.Operator(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	if !list[0].Used.IsZero() {
		t.Error("the code is used up")
	}
}

func wrongAuthority(t *testing.T, g *ground) {
	refused(t, g, astray(t, g, g.other.URL()), identity.ErrPin.Error())
	unused(t, g)
	set, err := identity.Read(g.victim.Identity())
	if err != nil {
		t.Fatal(err)
	}
	agent := identity.New(t.TempDir(), set, identity.Options{Now: g.fleet.Now})
	conn, err := tls.Dial("tcp", g.other.Front().Address(), agent.TLS("127.0.0.1"))
	if err == nil {
		conn.Close()
	}
	if !errors.Is(err, identity.ErrAuthority) {
		t.Errorf("an agent at another fleet's collector: %v", err)
	}
}

// Somebody between agent and collector, who has a certificate for its address, hears nothing.
func manInTheMiddle(t *testing.T, g *ground) {
	var heard atomic.Int64
	between := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { heard.Add(1) }))
	between.Config.ErrorLog = log.New(io.Discard, "", 0)
	between.StartTLS()
	defer between.Close()
	refused(t, g, astray(t, g, between.URL), identity.ErrPin.Error())
	unused(t, g)
	set, err := identity.Read(g.victim.Identity())
	if err != nil {
		t.Fatal(err)
	}
	agent := identity.New(t.TempDir(), set, identity.Options{Now: g.fleet.Now})
	if resp, err := client(t, agent.TLS("127.0.0.1")).Get(between.URL); err == nil {
		resp.Body.Close()
		t.Error("an agent spoke to somebody in between")
	}
	if n := heard.Load(); n != 0 {
		t.Errorf("%d requests were heard", n)
	}
}

func wrongClock(t *testing.T, g *ground) {
	for name, ahead := range map[string]time.Duration{"behind": -28 * 365 * 24 * time.Hour, "ahead": 40 * 365 * 24 * time.Hour} {
		m := g.fleet.Machine("clock-" + name)
		m.WrongClock(ahead)
		if _, err := m.Enrol(t.Context(), g.code(t, g.fleet, "s3"), "pc-"+name); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := m.Start(); err != nil {
			t.Fatal(err)
		}
		await(t, "the word of an agent whose clock is "+name, func() bool {
			a := g.agent(t, "s3", "pc-"+name)
			return a.Presence != nil
		})
		if err := m.Stop(); err != nil {
			t.Error(err)
		}
	}
}

func (g *ground) agent(t *testing.T, site, name string) fleet.Agent {
	t.Helper()
	list, err := g.fleet.Desk().Agents(enrolled.Operator(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range list {
		if a.Site == site && a.Agent == name {
			return a
		}
	}
	t.Fatalf("there is no agent %s of %s", name, site)
	return fleet.Agent{}
}

func otherFleet(t *testing.T, g *ground) {
	if status, answer := g.write(t, g.foreign, g.verdict("s1")); status != http.StatusUnauthorized || !strings.Contains(answer, "another fleet") {
		t.Errorf("%d %s", status, answer)
	}
	if status, answer := g.write(t, g.victim, g.verdict("s1")); status != http.StatusNoContent {
		t.Errorf("one of the fleet's own: %d %s", status, answer)
	}
}

func otherSite(t *testing.T, g *ground) {
	for _, lines := range [][]string{{g.verdict("s2")}, {g.verdict("s1"), g.verdict("s2")}, {strings.Replace(g.verdict("s1"), "pc-1", "pc-2", 1)}} {
		status, answer := g.write(t, g.victim, lines...)
		if mixed := len(lines) > 1; mixed && (status != http.StatusBadRequest || !strings.Contains(answer, "s2")) || !mixed && status != http.StatusForbidden {
			t.Errorf("%s: %d %s", lines, status, answer)
		}
	}
	if page := g.get(t, g.signedIn(t), "/api/v1/sites/s2"); !strings.Contains(page, "no_data") {
		t.Errorf("something of s2 was taken: %.500s", page)
	}
}

// A plan that names an address which it does not itself allow is not taken. Where it allows it, the agents' own settings
// don't: an agent goes on with what it had, and says why.
func forbiddenPrefix(t *testing.T, g *ground) {
	const far = "    - {name: far, kind: icmp, address: 8.8.8.8, path: lan}\n"
	apply := func(allow, more string) error {
		text := allow + "secrets: [community, pass]\ntemplates:\n  a:\n    checks:\n" +
			"    - {name: device, kind: snmp, address: '10.255.255.1:161', path: lan, interval: 1h, options: {v3: {user: u, auth_key: '${secret:pass}', priv_key: '${secret:pass}'}, timeout: 200ms, retries: 0}}\n" +
			"    - {name: old, kind: snmp, address: '10.255.255.2:161', path: lan, interval: 1h, options: {community: '${secret:community}', timeout: 200ms, retries: 0}}\n" +
			more + "groups: [{name: all, sites: [s1], templates: [a]}]\n"
		_, _, err := g.plans.Apply(enrolled.Operator(t.Context()), plans.Draft{Plan: &text, Base: -1})
		return err
	}
	said := func(want work.State) (s work.Status) {
		await(t, "work that is "+string(want), func() bool {
			if p := g.agent(t, "s1", "pc-1").Presence; p != nil {
				s = p.Work
			}
			return s.State == want
		})
		return s
	}
	if err := apply("", ""); err != nil {
		t.Fatal(err)
	}
	good := said(work.StateActive)
	if err := apply("", far); err == nil || !strings.Contains(err.Error(), "8.8.8.8") {
		t.Errorf("at the collector: %v", err)
	}
	if err := apply("allow: [10.0.0.0/8, 8.8.8.8/32]\n", far); err != nil {
		t.Fatal(err)
	}
	if s := said(work.StateRefused); s.Version != good.Version || !strings.Contains(strings.Join(s.Problems, " "), "8.8.8.8") {
		t.Errorf("the agent says %+v, and did version %d before", s, good.Version)
	}
}

// Clients that say a byte now and then keep nobody out, and are let go.
func slowClients(t *testing.T, g *ground) {
	const count = 200
	conns := make([]net.Conn, count)
	for i := range conns {
		var err error
		if i%2 == 0 { // some don't even begin with TLS
			conns[i], err = net.Dial("tcp", g.fleet.Front().Address())
		} else if conns[i], err = tls.Dial("tcp", g.fleet.Front().Address(), g.believing()); err == nil {
			_, err = fmt.Fprintf(conns[i], "POST /sign-in HTTP/1.1\r\nHost: x\r\nX: ")
		}
		if err != nil {
			t.Fatal(err)
		}
		defer conns[i].Close()
	}
	begin := time.Now()
	if status, answer := g.write(t, g.victim, g.verdict("s1")); status != http.StatusNoContent {
		t.Errorf("meanwhile an agent is told %d %s", status, answer)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("meanwhile an agent waits %v", took)
	}
	for _, c := range conns {
		if err := c.SetReadDeadline(time.Now().Add(40 * time.Second)); err != nil {
			t.Fatal(err)
		}
		for buf := make([]byte, 1024); ; {
			_, err := c.Read(buf)
			if err == nil {
				continue // it is told why
			}
			if e := net.Error(nil); errors.As(err, &e) && e.Timeout() {
				t.Fatalf("a slow client is still connected after %v", time.Since(begin))
			}
			break
		}
	}
}

func bruteForce(t *testing.T, g *ground) {
	c := g.browser(t)
	paused := 0
	for i := range 12 {
		if status, _ := g.signIn(t, c, "huong", fmt.Sprintf("%s-%d", guessed, i)); status == http.StatusTooManyRequests {
			paused++
		} else if status != http.StatusUnauthorized {
			t.Errorf("guess %d: %d", i, status)
		}
	}
	if paused < 6 {
		t.Errorf("%d of 12 guesses were not looked at", paused)
	}
	g.signedIn(t) // others are not kept out
}

func forgedRequests(t *testing.T, g *ground) {
	c := g.signedIn(t)
	form := url.Values{"name": {"eve"}, "role": {"admin"}, "current": {lanSecret}, "password": {"x"}}.Encode()
	for name, headers := range map[string][]string{
		"another origin's form": {"Content-Type", "application/x-www-form-urlencoded", "Origin", "https://evil.example"},
		"another site's":        {"Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "cross-site"},
		"without proof":         {"Content-Type", "application/x-www-form-urlencoded"},
		"plain text":            {"Content-Type", "text/plain", "Origin", "https://evil.example"},
	} {
		for _, path := range []string{"/account", "/rehearsals", "/fleet/people", "/fleet/codes", "/api/v1/rehearsals"} {
			if name == "without proof" && strings.HasPrefix(path, "/api/") {
				continue // a form's type is no API's
			}
			if status, _ := do(t, c, http.MethodPost, g.fleet.URL()+path, form, headers...); status != http.StatusForbidden {
				t.Errorf("%s to %s: %d", name, path, status)
			}
		}
	}
	for _, cookie := range g.cookies(t, c) {
		if !strings.HasPrefix(cookie.Name, "__Host-") { // which browsers keep to TLS and to this very host
			t.Errorf("cookie %s could be planted by a neighbour", cookie.Name)
		}
	}
}

// harmless checks that a page holds no markup that a name brought.
func harmless(t *testing.T, path, page string) {
	t.Helper()
	if strings.Contains(page, script) || strings.Contains(page, "<script>alert") {
		t.Errorf("%s holds a script", path)
	}
}

func hostileSite(t *testing.T, g *ground) {
	c := g.signedIn(t)
	seen := false
	for _, path := range []string{"/", "/sites/s1", "/sites/s2", "/reports", "/inventory", "/api/v1/sites", "/api/v1/sites/s1"} {
		page := g.get(t, c, path)
		harmless(t, path, page)
		seen = seen || strings.Contains(page, "&lt;script&gt;alert(1)")
	}
	if !seen {
		t.Error("the name is on no page")
	}
	// The fleet's pages have texts of their own: notes of codes and of plans, people's names, what somebody signs in as.
	if _, err := g.fleet.Desk().CreateCodes(enrolled.Operator(t.Context()), []fleet.NewCode{{Site: "s1", Note: script}}); err != nil {
		t.Fatal(err)
	}
	who := kept.Person{Name: "mallory", Display: script, Role: people.RoleViewer}
	if err := g.fleet.Registry().People().Add(enrolled.Operator(t.Context()), who, ""); err != nil {
		t.Fatal(err)
	}
	g.note(t, script)
	g.signIn(t, g.browser(t), script, guessed)
	for _, path := range []string{
		"/fleet", "/fleet/agents/s1/pc-1", "/fleet/join", "/fleet/work", "/fleet/releases", "/fleet/people", "/fleet/audit", "/fleet?q=" + url.QueryEscape(script),
		"/fleet/join?site=" + url.QueryEscape(script), "/api/v1/fleet", "/api/v1/people", "/api/v1/audit",
	} {
		page := g.get(t, c, path)
		harmless(t, path, page)
		if strings.HasPrefix(path, "/fleet") && path != "/fleet/releases" && !strings.Contains(page, "&lt;script&gt;alert(1)") {
			t.Errorf("%s shows no hostile name, so nothing was tried on it", path)
		}
	}
	status, sheet := do(t, c, http.MethodPost, g.fleet.URL()+"/fleet/codes", url.Values{"of": {"sites"}, "site": {"s1"}, "hours": {"24"}, "proof": {g.proof(t, c)}}.Encode(),
		"Content-Type", "application/x-www-form-urlencoded")
	if status != http.StatusOK || !strings.Contains(sheet, "&lt;script&gt;alert(1)") {
		t.Fatalf("the sheet of codes: %d", status)
	}
	harmless(t, "the sheet of codes", sheet)
}

// note makes the current plan anew with a note.
func (g *ground) note(t *testing.T, text string) {
	t.Helper()
	plan := "note: " + strconv.Quote(text) + "\ntemplates: {}\ngroups: []\n"
	if _, _, err := g.plans.Apply(enrolled.Operator(t.Context()), plans.Draft{Plan: &plan, Note: text, Base: -1}); err != nil {
		t.Fatal(err)
	}
}

// proof is what a form of a session carries.
func (g *ground) proof(t *testing.T, c *http.Client) string {
	t.Helper()
	_, after, ok := strings.Cut(g.get(t, c, "/fleet/join"), `name="proof" value="`)
	proof, _, _ := strings.Cut(after, `"`)
	if !ok || proof == "" {
		t.Fatal("the form has no proof")
	}
	return proof
}

// bring brings a device that names itself.
func bring(t *testing.T, g *ground, model string) {
	t.Helper()
	if status, answer := g.write(t, g.victim, g.fact("model", model), g.fact("serial", "FOC0001X"), g.fact("vendor", "Cisco")); status != http.StatusNoContent {
		t.Fatalf("%d %s", status, answer)
	}
}

func hostileDevice(t *testing.T, g *ground) {
	bring(t, g, script)
	c := g.signedIn(t)
	await(t, "the device on its page", func() bool {
		page := g.get(t, c, "/inventory")
		harmless(t, "/inventory", page)
		return strings.Contains(page, "&lt;script&gt;alert(1)")
	})
	for _, path := range []string{"/inventory/replace", "/inventory/verify", "/sites/s1", "/api/v1/inventory/devices"} {
		if status, page := do(t, c, http.MethodGet, g.fleet.URL()+path, ""); status == http.StatusOK {
			harmless(t, path, page)
		} else if status >= http.StatusInternalServerError {
			t.Errorf("%s: %d", path, status)
		}
	}
}

func formulas(t *testing.T, g *ground) {
	bring(t, g, formula)
	c := g.signedIn(t)
	var file string
	await(t, "the device in the file", func() bool {
		file = g.get(t, c, "/inventory.csv")
		return strings.Contains(file, "HYPERLINK")
	})
	if _, err := g.fleet.Machine("calculator").Enrol(t.Context(), g.code(t, g.fleet, "s2"), "pc-2"); err != nil { // of the site that is called a formula
		t.Fatal(err)
	}
	g.note(t, formula)
	g.signIn(t, g.browser(t), formula, guessed)
	for _, path := range []string{"/fleet/agents.csv", "/fleet/audit/record.csv"} {
		if !strings.Contains(g.get(t, c, path), "HYPERLINK") {
			t.Errorf("%s has no formula, so nothing was tried on it", path)
		}
	}
	for _, path := range []string{"/inventory.csv", "/reports.csv", "/fleet/agents.csv", "/fleet/audit/record.csv"} {
		file := g.get(t, c, path)
		for _, line := range strings.Split(strings.TrimPrefix(file, "\ufeff"), "\n") {
			for _, cell := range strings.FieldsFunc(line, func(r rune) bool { return r == ';' || r == ',' }) {
				if cell = strings.TrimLeft(cell, `"`); strings.HasPrefix(cell, "=") || strings.HasPrefix(cell, "@") {
					t.Errorf("%s: %s would be worked out", path, cell)
				}
			}
		}
	}
	for _, path := range []string{"/inventory.xlsx", "/reports.xlsx", "/fleet/agents.xlsx"} {
		noFormulas(t, path, g.get(t, c, path))
	}
}

// noFormulas looks for cells of a book that would be worked out.
func noFormulas(t *testing.T, path, book string) {
	t.Helper()
	z, err := zip.NewReader(strings.NewReader(book), int64(len(book)))
	if err != nil {
		t.Fatalf("%s: %.100q is no book: %v", path, book, err)
	}
	seen := false
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		seen = seen || bytes.Contains(text, []byte("HYPERLINK"))
		if bytes.Contains(text, []byte("<f>")) || bytes.Contains(text, []byte("<f ")) || bytes.Contains(text, []byte("<hyperlink")) {
			t.Errorf("%s has a formula in %s", path, f.Name)
		}
	}
	if !seen && path != "/reports.xlsx" { // which has no month to tell of yet
		t.Errorf("%s does not have the name that is a formula, so nothing was tried on it", path)
	}
}

func traversal(t *testing.T, g *ground) {
	c := g.signedIn(t)
	for _, path := range []string{
		"/static/../collector.yaml", "/static/..%2f..%2fcollector.yaml", "/static/%2e%2e/%2e%2e/etc/passwd", "/..%2fdata%2fregistry.db", "/sites/..%2f..%2fdata%2fauthority%2fauthorities.json",
		"/static//etc/passwd", "/static/..%5c..%5cregistry.db", "/api/v1/sites/..%2fauthority", "/reports/..%2f..%2fdata", "/inventory/devices/..%2f..%2f..%2fetc%2fpasswd",
		"/api/agent/v1/release/..%2f..%2fauthority%2fauthorities.json", "/fleet/agents/..%2f..%2fdata/pc", "/fleet/runs/..%2f..%2fregistry.db", "/fleet/work/versions/..%2f..%2fsecrets",
		"/fleet/audit/..%2f..%2f..%2fregistry.db", "/onsite/..%2f..%2fauthority", "/static/..%2fcollector.yaml",
	} {
		status, body := do(t, c, http.MethodGet, g.fleet.URL()+path, "")
		if status < http.StatusMultipleChoices || status >= http.StatusInternalServerError {
			t.Errorf("%s: %d", path, status)
		}
		for _, bad := range []string{"data_dir:", "root:", "SQLite format", "PRIVATE KEY"} {
			if strings.Contains(body, bad) {
				t.Errorf("%s shows a file", path)
			}
		}
	}
	if status, answer := g.write(t, g.victim, strings.Replace(g.fact("model", "x"), "device=main", "device=../x", 1)); status != http.StatusBadRequest {
		t.Errorf("a device called ../x: %d %s", status, answer)
	}
	if _, err := g.fleet.Machine("climber").Enrol(t.Context(), g.code(t, g.fleet, "s3"), "../../etc"); err == nil {
		t.Error("an agent called ../../etc")
	}
}

func injection(t *testing.T, g *ground) {
	c := g.browser(t)
	for _, name := range []string{"' OR '1'='1", "lan'--", `lan"; DROP TABLE people; --`} {
		if status, _ := g.signIn(t, c, name, "' OR '1'='1"); status != http.StatusUnauthorized && status != http.StatusTooManyRequests {
			t.Errorf("%s: %d", name, status)
		}
	}
	c = g.signedIn(t)
	for _, text := range []string{"' OR 1=1 --", "'; DROP TABLE sites; --", "s1' UNION SELECT 1 --"} {
		e := url.QueryEscape(text)
		for _, path := range []string{"/sites/" + url.PathEscape(text), "/api/v1/sites/" + url.PathEscape(text), "/inventory?q=" + e, "/inventory?site=" + e, "/reports?site=" + e, "/inventory/devices/" + url.PathEscape(text)} {
			if status, _ := do(t, c, http.MethodGet, g.fleet.URL()+path, ""); status >= http.StatusInternalServerError {
				t.Errorf("%s: %d", path, status)
			}
		}
	}
	if page := g.get(t, c, "/api/v1/sites"); !strings.Contains(page, `"s3"`) {
		t.Error("the sites are gone")
	}
	// What is written comes back as it was: by the command line's way, and by forms.
	const text = `x'); DROP TABLE agents; DELETE FROM plans; --`
	g.note(t, text)
	made, err := g.fleet.Desk().CreateCodes(enrolled.Operator(t.Context()), []fleet.NewCode{{Site: "s1", Note: text}})
	if err != nil {
		t.Fatal(err)
	}
	who := kept.Person{Name: "oscar", Display: text, Role: people.RoleViewer}
	if err := g.fleet.Registry().People().Add(enrolled.Operator(t.Context()), who, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := g.fleet.Machine("bobby").Enrol(t.Context(), made[0].Text, "pc'; DROP TABLE agents; --"); err == nil {
		t.Error("an agent has a statement for a name")
	}
	form := url.Values{"of": {"sites"}, "site": {text}, "hours": {"24"}, "note": {text}, "proof": {g.proof(t, c)}}.Encode()
	for path, form := range map[string]string{
		"/fleet/codes": form, "/fleet/codes/cancel": url.Values{"id": {text}, "proof": {g.proof(t, c)}}.Encode(),
		"/fleet/people": url.Values{"do": {"set"}, "name": {text}, "role": {"viewer"}, "proof": {g.proof(t, c)}}.Encode(),
		"/fleet/agents/s1/" + url.PathEscape(text) + "/revoke": url.Values{"why": {text}, "sure": {"1"}, "proof": {g.proof(t, c)}}.Encode(),
	} {
		if status, page := do(t, c, http.MethodPost, g.fleet.URL()+path, form, "Content-Type", "application/x-www-form-urlencoded"); status >= http.StatusInternalServerError {
			t.Errorf("%s: %d %.200s", path, status, page)
		}
	}
	for _, path := range []string{"/fleet?q=", "/fleet?show=", "/fleet/join?site=", "/fleet/audit?from=", "/fleet/audit?who=", "/api/v1/audit?who=", "/fleet/runs/", "/fleet/work/versions/"} {
		if status, _ := do(t, c, http.MethodGet, g.fleet.URL()+path+url.QueryEscape(text), ""); status >= http.StatusInternalServerError {
			t.Errorf("%s: %d", path, status)
		}
	}
	g.agent(t, "s1", "pc-1")
	for path, want := range map[string]string{"/fleet": "pc-1", "/fleet/people": html.EscapeString(text), "/fleet/join": html.EscapeString(text), "/fleet/work": html.EscapeString(text)} {
		if !strings.Contains(g.get(t, c, path), want) {
			t.Errorf("%s does not have %s any more", path, want)
		}
	}
}

// After all of it, no secret that was in use is in anybody's log.
func secretsInLogs(t *testing.T, g *ground) {
	if err := g.victim.Stop(); err != nil {
		t.Error(err)
	}
	secrets := []string{community, passphrase, lanSecret, guessed}
	secrets = append(secrets, g.sessions...)
	for _, code := range g.codes {
		c, err := enroll.ParseCode(code)
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, code, strings.ReplaceAll(code, "-", ""), fmt.Sprintf("%x", c.Secret), fmt.Sprint(c.Secret))
	}
	cfg := g.fleet.Config()
	keys := keysOf(t, cfg.AuthorityDir(), g.victim.Dir)
	if len(keys) < 4 {
		t.Fatalf("only %d lines of keys were found to look for", len(keys))
	}
	text := g.log.String()
	for i, secret := range slices.Concat(secrets, keys) {
		if strings.Contains(text, secret) {
			t.Errorf("secret %d (%.8s...) is in a log", i, secret)
		}
	}
	for _, part := range []string{"part=collector", "part=victim"} {
		if !strings.Contains(text, part) {
			t.Errorf("nothing of %s was logged, so nothing was searched", part)
		}
	}
}
