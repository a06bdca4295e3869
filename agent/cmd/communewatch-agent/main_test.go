package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	nethttp "net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"communewatch/agent/identity/identitytest"
	"communewatch/probes/dns"
	"communewatch/probes/h323"
	"communewatch/probes/http"
	"communewatch/probes/icmp"
	"communewatch/probes/machine"
	"communewatch/probes/presence"
	"communewatch/probes/sip"
	"communewatch/probes/snmp"
	"communewatch/probes/stun"
	"communewatch/probes/sweep"
	"communewatch/probes/tcp"
	"communewatch/probes/webrtc"

	"github.com/spf13/pflag"
)

func execTest(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = execute(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func listen(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// closed is an address that nobody listens on.
func closed(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func write(t *testing.T, config string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "agent.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

const head = "site: s1\nagent: pc\ncollectors: [{url: 'http://127.0.0.1:1', token: x}]\n"

func TestExitCodesAndMessages(t *testing.T) {
	up, down := listen(t), closed(t)
	good := write(t, head+fmt.Sprintf("checks: [{name: hub, kind: tcp, address: '%s', path: lan}]\n", up))
	mixed := write(t, head+fmt.Sprintf("checks:\n- {name: hub, kind: tcp, address: '%s', path: lan}\n- {name: gone, kind: tcp, address: '%s', path: broadband}\n", up, down))
	bad := write(t, "site: 7 7\n")
	for _, c := range []struct {
		name           string
		args           []string
		code           int
		stdout, stderr []string
	}{
		{"version", []string{"version"}, 0, []string{"communewatch-agent "}, nil},
		{"no such command", []string{"fly"}, 2, nil, []string{`unknown command "fly"`}},
		{"run needs a config", []string{"run"}, 2, nil, []string{`"config" not set`}},
		{"run with a config that is not there", []string{"run", "--config", "/no/such/file"}, 2, nil, []string{"/no/such/file"}},
		{"run with a bad config", []string{"run", "--config", bad}, 2, nil, []string{":1: site: name", "collectors: name 1 to 8"}},
		{"run with a bad level", []string{"run", "--config", good, "--log-level", "loud"}, 2, nil, []string{"use debug, info"}},
		{"a good config", []string{"check-config", "--config", good}, 0, []string{"OK: agent pc of site s1, 1 checks", "lan tcp: 1"}, nil},
		{"a bad config", []string{"check-config", "--config", bad}, 1, nil, []string{":1: site: name", "collectors: name 1 to 8"}},
		{"all checks up", []string{"check", "--config", good}, 0, []string{"OUTCOME", "hub", "ok", "connect "}, nil},
		{"a check down", []string{"check", "--config", mixed}, 1, []string{"gone", "refused", "connection refused"}, nil},
		{"check with a bad config", []string{"check", "--config", bad}, 2, nil, []string{":1: site"}},
		{"probe up", []string{"probe", "tcp", up}, 0, []string{"tcp " + up + ": ok", "connect", "path lan, unproven"}, nil},
		{"probe down", []string{"probe", "tcp", down}, 1, []string{"refused"}, nil},
		{"probe twice", []string{"probe", "tcp", up, "--count", "2", "--interval", "10ms", "--path", "dedicated"}, 0, []string{"path dedicated"}, nil},
		{"probe without device", []string{"probe", "tcp", up, "--device", "nosuchdev0"}, 2, []string{"unbound", "nosuchdev0"}, nil},
		{"probe of nothing", []string{"probe", "tcp"}, 2, nil, []string{"want one HOST:PORT, found 0", "for example"}},
		{"probe with wrong flags", []string{"probe", "tcp", "x", "--path", "wan", "--timeout", "1ns", "--source", "y"}, 2, nil,
			[]string{"target: ", "--path: \"wan\"", "--timeout: must be", "--source: \"y\""}},
		{"this machine", []string{"probe", "machine"}, 0, []string{"machine self: ok", "device self"}, nil},
		{"machine needs no target", []string{"probe", "machine", "10.0.0.1"}, 2, nil, []string{"want no arguments, found 1"}},
		{"sweep", []string{"probe", "sweep", "127.200.0.8/30", "--exclude", "127.200.0.9", "--rate", "500"}, 0, []string{"sweep 127.200.0.8/30: ok", "address  127.200.0.10  100 %, sweep"}, nil},
		{"sweep of the world", []string{"probe", "sweep", "0.0.0.0/0", "--rate", "0", "--community", "x", "--community-file", "y"}, 2, nil,
			[]string{"--allow: 0.0.0.0/0 is not a private range", "--rate: must be", "--community-file: give community"}},
		{"endpoint", []string{"probe", "h323", up}, 0, []string{"h323 " + up + ": ok", "connected  yes"}, nil},
		{"no SIP server", []string{"probe", "sip", "sip:" + down + ";transport=tcp"}, 1, []string{"refused", "transport  tcp", "connected  no"}, nil},
		{"no SIP server's name", []string{"probe", "sip", "http://10.0.0.1/", "--max-forwards", "99"}, 2, nil, []string{"target: ", "--max-forwards: must be"}},
		{"stun over what it is not", []string{"probe", "stun", "stuns:10.0.0.1", "--transport", "udp"}, 2, nil, []string{"target: ", "stuns is STUN over TLS, not over udp"}},
		{"probe of no kind", []string{"probe", "fax", "10.0.0.1"}, 2, nil, []string{"use icmp, tcp, ", "sip, stun", " or "}},
		{"wrong resolver", []string{"probe", "dns", "a.example", "--resolver", "not an address"}, 2, nil, []string{"--resolver: "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, errs := execTest(t, c.args...)
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			for _, want := range c.stdout {
				if !strings.Contains(out, want) {
					t.Errorf("stdout lacks %q:\n%s", want, out)
				}
			}
			for _, want := range c.stderr {
				if !strings.Contains(errs, want) {
					t.Errorf("stderr lacks %q:\n%s", want, errs)
				}
			}
			if len(c.stderr) == 0 && errs != "" {
				t.Errorf("stderr: %s", errs)
			}
		})
	}
}

func TestJSON(t *testing.T) {
	up, down := listen(t), closed(t)
	code, out, _ := execTest(t, "probe", "tcp", up, "--json")
	var one struct {
		Outcome, Error string
		Up             bool
		Fields         map[string]float64
	}
	if err := json.Unmarshal([]byte(out), &one); err != nil || code != 0 {
		t.Fatalf("exit code %d, %v: %s", code, err, out)
	}
	if one.Outcome != "ok" || !one.Up || one.Fields["connect_seconds"] <= 0 || one.Error != "" {
		t.Errorf("got %s", out)
	}
	config := write(t, head+fmt.Sprintf("checks:\n- {name: hub, kind: tcp, address: '%s', path: lan}\n- {name: gone, kind: tcp, address: '%s', path: lan}\n", up, down))
	code, out, _ = execTest(t, "check", "--config", config, "--json")
	var all []struct{ Target, Outcome, Error string }
	if err := json.Unmarshal([]byte(out), &all); err != nil || code != 1 || len(all) != 2 {
		t.Fatalf("exit code %d, %v: %s", code, err, out)
	}
	if all[0].Target != "hub" || all[1].Outcome != "refused" || all[1].Error == "" {
		t.Errorf("got %s", out)
	}
}

// A path of the settings file binds a probe that names it.
func TestProbeTakesPathsFromTheConfig(t *testing.T) {
	config := write(t, head+"paths: {dedicated: {source: 203.0.113.77}}\n")
	up := listen(t)
	if code, out, _ := execTest(t, "probe", "tcp", up, "--path", "dedicated", "--config", config); code != 2 || !strings.Contains(out, "203.0.113.77") {
		t.Errorf("exit code %d, want 2 because the source is not on this machine:\n%s", code, out)
	}
	if code, out, _ := execTest(t, "probe", "tcp", up, "--path", "lan", "--config", config); code != 0 {
		t.Errorf("exit code %d for the path that is not bound:\n%s", code, out)
	}
	if code, out, _ := execTest(t, "probe", "tcp", up, "--path", "dedicated", "--config", config, "--source", "127.0.0.1"); code != 0 {
		t.Errorf("exit code %d though --source overrides the config:\n%s", code, out)
	}
}

// Every flag leads to an option that exists, and shows the default that applies.
func TestFlagsMatchTheOptions(t *testing.T) {
	defaults := map[string]any{"icmp": icmp.DefaultOptions(), "tcp": tcp.DefaultOptions(), "dns": dns.DefaultOptions(), "http": http.DefaultOptions(),
		"machine": machine.DefaultOptions(), "snmp": snmp.DefaultOptions(), "sweep": sweep.DefaultOptions(),
		"sip": sip.DefaultOptions(), "stun": stun.DefaultOptions(), "h323": h323.DefaultOptions(), "webrtc": webrtc.DefaultOptions()}
	for _, k := range probeKinds() {
		options := map[string]reflect.Value{}
		var look func(v reflect.Value, at string)
		look = func(v reflect.Value, at string) {
			for i := range v.NumField() {
				key := at + v.Type().Field(i).Tag.Get("yaml")
				options[key] = v.Field(i)
				switch typ := v.Type().Field(i).Type; { // keys within a key
				case typ.Kind() == reflect.Struct:
					look(v.Field(i), key+".")
				case typ.Kind() == reflect.Pointer:
					look(reflect.Zero(typ.Elem()), key+".")
				}
			}
		}
		look(reflect.ValueOf(defaults[string(k.kind)]), "")
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		k.flags(flags)
		flags.VisitAll(func(f *pflag.Flag) {
			option, ok := options[k.options[f.Name]]
			if !ok {
				t.Errorf("%s: --%s leads to the option %q, which does not exist", k.kind, f.Name, k.options[f.Name])
			} else if option.Kind() != reflect.Slice && fmt.Sprint(option) != f.DefValue {
				t.Errorf("%s: --%s shows the default %s, but %v applies", k.kind, f.Name, f.DefValue, option)
			}
		})
	}
}

// An agent that runs goes over to another collector when its machine is enrolled there.
func TestRunGoesOnAsWhoTheMachineIsEnrolledAnew(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	dir := t.TempDir()
	config := write(t, "state_dir: '"+dir+"'\nspool: {min_free: 0}\n")
	join := func(name string, more ...string) (heard chan string) {
		t.Helper()
		heard = make(chan string, 100)
		c := identitytest.NewCollector(t, time.Now)
		c.Set(func(s *identitytest.State) {
			s.Next = nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
				if r.URL.Path == presence.Path {
					heard <- r.TLS.PeerCertificates[0].Subject.CommonName
				}
				w.WriteHeader(nethttp.StatusNoContent)
			})
		})
		if code, out, errs := execTest(t, append([]string{"enroll", c.Code().String(), "--config", config, "--name", name}, more...)...); code != 0 {
			t.Fatalf("%s%s", out, errs)
		}
		return heard
	}
	first := join("pc-1")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	var said bytes.Buffer
	go func() { ended <- execute(ctx, []string{"run", "--config", config}, &said, &said) }()
	defer func() {
		stop()
		if code := <-ended; code != 0 {
			t.Errorf("exit code %d:\n%s", code, said.String())
		}
	}()
	if name := <-first; name != "pc-1" {
		t.Errorf("it says that it is %s", name)
	}
	if name := <-join("pc-2", "--again"); name != "pc-2" {
		t.Errorf("enrolled anew it says that it is %s", name)
	}
}

// The window of enroll was closed before anybody approved: the service joins by itself.
func TestRunJoinsOnceItIsApproved(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	dir := t.TempDir()
	config := write(t, "state_dir: '"+dir+"'\nspool: {min_free: 0}\n")
	c, heard := identitytest.NewCollector(t, time.Now), make(chan string, 100)
	c.Set(func(s *identitytest.State) {
		s.Pending = true
		s.Next = nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
			if r.URL.Path == presence.Path {
				heard <- r.TLS.PeerCertificates[0].Subject.CommonName
			}
			w.WriteHeader(nethttp.StatusNoContent)
		})
	})
	typed, closed := context.WithCancel(t.Context())
	defer closed()
	var said bytes.Buffer
	_ = execute(typed, []string{"enroll", c.Code().String(), "--config", config, "--name", "pc"}, closing{closed}, &said)
	c.Set(func(s *identitytest.State) { s.Pending = false })
	long := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "identity", "joining.json"), long, long); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() { ended <- execute(ctx, []string{"run", "--config", config}, &said, &said) }()
	if name := <-heard; name != "pc" {
		t.Errorf("it says that it is %s", name)
	}
	stop()
	if code := <-ended; code != 0 || !strings.Contains(said.String(), "service goes on") || !strings.Contains(said.String(), "somebody approves") {
		t.Errorf("exit code %d:\n%s", code, said.String())
	}
}

// closing is a window that is closed as soon as it says what is waited for.
type closing struct{ close func() }

func (w closing) Write(data []byte) (int, error) {
	if strings.Contains(string(data), "approves") {
		w.close()
	}
	return len(data), nil
}
