package sip

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"communewatch/probes"
	"communewatch/probes/peertest"
)

// alive asks once, for a server that is starting.
func alive(t testing.TB, address string, edit func(*Options)) bool {
	_, err := ask(t, address, func(o *Options) {
		if edit != nil {
			edit(o)
		}
		o.Timeout = time.Second
	})
	return err == nil
}

// kamailio starts the SIP server of that name and returns its address, the same for UDP and TCP. With the files of a
// certificate and its key it speaks TLS alone.
func kamailio(t testing.TB, files ...string) string {
	program := peertest.Need(t, "kamailio")
	dir := t.TempDir()
	address := func(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
	port := peertest.Serve(t, func(port int) *exec.Cmd {
		listen := fmt.Sprintf("disable_tls=yes\nlisten=udp:%[1]s\nlisten=tcp:%[1]s\n", address(port))
		if len(files) > 0 {
			listen = fmt.Sprintf("enable_tls=yes\nlisten=tls:%s\nloadmodule \"tls.so\"\nmodparam(\"tls\", \"tls_method\", \"TLSv1.2+\")\nmodparam(\"tls\", \"certificate\", \"%s\")\nmodparam(\"tls\", \"private_key\", \"%s\")\n",
				address(port), files[0], files[1])
		}
		config := filepath.Join(dir, fmt.Sprintf("kamailio-%d.cfg", port))
		text := `#!KAMAILIO
debug=1
children=1
tcp_children=1
auto_aliases=no
` + listen + `
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "maxfwd.so"
request_route {
	if (!mf_process_maxfwd_header("10")) { sl_send_reply("483", "Too Many Hops"); exit; }
	if (is_method("OPTIONS")) { append_to_reply("Allow: INVITE, OPTIONS\r\n"); sl_send_reply("200", "OK"); exit; }
	sl_send_reply("500", "Not asked for");
}
`
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return exec.Command(program, "-f", config, "-DD", "-E", "-m", "32", "-M", "4", "-w", dir, "-Y", dir)
	}, func(port int) bool {
		if len(files) > 0 {
			return alive(t, address(port), func(o *Options) { o.Transport, o.SkipVerify = "tls", true })
		}
		return alive(t, address(port), nil) && alive(t, "sip:"+address(port)+";transport=tcp", nil)
	})
	return address(port)
}

func TestKamailio(t *testing.T) {
	at := kamailio(t)
	for _, transport := range []string{"udp", "tcp"} {
		for forwards, code := range map[int]float64{70: 200, 0: 483} {
			p, err := ask(t, at, func(o *Options) { o.Transport, o.MaxForwards = transport, forwards })
			if err != nil {
				t.Fatalf("%s, Max-Forwards %d: %v", transport, forwards, err)
			}
			got, _ := p.Field("code")
			agent, _ := p.Field("user_agent")
			if got.Num != code || !strings.HasPrefix(agent.Str, "kamailio (") {
				t.Errorf("%s, Max-Forwards %d: %s", transport, forwards, shown(p))
			}
			if allow, _ := p.Field("allow"); code == 200 && allow.Str != "INVITE, OPTIONS" {
				t.Errorf("%s: allow is %q", transport, allow.Str)
			}
		}
	}
}

func TestKamailioOverTLS(t *testing.T) {
	if found, _ := filepath.Glob("/usr/lib/*/kamailio/modules/tls.so"); len(found) == 0 {
		t.Skip("kamailio's TLS module is not installed; make needs does it")
	}
	cert, key := peertest.Certificate(t)
	at := kamailio(t, cert, key)
	for _, address := range []string{"sips:" + at, "sip:" + at + ";transport=tls"} {
		p, err := ask(t, address, func(o *Options) { o.CAFile = cert })
		if err != nil {
			t.Fatal(err)
		}
		if code, _ := p.Field("code"); code.Num != 200 {
			t.Errorf("%s: %s", address, shown(p))
		}
		if f, _ := p.Field("cert_expiry_seconds"); f.Num < 20*3600 || f.Num > 25*3600 {
			t.Errorf("%s: cert_expiry_seconds = %v, want a day", address, f.Num)
		}
		if f, ok := p.Field("tls_seconds"); !ok || f.Num <= 0 {
			t.Errorf("%s: tls_seconds = %+v", address, f)
		}
	}
	p, err := ask(t, "sips:"+at, nil)
	if f, _ := p.Field("connected"); probes.OutcomeOf(err) != probes.OutcomeFailed || f.Num != 1 || err.Error() != "certificate: signed by an unknown authority, peer" {
		t.Errorf("a certificate of nobody's: %v, %s", err, shown(p))
	}
}

// sipp starts the tester of that name, which answers each request by the status.
func sipp(t testing.TB, status, transport string) string {
	program := peertest.Need(t, "sipp")
	dir := t.TempDir()
	scenario := filepath.Join(dir, "scenario.xml")
	text := `<?xml version="1.0" encoding="UTF-8"?>
<scenario name="answer">
  <recv request="OPTIONS"></recv>
  <send><![CDATA[
    SIP/2.0 100 Trying
    [last_Via:]
    [last_From:]
    [last_To:]
    [last_Call-ID:]
    [last_CSeq:]
    Content-Length: 0

  ]]></send>
  <send><![CDATA[
    SIP/2.0 ` + status + `
    [last_Via:]
    [last_From:]
    [last_To:];tag=[pid]
    [last_Call-ID:]
    [last_CSeq:]
    Server: Room 1
    Content-Length: 0

  ]]></send>
</scenario>
`
	if err := os.WriteFile(scenario, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	address := func(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
	port := peertest.Serve(t, func(port int) *exec.Cmd {
		cmd := exec.Command(program, "-sf", scenario, "-i", "127.0.0.1", "-p", strconv.Itoa(port), "-cp", strconv.Itoa(port+1), "-nostdin",
			"-t", map[string]string{"udp": "u1", "tcp": "t1"}[transport])
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "TERM=xterm")
		return cmd
	}, func(port int) bool {
		return alive(t, address(port), func(o *Options) { o.Transport = transport })
	})
	return address(port)
}

func TestSIPp(t *testing.T) {
	for _, tc := range []struct{ transport, status string }{{"udp", "200 OK"}, {"udp", "486 Busy Here"}, {"tcp", "486 Busy Here"}} {
		t.Run(tc.transport+" "+tc.status, func(t *testing.T) {
			at := sipp(t, tc.status, tc.transport)
			p, err := ask(t, at, func(o *Options) { o.Transport = tc.transport })
			if err != nil {
				t.Fatal(err)
			}
			code, reason, _ := strings.Cut(tc.status, " ")
			if got := shown(p); !strings.Contains(got, " code="+code+" reason="+reason+" user_agent=Room 1") {
				t.Errorf("got %s", got)
			}
		})
	}
}

// BenchmarkKamailio tells how long a running server takes, start to end of a run.
func BenchmarkKamailio(b *testing.B) {
	at := kamailio(b)
	for _, transport := range []string{"udp", "tcp"} {
		b.Run(transport, func(b *testing.B) {
			var all []float64
			for b.Loop() {
				p, err := ask(b, at, func(o *Options) { o.Transport = transport })
				if err != nil {
					b.Fatal(err)
				}
				f, _ := p.Field("response_seconds")
				all = append(all, f.Num)
			}
			slices.Sort(all)
			b.ReportMetric(all[len(all)/2]*1000, "p50-ms")
			b.ReportMetric(all[len(all)*99/100]*1000, "p99-ms")
		})
	}
}
