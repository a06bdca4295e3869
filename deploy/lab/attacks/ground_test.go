package attacks_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aead.dev/minisign"
	"go.uber.org/goleak"

	"communewatch/agent/identity"
	"communewatch/collector/fleet"
	"communewatch/collector/people"
	"communewatch/collector/people/password"
	"communewatch/collector/plans"
	kept "communewatch/collector/registry/people"
	"communewatch/deploy/lab/enrolled"
	"communewatch/inventory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	patience = 90 * time.Second

	script  = `<script>alert(1)</script>`
	formula = `=HYPERLINK("http://evil.example","x")`

	// What must be in no log.
	community  = "planted-community-9vq2"
	passphrase = "planted-passphrase-7kd1"
	lanSecret  = "planted-password-3xw8"
	guessed    = "planted-guess-5hz4"
)

// journal is what all parts of the run log, at every level.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

// ground is a fleet that is attacked, and another one, of which the attackers are.
type ground struct {
	fleet, other *enrolled.Fleet
	log          *journal

	victim   *enrolled.Machine // agent pc-1 of s1; it runs
	foreign  *enrolled.Machine // agent pc-1 of s1 of the other fleet
	plans    *plans.Service
	expired  string   // a join code
	codes    []string // of the run: the expired one, the victim's, and others
	sessions []string // secrets of those who signed in
	maker    minisign.PrivateKey
	pinned   string // the maker's public key: of the fleet's collector, and of agents that take releases
}

func openFleet(t *testing.T, log io.Writer, settings string) *enrolled.Fleet {
	t.Helper()
	f, err := enrolled.Open(t.Context(), enrolled.Options{
		Dir: t.TempDir(), Sites: []inventory.Site{{ID: "s1", Name: script, Parent: script}, {ID: "s2", Name: formula}, {ID: "s3", Name: "Xuân Hoà"}}, Settings: settings,
		Log: slog.New(slog.NewTextHandler(io.MultiWriter(log, t.Output()), &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func newGround(t *testing.T) *ground {
	t.Helper()
	g := &ground{log: new(journal)}
	public, private, err := minisign.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	g.maker, g.pinned = private, public.String()
	g.fleet, g.other = openFleet(t, g.log, fmt.Sprintf("updates: {enabled: true, keys: ['%s']}\n", g.pinned)), openFleet(t, g.log, "")
	g.addPerson(t, "lan", lanSecret)
	g.expired = g.code(t, g.fleet, "s1")
	g.fleet.Wait(49 * time.Hour)
	for _, f := range []*enrolled.Fleet{g.fleet, g.other} {
		if err := f.Start(); err != nil {
			t.Fatal(err)
		}
	}
	g.victim, g.foreign = g.fleet.Machine("victim"), g.other.Machine("foreign")
	if _, err := g.victim.Enrol(t.Context(), g.code(t, g.fleet, "s1"), "pc-1"); err != nil {
		t.Fatal(err)
	}
	if _, err := g.foreign.Enrol(t.Context(), g.code(t, g.other, "s1"), "pc-1"); err != nil {
		t.Fatal(err)
	}
	cfg := g.fleet.Config()
	g.plans = plans.Of(g.fleet.Registry(), cfg.DataDir, plans.Options{Loopback: true, Zone: cfg.Location(), Now: g.fleet.Now, Log: slog.New(slog.DiscardHandler)})
	for name, secret := range map[string]string{"community": community, "pass": passphrase} {
		if err := g.plans.SetSecret(enrolled.Operator(t.Context()), name, secret); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.victim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.victim.Stop(); err != nil {
			t.Error(err)
		}
	})
	return g
}

func (g *ground) addPerson(t *testing.T, name, secret string) {
	t.Helper()
	hash, err := password.New(password.DefaultCost(), 1).Hash(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	who := kept.Person{Name: name, Role: people.RoleAdmin, Password: true}
	if err := g.fleet.Registry().People().Add(enrolled.Operator(t.Context()), who, hash); err != nil {
		t.Fatal(err)
	}
}

// code makes a join code and remembers it.
func (g *ground) code(t *testing.T, f *enrolled.Fleet, site string) string {
	t.Helper()
	made, err := f.Desk().CreateCodes(enrolled.Operator(t.Context()), []fleet.NewCode{{Site: site}})
	if err != nil {
		t.Fatal(err)
	}
	g.codes = append(g.codes, made[0].Text)
	return made[0].Text
}

// as is a client that shows a machine's certificate, whoever answers.
func (g *ground) as(t *testing.T, m *enrolled.Machine) *http.Client {
	t.Helper()
	set, err := identity.Read(m.Identity())
	if err != nil {
		t.Fatal(err)
	}
	shown := &tls.Certificate{Certificate: [][]byte{set.Certificate.Raw}, PrivateKey: set.Key}
	// Shown whether or not the server names its authority among those that it likes.
	return client(t, &tls.Config{InsecureSkipVerify: true, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return shown, nil }})
}

func client(t *testing.T, cfg *tls.Config) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{TLSClientConfig: cfg}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Jar: jar, Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// browser is a client that believes the fleet's authority, as people set theirs up.
func (g *ground) browser(t *testing.T) *http.Client {
	t.Helper()
	return client(t, g.believing())
}

// believing is how those connect who believe the fleet's authority.
func (g *ground) believing() *tls.Config {
	return &tls.Config{RootCAs: g.fleet.Roots(), Time: g.fleet.Now}
}

// signedIn is a browser of the administrator's.
func (g *ground) signedIn(t *testing.T) *http.Client {
	t.Helper()
	c := g.browser(t)
	if status, body := g.signIn(t, c, "lan", lanSecret); status != http.StatusSeeOther {
		t.Fatalf("sign-in: %d %.300s", status, body)
	}
	for _, cookie := range g.cookies(t, c) {
		g.sessions = append(g.sessions, cookie.Value)
	}
	return c
}

// cookies are those that a browser keeps of the collector's; at least one.
func (g *ground) cookies(t *testing.T, c *http.Client) []*http.Cookie {
	t.Helper()
	at, err := url.Parse(g.fleet.URL())
	if err != nil {
		t.Fatal(err)
	}
	list := c.Jar.Cookies(at)
	if len(list) == 0 {
		t.Fatal("there is no cookie of a session")
	}
	return list
}

func (g *ground) signIn(t *testing.T, c *http.Client, name, secret string) (int, string) {
	t.Helper()
	return do(t, c, http.MethodPost, g.fleet.URL()+"/sign-in", url.Values{"name": {name}, "password": {secret}}.Encode(),
		"Content-Type", "application/x-www-form-urlencoded")
}

func do(t *testing.T, c *http.Client, method, address, body string, headers ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func (g *ground) get(t *testing.T, c *http.Client, path string) string {
	t.Helper()
	status, body := do(t, c, http.MethodGet, g.fleet.URL()+path, "")
	if status != http.StatusOK {
		t.Fatalf("%s: %d %.300s", path, status, body)
	}
	return body
}

// write sends rows as a machine's agent.
func (g *ground) write(t *testing.T, m *enrolled.Machine, lines ...string) (int, string) {
	t.Helper()
	return do(t, g.as(t, m), http.MethodPost, g.fleet.URL()+"/api/v2/write?org=communewatch&bucket=communewatch", strings.Join(lines, "\n"))
}

// fact is a row of what a device says that it is.
func (g *ground) fact(name, value string) string {
	return fmt.Sprintf(`equipment,agent=pc-1,device=main,fact=%s,path=lan,site=s1,target=switch value="%s",source="snmp 1.2",confidence_ratio=0.9 %d`,
		name, strings.ReplaceAll(value, `"`, `\"`), g.fleet.Now().UnixNano())
}

func (g *ground) verdict(site string) string {
	return fmt.Sprintf(`check,agent=pc-1,kind=tcp,layer=lan,path=lan,site=%s,target=router outcome="ok",up=true,took_seconds=0.01,interval_seconds=30,path_proof="bound" %d`,
		site, g.fleet.Now().UnixNano())
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for begin := time.Now(); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Since(begin) > patience {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// keysOf are the lines of all private keys below a folder.
func keysOf(t *testing.T, dirs ...string) (lines []string) {
	t.Helper()
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text := strings.ReplaceAll(string(data), `\n`, "\n") // keys in JSON too
			for rest := text; ; {
				_, after, ok := strings.Cut(rest, "PRIVATE KEY-----\n")
				if !ok {
					return nil
				}
				body, end, ok := strings.Cut(after, "-----END")
				if ok {
					lines = append(lines, strings.Fields(body)...)
				}
				rest = end
				_, rest, _ = strings.Cut(rest, "PRIVATE KEY-----")
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return lines
}
