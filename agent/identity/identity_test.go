package identity_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"communewatch/agent/identity"
	"communewatch/agent/identity/identitytest"
	"communewatch/probes/enroll"
)

// made is an identity kept in a folder, and the authority that it believes.
func made(t *testing.T, from, to time.Time) (dir string, set *identity.Set, ca *identitytest.Authority) {
	t.Helper()
	ca = identitytest.NewAuthority(t, from.Add(-time.Hour))
	dir = identity.Folder(t.TempDir())
	key, _, err := identity.NewKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	name := enroll.Name{Fleet: enroll.PinOf(ca.Cert).String(), Site: "s08707", Agent: "pc"}
	set = &identity.Set{Key: key, Collectors: []string{"https://127.0.0.1:8787"}}
	answer := &enroll.Answer{Site: name.Site, Agent: name.Agent, Certificate: identitytest.PEM(ca.Agent(&key.PublicKey, name, from, to)), Trust: enroll.Trust{Roots: identitytest.PEM(ca.Cert)}}
	if err := set.Accept(answer, ca.Cert); err != nil {
		t.Fatal(err)
	}
	if err := set.Write(dir); err != nil {
		t.Fatal(err)
	}
	return dir, set, ca
}

func TestWhatIsDamagedIsRefusedInClearWords(t *testing.T) {
	other, _, err := identity.NewKey(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		damage func(t *testing.T, dir, key string)
		want   string
	}{
		"key truncated": {func(t *testing.T, dir, key string) { truncate(t, filepath.Join(dir, key)) }, "the whole PEM of one private key"},
		"key empty":     {func(t *testing.T, dir, key string) { put(t, filepath.Join(dir, key), "") }, "the whole PEM of one private key"},
		"key gone":      {func(t *testing.T, dir, key string) { _ = os.Remove(filepath.Join(dir, key)) }, "no such file"},
		"key of another": {func(t *testing.T, dir, key string) {
			d, name, err := identity.NewKey(dir)
			if err != nil || d.Equal(other) {
				t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(dir, name), filepath.Join(dir, key)); err != nil {
				t.Fatal(err)
			}
		}, "not the key of the certificate"},
		"set truncated":  {func(t *testing.T, dir, _ string) { truncate(t, filepath.Join(dir, "identity.json")) }, "identity.json: unexpected EOF"},
		"set empty":      {func(t *testing.T, dir, _ string) { put(t, filepath.Join(dir, "identity.json"), "") }, "identity.json: EOF"},
		"set of nothing": {func(t *testing.T, dir, _ string) { put(t, filepath.Join(dir, "identity.json"), "{}") }, "certificate: 0 certificates"},
		"a way out": {func(t *testing.T, dir, key string) {
			file := filepath.Join(dir, "identity.json")
			put(t, file, strings.Replace(get(t, file), key, "../../../etc/shadow", 1))
		}, "not the name of a key's file"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, set, _ := made(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
			_ = set
			keys, _ := filepath.Glob(filepath.Join(dir, "key-*.pem"))
			secret := get(t, keys[0])
			c.damage(t, dir, filepath.Base(keys[0]))
			_, err := identity.Read(dir)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "enroll CODE --again") {
				t.Errorf("got %v, want %q and what to do", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), strings.Split(secret, "\n")[1]) {
				t.Error("the error shows the key")
			}
		})
	}
	if _, err := identity.Read(t.TempDir()); !errors.Is(err, identity.ErrNone) {
		t.Errorf("nothing there: %v", err)
	}
}

func truncate(t *testing.T, file string) { t.Helper(); s := get(t, file); put(t, file, s[:len(s)/2]) }

func put(t *testing.T, file, s string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(s), 0o600); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// What a crash left behind is of no harm, and goes.
func TestHalfWrittenFilesAreTidiedAway(t *testing.T) {
	dir, set, _ := made(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	put(t, filepath.Join(dir, "identity.json.tmp"), "{")
	if _, _, err := identity.NewKey(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := identity.Read(dir); err != nil {
		t.Fatal(err)
	}
	if err := set.Tidy(dir); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 2 {
		t.Errorf("%v is left, want the set and its key", left)
	}
	if _, err := identity.Read(dir); err != nil {
		t.Error(err)
	}
}

// handshake connects a client and a server.
func handshake(t *testing.T, client *tls.Config, server tls.Certificate) (shown []*x509.Certificate, err error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan []*x509.Certificate, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			got <- nil
			return
		}
		defer conn.Close()
		s := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{server}, ClientAuth: tls.RequestClientCert})
		if s.Handshake() == nil {
			_, _ = io.Copy(io.Discard, s)
		}
		got <- s.ConnectionState().PeerCertificates
	}()
	c, err := tls.Dial("tcp", l.Addr().String(), client)
	if err == nil {
		c.Close()
	}
	return <-got, err
}

func TestOnlyTheCollectorIsBelieved(t *testing.T) {
	now := time.Now()
	hour, year := time.Hour, 365*24*time.Hour
	dir, set, ca := made(t, now.Add(-hour), now.Add(90*24*hour))
	stranger := identitytest.NewAuthority(t, now.Add(-hour))
	agent := ca.Server("127.0.0.1", now.Add(-hour), now.Add(hour))
	agent.Leaf = ca.Agent(agent.Leaf.PublicKey, enroll.Name{Fleet: set.Name.Fleet, Site: "s1", Agent: "b"}, now.Add(-hour), now.Add(hour))
	agent.Certificate[0] = agent.Leaf.Raw
	for name, c := range map[string]struct {
		shown tls.Certificate
		clock time.Duration // of the machine
		want  error         // nil: is believed
		other bool          // another error
	}{
		"the collector":                     {shown: ca.Server("127.0.0.1", now.Add(-hour), now.Add(year))},
		"clock 20 years behind":             {shown: ca.Server("127.0.0.1", now.Add(-2*hour), now.Add(year)), clock: -20 * year},
		"clock 20 years ahead":              {shown: ca.Server("127.0.0.1", now.Add(-hour), now.Add(year)), clock: 20 * year, want: identity.ErrTime},
		"expired":                           {shown: ca.Server("127.0.0.1", now.Add(-hour), now.Add(-time.Minute)), want: identity.ErrTime},
		"not yet":                           {shown: ca.Server("127.0.0.1", now.Add(hour), now.Add(year)), want: identity.ErrTime},
		"another host":                      {shown: ca.Server("collector.example", now.Add(-hour), now.Add(year)), want: identity.ErrHost},
		"another authority":                 {shown: stranger.Server("127.0.0.1", now.Add(-hour), now.Add(year)), want: identity.ErrAuthority},
		"an agent that plays the collector": {shown: agent, other: true},
	} {
		t.Run(name, func(t *testing.T) {
			id := identity.New(dir, set, identity.Options{Now: func() time.Time { return now.Add(c.clock) }, Build: now.Add(-year)})
			shown, err := handshake(t, id.TLS("127.0.0.1"), c.shown)
			var refused *tls.CertificateVerificationError
			switch {
			case c.other && !errors.As(err, &refused), c.want != nil && (!errors.Is(err, c.want) || !errors.As(err, &refused)):
				t.Errorf("got %v, want %v", err, c.want)
			case c.want == nil && !c.other && (err != nil || len(shown) != 1 || !shown[0].Equal(set.Certificate)):
				t.Errorf("got %v; it showed %d certificates, want its own", err, len(shown))
			}
			select {
			case <-id.Doubt():
				if c.want != identity.ErrTime {
					t.Error("it doubts its clock for nothing")
				}
			default:
				if c.want == identity.ErrTime {
					t.Error("it does not doubt its clock")
				}
			}
		})
	}
}

// A renewed certificate is shown by the next connection, and outlives a restart.
func TestRenewedCertificateIsTheNextOneShown(t *testing.T) {
	now := time.Now()
	dir, set, ca := made(t, now.Add(-time.Hour), now.Add(time.Hour))
	id := identity.New(dir, set, identity.Options{})
	renewed := id.Renewed()
	config := id.TLS("127.0.0.1")
	server := ca.Server("127.0.0.1", now.Add(-time.Hour), now.Add(time.Hour))
	next := ca.Agent(&set.Key.PublicKey, set.Name, now.Add(-time.Minute), now.Add(24*time.Hour))
	second := identitytest.NewAuthority(t, now.Add(-time.Hour))
	answer := &enroll.Answer{Site: "s08707", Agent: "pc", Certificate: identitytest.PEM(next), Trust: enroll.Trust{Roots: identitytest.PEM(second.Cert)}}
	if err := id.Renew(answer, ca.Cert); err != nil {
		t.Fatal(err)
	}
	select {
	case <-renewed:
	default:
		t.Error("nobody is told")
	}
	if shown, err := handshake(t, config, server); err != nil || len(shown) != 1 || !shown[0].Equal(next) {
		t.Errorf("the old certificate is shown, or the authority that the collector still shows was dropped: %v", err)
	}
	if shown, err := handshake(t, config, second.Server("127.0.0.1", now.Add(-time.Hour), now.Add(time.Hour))); err != nil || !shown[0].Equal(next) {
		t.Errorf("the new authority is not believed: %v", err)
	}
	if kept, err := identity.Read(dir); err != nil || !kept.Certificate.Equal(next) || len(kept.Roots) != 2 {
		t.Errorf("kept %v, %v", kept, err)
	}
}

func TestAnswersThatAreNotForThisAgentAreRefused(t *testing.T) {
	now := time.Now()
	dir, set, ca := made(t, now.Add(-time.Hour), now.Add(time.Hour))
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	roots := enroll.Trust{Roots: identitytest.PEM(ca.Cert)}
	cert := func(key *ecdsa.PublicKey, site, agent, fleet string) string {
		return identitytest.PEM(ca.Agent(key, enroll.Name{Fleet: fleet, Site: site, Agent: agent}, now, now.Add(time.Hour)))
	}
	fleet := set.Name.Fleet
	id := identity.New(dir, set, identity.Options{})
	for name, a := range map[string]enroll.Answer{
		"another key":   {Site: "s08707", Agent: "pc", Certificate: cert(&stranger.PublicKey, "s08707", "pc", fleet), Trust: roots},
		"another site":  {Site: "s1", Agent: "pc", Certificate: cert(&set.Key.PublicKey, "s1", "pc", fleet), Trust: roots},
		"another fleet": {Site: "s08707", Agent: "pc", Certificate: cert(&set.Key.PublicKey, "s08707", "pc", strings.Repeat("a", 32)), Trust: roots},
		"two names":     {Site: "s08707", Agent: "pc", Certificate: cert(&set.Key.PublicKey, "s1", "pc", fleet), Trust: roots},
		"no agent's":    {Site: "s08707", Agent: "pc", Certificate: identitytest.PEM(ca.Cert), Trust: roots},
		"no authority":  {Site: "s08707", Agent: "pc", Certificate: cert(&set.Key.PublicKey, "s08707", "pc", fleet)},
	} {
		if err := id.Renew(&a, ca.Cert); err == nil {
			t.Errorf("%s: was taken", name)
		}
	}
	if kept, err := identity.Read(dir); err != nil || !kept.Certificate.Equal(set.Certificate) {
		t.Errorf("something was kept of them: %v", err)
	}
}

// What a collector tells of the time is used for what it is good for.
func TestWhatTheTimeIs(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	year := 365 * 24 * time.Hour
	for name, c := range map[string]struct {
		machine, told time.Duration // against now
		want          time.Duration // what is believed, against now
		later         time.Duration // what is believed if the machine's clock is at 1970 after the next start
	}{
		"two clocks that agree":           {0, time.Hour, 0, time.Hour},
		"a clock of 20 years ago":         {-20 * year, 0, 0, 0},
		"a clock that is 20 years ahead":  {20 * year, 0, 0, 0},
		"a collector that is years ahead": {0, 20 * year, 20 * year, -time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			dir, set, _ := made(t, now.Add(-time.Hour), now.Add(year))
			o := identity.Options{Now: func() time.Time { return now.Add(c.machine) }, Build: now.Add(-year)}
			id := identity.New(dir, set, o)
			id.Tell(now.Add(c.told))
			got := id.Now().Sub(now)
			if c.machine == 0 && c.told == time.Hour {
				got -= time.Hour // the floor
			}
			if (got - c.want).Abs() > time.Minute {
				t.Errorf("believes a time %v from now, want %v", got, c.want)
			}
			kept, err := identity.Read(dir)
			if err != nil {
				t.Fatal(err)
			}
			o.Now = func() time.Time { return time.Unix(0, 0) }
			if c.machine < 0 || c.told > year {
				return // an offset is known, which is tested by the next
			}
			if got := identity.New(dir, kept, o).Now().Sub(now); (got - c.later).Abs() > time.Minute {
				t.Errorf("in 1970 it believes a time %v from now, want %v", got, c.later)
			}
		})
	}
}

// A collector whose clock was wrong for a time must not be refused for ever after it was set right.
func TestCollectorWhoseClockWasWrongIsBelievedAgain(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	year := 365 * 24 * time.Hour
	dir, set, ca := made(t, now.Add(-time.Hour), now.Add(year))
	id := identity.New(dir, set, identity.Options{Now: func() time.Time { return now }, Build: now.Add(-year)})
	id.Tell(now.Add(20 * year))
	id.Tell(now.Add(time.Minute))
	if _, err := handshake(t, id.TLS("127.0.0.1"), ca.Server("127.0.0.1", now.Add(-time.Hour), now.Add(year))); err != nil {
		t.Error(err)
	}
}

// Somebody enrolls the machine anew while its agent runs. What the agent hears until it notices must not put the old identity
// in the place of the new one, whose key alone is still there.
func TestARunningAgentLeavesANewIdentityAlone(t *testing.T) {
	from, to := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	dir, old, ca := made(t, from, to)
	id := identity.New(dir, old, identity.Options{})
	key, _, err := identity.NewKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	name := old.Name
	name.Agent = "pc-2"
	next := &identity.Set{Key: key, Collectors: old.Collectors}
	answer := &enroll.Answer{Site: name.Site, Agent: name.Agent, Certificate: identitytest.PEM(ca.Agent(&key.PublicKey, name, from, to)), Trust: enroll.Trust{Roots: identitytest.PEM(ca.Cert)}}
	if err := errors.Join(next.Accept(answer, ca.Cert), next.Write(dir), next.Tidy(dir)); err != nil {
		t.Fatal(err)
	}
	other := identitytest.NewAuthority(t, from)
	if changed, err := id.Believe(&enroll.Trust{Roots: identitytest.PEM(ca.Cert, other.Cert)}, ca.Cert); err != nil || !changed {
		t.Fatalf("%v, %v", changed, err)
	}
	id.Tell(time.Now().Add(48 * time.Hour))
	id.Keep()
	now, err := identity.Read(dir)
	if err != nil || now.Name != name || len(now.Roots) != 1 {
		t.Errorf("the machine is %+v, %v", now, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "clock.json")); err == nil {
		t.Error("what the old one knows of the time was written down for the new one")
	}
}
