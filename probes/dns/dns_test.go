package dns

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"communewatch/probes"
	"communewatch/probes/bind"

	"golang.org/x/net/dns/dnsmessage"
)

// script decides what the test server does with the n-th question (from 1): the datagrams or stream message to send.
type script func(n int, network string, q dnsmessage.Message) [][]byte

// serve runs a DNS server on UDP and TCP of one loopback port.
func serve(t *testing.T, s script) string {
	t.Helper()
	var pc net.PacketConn
	var l net.Listener
	for try := 0; l == nil; try++ { // the port that UDP was given may be in use over TCP
		var err error
		if pc, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if l, err = net.Listen("tcp", pc.LocalAddr().String()); err != nil {
			if pc.Close(); try == 9 {
				t.Fatal(err)
			}
		}
	}
	var n atomic.Int32
	done := make(chan struct{}, 2)
	go func() {
		defer func() { done <- struct{}{} }()
		buf := make([]byte, 4096)
		for {
			k, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			var q dnsmessage.Message
			if q.Unpack(buf[:k]) != nil {
				continue
			}
			for _, a := range s(int(n.Add(1)), "udp", q) {
				pc.WriteTo(a, from)
			}
		}
	}()
	go func() {
		defer func() { done <- struct{}{} }()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			var size [2]byte
			if _, err := io.ReadFull(c, size[:]); err == nil {
				msg := make([]byte, binary.BigEndian.Uint16(size[:]))
				var q dnsmessage.Message
				if _, err := io.ReadFull(c, msg); err == nil && q.Unpack(msg) == nil {
					for _, a := range s(int(n.Add(1)), "tcp", q) {
						c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...))
					}
				}
			}
			c.Close()
		}
	}()
	t.Cleanup(func() { pc.Close(); l.Close(); <-done; <-done })
	return pc.LocalAddr().String()
}

// reply answers a question with A records.
func reply(q dnsmessage.Message, edit func(*dnsmessage.Message), addrs ...[4]byte) []byte {
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: q.ID, Response: true, RecursionAvailable: true},
		Questions: append([]dnsmessage.Question(nil), q.Questions...),
	}
	for _, a := range addrs {
		m.Answers = append(m.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: q.Questions[0].Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET, TTL: 1},
			Body:   &dnsmessage.AResource{A: a},
		})
	}
	if edit != nil {
		edit(&m)
	}
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

var portal = [4]byte{10, 1, 2, 3}

func options(address string, expect ...string) Options {
	o := DefaultOptions()
	o.Timeout = 300 * time.Millisecond
	o.Resolvers = []Resolver{{Name: "main", Address: address}}
	o.Expect = expect
	return o
}

func probe1(t *testing.T, o Options) ([]probes.Point, error) {
	t.Helper()
	p, err := New(probes.Target{Name: "x", Kind: probes.KindDNS, Address: "portal.test"}, bind.Binding{}, o)
	if err != nil {
		t.Fatal(err)
	}
	return p.Probe(context.Background())
}

func num(t *testing.T, p probes.Point, key string) float64 {
	t.Helper()
	f, ok := p.Field(key)
	if !ok {
		t.Fatalf("no field %s in %+v", key, p)
	}
	return f.Num
}

func TestAnswers(t *testing.T) {
	one := func(edit func(*dnsmessage.Message), addrs ...[4]byte) script {
		return func(_ int, _ string, q dnsmessage.Message) [][]byte { return [][]byte{reply(q, edit, addrs...)} }
	}
	for _, tc := range []struct {
		name    string
		script  script
		expect  []string
		outcome probes.Outcome
		rcode   float64
		answers float64
		in      string // in the error
	}{
		{"any answer", one(nil, portal), nil, probes.OutcomeOK, 0, 1, ""},
		{"expected", one(nil, portal), []string{"10.1.2.3"}, probes.OutcomeOK, 0, 1, ""},
		{"in prefix", one(nil, portal, [4]byte{10, 1, 9, 9}), []string{"10.1.0.0/16"}, probes.OutcomeOK, 0, 2, ""},
		{"one of two is foreign", one(nil, portal, [4]byte{8, 8, 8, 8}), []string{"10.1.0.0/16"}, probes.OutcomeFailed, 0, 2, "8.8.8.8"},
		{"no such name", one(func(m *dnsmessage.Message) { m.RCode = dnsmessage.RCodeNameError }), nil, probes.OutcomeFailed, 3, 0, "no such name: portal.test"},
		{"no record", one(nil), nil, probes.OutcomeFailed, 0, 0, "no A record"},
		{"refused without question", one(func(m *dnsmessage.Message) { m.RCode = dnsmessage.RCodeRefused; m.Questions = nil }), nil, probes.OutcomeFailed, 5, 0, "refused to answer"},
		{"forged ones first", func(_ int, _ string, q dnsmessage.Message) [][]byte {
			return [][]byte{
				reply(q, func(m *dnsmessage.Message) { m.ID++ }, [4]byte{6, 6, 6, 6}),
				reply(q, func(m *dnsmessage.Message) { m.Questions[0].Name = dnsmessage.MustNewName("other.test.") }, [4]byte{6, 6, 6, 6}),
				[]byte("garbage"),
				reply(q, nil, portal),
			}
		}, []string{"10.1.2.3"}, probes.OutcomeOK, 0, 1, ""},
		{"first question lost", func(n int, _ string, q dnsmessage.Message) [][]byte {
			if n == 1 {
				return nil
			}
			return [][]byte{reply(q, nil, portal)}
		}, nil, probes.OutcomeOK, 0, 1, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			points, err := probe1(t, options(serve(t, tc.script), tc.expect...))
			if got := probes.OutcomeOf(err); got != tc.outcome {
				t.Fatalf("outcome %v (%v), want %v", got, err, tc.outcome)
			}
			if err != nil && !strings.Contains(err.Error(), tc.in) {
				t.Errorf("error %q does not tell %q", err, tc.in)
			}
			if len(points) != 1 || points[0].Tags.Get("resolver") != "main" {
				t.Fatalf("points %+v", points)
			}
			if num(t, points[0], "rcode") != tc.rcode || num(t, points[0], "answers") != tc.answers {
				t.Errorf("got %+v", points[0])
			}
			if took := num(t, points[0], "query_seconds"); took <= 0 || took > 0.3 {
				t.Errorf("query_seconds = %v: it is the time of the try that was answered", took)
			}
		})
	}
}

func TestCutAnswerIsAskedAgainOverTCP(t *testing.T) {
	addr := serve(t, func(_ int, network string, q dnsmessage.Message) [][]byte {
		if network == "udp" {
			return [][]byte{reply(q, func(m *dnsmessage.Message) { m.Truncated = true })}
		}
		return [][]byte{reply(q, nil, portal, portal, portal)}
	})
	points, err := probe1(t, options(addr))
	if err != nil {
		t.Fatal(err)
	}
	if num(t, points[0], "truncated") != 1 || num(t, points[0], "answers") != 3 {
		t.Errorf("got %+v", points[0])
	}
}

func TestEachResolverIsJudgedApart(t *testing.T) {
	good := serve(t, func(_ int, _ string, q dnsmessage.Message) [][]byte { return [][]byte{reply(q, nil, portal)} })
	silent := serve(t, func(int, string, dnsmessage.Message) [][]byte { return nil })
	gone, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()

	o := options(good)
	o.Timeout = 100 * time.Millisecond
	o.Resolvers = append(o.Resolvers, Resolver{"silent", silent}, Resolver{"gone", gone.LocalAddr().String()})
	points, err := probe1(t, o)
	if probes.OutcomeOf(err) == probes.OutcomeOK {
		t.Fatal("two dead resolvers are not ok")
	}
	for _, want := range []string{"resolver silent", "resolver gone", "refused"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %q", want, err)
		}
	}
	var ok []float64
	for _, p := range points {
		ok = append(ok, num(t, p, "answer_ok"))
	}
	if len(ok) != 3 || ok[0] != 1 || ok[1] != 0 || ok[2] != 0 {
		t.Errorf("answer_ok = %v", ok)
	}

	o.Resolvers = o.Resolvers[1:2]
	if _, err := probe1(t, o); probes.OutcomeOf(err) != probes.OutcomeTimeout {
		t.Errorf("silence is %v (%v)", probes.OutcomeOf(err), err)
	}
}

func TestCancelEndsARun(t *testing.T) {
	o := options(serve(t, func(int, string, dnsmessage.Message) [][]byte { return nil }))
	o.Timeout, o.Tries = 20*time.Second, 5
	p, err := New(probes.Target{Address: "portal.test"}, bind.Binding{}, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := p.Probe(ctx); probes.OutcomeOf(err) != probes.OutcomeTimeout {
		t.Errorf("got %v", err)
	}
	if time.Since(start) > 5*time.Second {
		t.Error("the run went on after its context had ended")
	}
}

func TestValidate(t *testing.T) {
	good := options("10.0.0.53")
	for _, tc := range []struct {
		name string
		edit func(*Options, *probes.Target)
		at   string
	}{
		{"fine", func(*Options, *probes.Target) {}, ""},
		{"no name", func(_ *Options, t *probes.Target) { t.Address = "" }, "address"},
		{"a URL", func(_ *Options, t *probes.Target) { t.Address = "http://a/b" }, "address"},
		{"type", func(o *Options, _ *probes.Target) { o.Type = "a" }, "type"},
		{"timeout", func(o *Options, _ *probes.Target) { o.Timeout = 0 }, "timeout"},
		{"tries", func(o *Options, _ *probes.Target) { o.Tries = 0 }, "tries"},
		{"no resolvers", func(o *Options, _ *probes.Target) { o.Resolvers = nil }, "resolvers"},
		{"twice", func(o *Options, _ *probes.Target) { o.Resolvers = append(o.Resolvers, o.Resolvers[0]) }, "resolvers[1].name"},
		{"name for address", func(o *Options, _ *probes.Target) { o.Resolvers[0].Address = "dns.example" }, "resolvers[0].address"},
		{"prefix", func(o *Options, _ *probes.Target) { o.Expect = []string{"10.0.0.0/40"} }, "expect[0]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o, target := good, probes.Target{Address: "portal.test"}
			o.Resolvers = append([]Resolver(nil), good.Resolvers...)
			tc.edit(&o, &target)
			var places []string
			o.Validate(target, func(at, _ string, _ ...any) { places = append(places, at) })
			if got := strings.Join(places, " "); got != tc.at {
				t.Errorf("problems at %q, want %q", got, tc.at)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	p := &probe{name: dnsmessage.MustNewName("portal.test."), qtype: dnsmessage.TypeA, opts: DefaultOptions()}
	q := dnsmessage.Message{Header: dnsmessage.Header{ID: 7}, Questions: []dnsmessage.Question{{Name: p.name, Type: p.qtype, Class: dnsmessage.ClassINET}}}
	f.Add(reply(q, nil, portal))
	f.Add(bytes.Repeat([]byte{0xc0}, 40))
	f.Fuzz(func(t *testing.T, msg []byte) {
		a, cut, err := p.parse(msg, 7)
		if err == nil && !cut {
			_ = p.judge(a)
		}
	})
}

// Resolvers turn their answers round; the words for a wrong one must not turn with them.
func TestWordsForAWrongAnswerDoNotTurn(t *testing.T) {
	o := DefaultOptions()
	o.Resolvers, o.Expect = []Resolver{{Name: "r", Address: "192.0.2.53"}}, []string{"10.0.0.1"}
	pr, err := New(probes.Target{Name: "x", Kind: probes.KindDNS, Address: "a.test"}, bind.Binding{}, o)
	if err != nil {
		t.Fatal(err)
	}
	p := pr.(*probe)
	one, other := p.judge(answer{values: []string{"10.0.0.1", "10.0.0.3", "10.0.0.2"}}), p.judge(answer{values: []string{"10.0.0.2", "10.0.0.3", "10.0.0.1"}})
	if one == nil || other == nil || one.Error() != other.Error() {
		t.Errorf("%v, then %v", one, other)
	}
}
