package fingerprint

import (
	"io"
	"log"
	"strings"
	"testing"
	"unicode/utf8"

	"communewatch/probes"
)

func quietLog() *log.Logger { return log.New(io.Discard, "", 0) }

func sound(t *testing.T, text string) {
	t.Helper()
	if len(text) > probes.MaxText || !utf8.ValidString(text) || strings.ContainsAny(text, "\x00\r\n\t") || text != strings.TrimSpace(text) {
		t.Errorf("%q is not fit to be a fact", text)
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{"  a\x00\x00 b\r\n": "a b", "caf\xe9": "café", "\xff\xfe": "ÿþ", "a\u200bb": "a b", "Tiếng Việt": "Tiếng Việt", "": ""} {
		if got := clean([]byte(in)); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	long := clean([]byte(strings.Repeat("é", 5000)))
	if len(long) > probes.MaxText || !utf8.ValidString(long) || len(long) < probes.MaxText-2 {
		t.Errorf("a long text became %d bytes", len(long))
	}
}

func TestRealm(t *testing.T) {
	for in, want := range map[string]string{`Basic realm="TP-LINK, Router"`: "TP-LINK, Router", `Digest qop="auth", realm="DS-2CD2032", nonce="x"`: "DS-2CD2032", "Basic realm=plain, x=y": "plain", "Negotiate": "", "": ""} {
		if got := realmOf([]string{in}); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestPage(t *testing.T) {
	for in, want := range map[string][2]string{
		"<html><title>A &amp; B</title>":                                       {"A & B", ""},
		"<title></title><script>window.location.href = '/cgi/login';</script>": {"", "/cgi/login"},
		`<script>top.location.replace("/x.asp")</script>`:                      {"", "/x.asp"},
		`<META HTTP-EQUIV="Refresh" CONTENT="3;URL='/a b'">`:                   {"", "/a"},
		"<title>no end":                      {"", ""},
		"<TITLE\n>\n\ttwo\n lines </TITLE >": {"two lines", ""},
	} {
		p := parsePage([]byte(in))
		if p.title != want[0] || p.onwards != want[1] {
			t.Errorf("%q: got %q, %q", in, p.title, p.onwards)
		}
	}
}

func FuzzPage(f *testing.F) {
	f.Add([]byte("<title>RouterOS router configuration page</title><h1>RouterOS v6.48.6</h1>"))
	f.Add([]byte(`<meta http-equiv=refresh content="0;url=/login"><script>location='/x'</script>`))
	f.Add([]byte("<title>\xff\x00&#0;&#x110000;</title>"))
	rules := builtIn(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		p := parsePage(body)
		sound(t, p.title)
		sound(t, p.onwards)
		for _, fact := range append(rules.apply(HTTPTitle, p.title, "x"), rules.apply(HTTPBody, p.body, "x")...) {
			sound(t, fact.Value)
		}
	})
}

func FuzzSIP(f *testing.F) {
	f.Add([]byte("SIP/2.0 200 OK\r\nCall-ID: a\r\nUser-Agent: PolycomRealPresenceGroup500/6.2.2\r\n\r\n"))
	f.Add([]byte("SIP/2.0 405\r\ni: b\r\nServer: x\r\n folded\r\n\r\n"))
	f.Add([]byte(" \r\n: x\r\n\t\r\n"))
	rules := builtIn(f)
	f.Fuzz(func(t *testing.T, packet []byte) {
		r, ok := parseSIP(packet)
		if !ok {
			return
		}
		if r.code < 100 || r.code > 699 {
			t.Errorf("code %d", r.code)
		}
		sound(t, r.agent)
		for _, fact := range rules.apply(SIPAgent, r.agent, "x") {
			sound(t, fact.Value)
		}
	})
}

func FuzzGreetings(f *testing.F) {
	for _, s := range []string{"SSH-2.0-ROSSSH\r\n", "x\nSSH-1.99-Cisco-1.25\n", "\xff\xfd\x18\xff\xfa\x18\x01\xff\xf0login: ", "\xff", "220-FTP\r\n220 ready\r\n", "RTSP/1.0 200 OK\r\nServer: x\r\n\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, heard []byte) {
		banner, tokens := parseSSH(heard)
		if (banner != "") != (len(tokens) > 0) {
			t.Errorf("banner %q, tokens %v", banner, tokens)
		}
		sound(t, banner)
		text, _ := parseTelnet(heard)
		sound(t, text)
		text, _ = parseFTP(heard)
		sound(t, text)
		if header, ok := parseRTSP(heard); ok {
			sound(t, clean([]byte(header.Get("Server"))))
		}
	})
}
