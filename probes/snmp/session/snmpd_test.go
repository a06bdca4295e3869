package session

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"communewatch/probes"
	"communewatch/probes/snmp/ask"
)

// snmpd starts net-snmp's agent on loopback and returns its address. It knows the community "thongtin" and the users
// "xem" (SHA-256, AES) and "cu" (MD5, DES), each with a passphrase of their own.
func snmpd(t *testing.T) string {
	t.Helper()
	bin, err := exec.LookPath("snmpd")
	if err != nil {
		bin = "/usr/sbin/snmpd" // not in everybody's PATH
		if _, err := os.Stat(bin); err != nil {
			t.Skip("snmpd is not installed; `make test` installs it")
		}
	}
	dir := t.TempDir()
	free, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.LocalAddr().String()
	free.Close()
	conf := filepath.Join(dir, "snmpd.conf")
	err = os.WriteFile(conf, []byte(strings.Join([]string{
		"agentaddress udp:" + address,
		"rocommunity thongtin 127.0.0.1",
		"createUser xem SHA-256 \"mat khau xac thuc\" AES \"mat khau ma hoa\"",
		"createUser cu MD5 \"mat khau cu cu\" DES \"mat khau cu hon\"",
		"rouser xem priv",
		"rouser cu priv",
		"sysName may-chu-xa",
		"sysLocation Phòng họp",
		"sysObjectID 1.3.6.1.4.1.8072.3.2.10",
	}, "\n")+"\n"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(bin, "-f", "-Lo", "-C", "-c", conf, "-p", filepath.Join(dir, "pid"))
	cmd.Env = append(os.Environ(), "SNMP_PERSISTENT_DIR="+dir, "MIBS=")
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	s := New(Options{Address: address, Version: V2c, Community: "thongtin", Timeout: 200 * time.Millisecond, Retries: 0})
	defer s.Close()
	for begin := time.Now(); ; {
		if _, err := s.Open(t.Context()); err == nil {
			return address
		} else if time.Since(begin) > 20*time.Second {
			log, _ := os.ReadFile(out.Name())
			t.Fatalf("snmpd does not answer: %v\n%s", err, log)
		}
		if probes.OutcomeOf(err) == probes.OutcomeRefused {
			<-time.After(20 * time.Millisecond) // nothing else says that it listens
		}
	}
}

func xem(address string) Options {
	return Options{Address: address, Version: V3, User: User{Name: "xem", Auth: "sha256", AuthKey: "mat khau xac thuc", Priv: "aes", PrivKey: "mat khau ma hoa"}}
}

func TestNetSNMP(t *testing.T) {
	address := snmpd(t)
	old := Options{Address: address, Version: V3, User: User{Name: "cu", Auth: "md5", AuthKey: "mat khau cu cu", Priv: "des", PrivKey: "mat khau cu hon"}}
	var counts []int
	for _, o := range []Options{
		{Address: address, Version: V1, Community: "thongtin"},
		{Address: address, Community: "thongtin"},
		xem(address), old,
	} {
		o.Memory = NewMemory()
		s := New(o)
		g, err := s.Open(t.Context())
		if err != nil {
			t.Errorf("version %q: %v", o.Version, err)
			continue
		}
		if g.ObjectID != "1.3.6.1.4.1.8072.3.2.10" || !strings.HasPrefix(g.Descr, "Linux") || g.Version != cmp.Or(o.Version, V2c) {
			t.Errorf("version %q: %+v", o.Version, g)
		}
		got, err := s.Get(t.Context(), "1.3.6.1.2.1.1.5.0", "1.3.6.1.2.1.1.77.0", "1.3.6.1.2.1.1.6.0")
		if err != nil || len(got) != 2 || got[0].Value.Text() != "may-chu-xa" || got[1].Value.Text() != "Phòng họp" {
			t.Errorf("version %q: get: %v, %v", o.Version, got, err)
		}
		vars, err := s.Walk(t.Context(), "1.3.6.1.2.1.2.2", 10_000)
		if err != nil || len(vars) < 20 {
			t.Errorf("version %q: ifTable: %d variables, %v", o.Version, len(vars), err)
		}
		for i := range vars {
			if i > 0 && vars[i].OID.Compare(vars[i-1].OID) <= 0 || !vars[i].OID.Below("1.3.6.1.2.1.2.2") {
				t.Errorf("version %q: %s out of order", o.Version, vars[i].OID)
			}
		}
		counts = append(counts, len(vars))
		// Of the tables of addresses and connections a busy machine has thousands of rows, so not all of mib-2.
		if vars, err = s.Walk(t.Context(), "1.3.6.1.2.1.11", 1000); err != nil || len(vars) < 20 {
			t.Errorf("version %q: snmp group: %d variables, %v", o.Version, len(vars), err)
		}
		if _, err := s.Walk(t.Context(), "1.3.6.1.2.1.2", 10); !errors.Is(err, ask.ErrPartial) {
			t.Errorf("version %q: %v", o.Version, err)
		}
		s.Close()
	}
	for _, n := range counts {
		if n != counts[0] {
			t.Errorf("the versions see tables of different sizes: %v", counts)
		}
	}
}

// What is wrong with the user's settings is said, and nothing secret with it.
func TestNetSNMPSaysWhatIsWrongWithAUser(t *testing.T) {
	address := snmpd(t)
	for _, c := range []struct {
		name    string
		change  func(*User)
		want    string
		outcome probes.Outcome
	}{
		{"user", func(u *User) { u.Name = "ai-do" }, "does not know the user", probes.OutcomeFailed},
		{"auth passphrase", func(u *User) { u.AuthKey = "secret but wrong" }, "auth protocol or its passphrase", probes.OutcomeFailed},
		{"auth protocol", func(u *User) { u.Auth = "sha1" }, "auth protocol or its passphrase", probes.OutcomeFailed},
		{"priv passphrase", func(u *User) { u.PrivKey = "secret but wrong" }, "priv protocol or its passphrase", probes.OutcomeFailed},
		{"level", func(u *User) { u.Priv = "" }, "right to read", probes.OutcomeFailed},
		{"short passphrase", func(u *User) { u.AuthKey = "" }, "passphrases", probes.OutcomeBadConfig},
	} {
		o := xem(address)
		o.Timeout, o.Retries = 300*time.Millisecond, 1
		c.change(&o.User)
		_, err := New(o).Open(t.Context())
		text := fmt.Sprint(err)
		if err == nil || !strings.Contains(text, c.want) || strings.Contains(text, "secret") || strings.Contains(text, "mat khau") {
			t.Errorf("%s: %v, want %q and no secret", c.name, err, c.want)
		}
		if got := probes.OutcomeOf(err); got != c.outcome {
			t.Errorf("%s: outcome %v, want %v", c.name, got, c.outcome)
		}
	}
}

func TestNetSNMPSaysThatItSpeaksVersionThree(t *testing.T) {
	o := Options{Address: snmpd(t), Version: V2c, Community: "thongtin"}
	if fact, sure := open(t, o).Protocols(t.Context()); fact.Value != "snmpv2c snmpv3" || !sure {
		t.Errorf("%+v, %v", fact, sure)
	}
}
