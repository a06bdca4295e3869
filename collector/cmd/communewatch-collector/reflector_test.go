package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestMistakesOfTheReflectorsCommandLine(t *testing.T) {
	dir := t.TempDir()
	empty := write(t, dir, "empty", "# none yet\n")
	weak := write(t, dir, "weak", "\n123\n")
	good := "--token=0123456789abcdef"
	for name, c := range map[string]struct {
		args   []string
		stderr string
	}{
		"no token":          {nil, "give --token-file FILE, or --token TOKEN"},
		"weak token":        {[]string{"--token", "secret"}, "token 1: a token of 6 bytes"},
		"no tokens in file": {[]string{"--token-file", empty}, "holds no token"},
		"weak in file":      {[]string{"--token-file", weak}, "weak: line 2: a token of 3 bytes"},
		"no such file":      {[]string{"--token-file", "/no/such"}, "/no/such"},
		"half TLS":          {[]string{good, "--cert", "x.pem"}, "--cert and --key go together"},
		"no certificate":    {[]string{good, "--cert", "/no/such", "--key", "/no/such"}, "--cert: open /no/such"},
		"bad media":         {[]string{good, "--listen", "127.0.0.1:0", "--media", ":8788"}, `":8788": want address:port`},
		"media elsewhere":   {[]string{good, "--listen", "127.0.0.1:0", "--media", "192.0.2.1:8788"}, "media: listen udp 192.0.2.1:8788"},
		"bad address":       {[]string{good, "--address", "hub"}, `--address: "hub"`},
		"two addresses":     {[]string{good, "--address", "192.0.2.1", "--address", "192.0.2.2"}, "at most one IPv4"},
		"no sessions":       {[]string{good, "--max-sessions", "0"}, "--max-sessions: 0: must be 1 or more"},
		"little time":       {[]string{good, "--max-lifetime", "1m"}, "--max-lifetime: 1m0s: must be between 5m and 24h"},
		"an argument":       {[]string{"x"}, `unknown command "x"`},
	} {
		code, out, errs := run(t, append([]string{"reflector"}, c.args...)...)
		if code != 1 || out != "" {
			t.Errorf("%s: exit code %d, want 1; printed %q", name, code, out)
		}
		contains(t, name, errs, c.stderr)
	}
}

func TestTheReflectorAlone(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	out, in := io.Pipe()
	var errs bytes.Buffer
	code := make(chan int, 1)
	go func() {
		code <- execute(ctx, []string{"reflector", "--listen", "127.0.0.1:0", "--media", "127.0.0.1:0", "--token", "0123456789abcdef"}, in, &errs)
		in.Close()
	}()
	said := make([]byte, 200)
	n, err := out.Read(said)
	if err != nil {
		t.Fatal(err, errs.String())
	}
	m := regexp.MustCompile(`^calls at (http://127\.0\.0\.1:\d+)/whip/echo, media at 127\.0\.0\.1:\d+ \(UDP and TCP\)\n$`).FindStringSubmatch(string(said[:n]))
	if m == nil {
		t.Fatalf("it says %q", said[:n])
	}
	for _, c := range []struct {
		path, token, want string
		status            int
	}{
		{"/whip/status", "0123456789abcdef", `"accepting":true`, 200},
		{"/whip/status", "0123456789abcdeF", "unknown token", 401},
		{"/metrics", "", "communewatch_reflector_sessions_max 200", 200},
		{"/", "", "", 404},
	} {
		req, _ := http.NewRequest("GET", m[1]+c.path, nil)
		req.Header.Set("Authorization", "Bearer "+c.token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != c.status || !strings.Contains(string(body), c.want) {
			t.Errorf("%s: %s %.200q", c.path, resp.Status, body)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	stop()
	select {
	case got := <-code:
		if got != 0 {
			t.Errorf("exit code %d: %s", got, errs.String())
		}
	case <-time.After(30 * time.Second):
		t.Fatal("it does not stop")
	}
	contains(t, "stderr", errs.String(), "everybody on this machine can read --token")
}
