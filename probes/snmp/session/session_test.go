package session

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"communewatch/probes"
	"communewatch/probes/snmp/ask"
	"communewatch/probes/snmp/recording"

	"github.com/google/go-cmp/cmp"
	"github.com/gosnmp/gosnmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func itoa(n int) string { return strconv.Itoa(n) }

func open(t *testing.T, o Options) *Session {
	t.Helper()
	s := New(o)
	t.Cleanup(func() { s.Close() })
	if _, err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEveryTypeComesBackAsItWasSent(t *testing.T) {
	odd := []ask.Var{
		{OID: "1.3.6.1.4.1.5.1.0", Value: num(ask.Integer, 1<<64-5)},
		{OID: "1.3.6.1.4.1.5.2.0", Value: text("Phòng họp xã")},
		{OID: "1.3.6.1.4.1.5.3.0", Value: text("caf\xe9\x00\x00")},
		{OID: "1.3.6.1.4.1.5.4.0", Value: text("")},
		{OID: "1.3.6.1.4.1.5.5.0", Value: ask.Value{Type: ask.ObjectID, Bytes: []byte("1.3.6.1.4.1.9.1.4294967295")}},
		{OID: "1.3.6.1.4.1.5.6.0", Value: ask.Value{Type: ask.IPAddress, Bytes: []byte{10, 0, 0, 255}}},
		{OID: "1.3.6.1.4.1.5.7.0", Value: num(ask.Counter32, 1<<32-1)},
		{OID: "1.3.6.1.4.1.5.8.0", Value: num(ask.Gauge32, 1<<31)},
		{OID: "1.3.6.1.4.1.5.9.0", Value: num(ask.TimeTicks, 1<<32-1)},
		{OID: "1.3.6.1.4.1.5.10.0", Value: num(ask.Counter64, 1<<64-1)},
		{OID: "1.3.6.1.4.1.5.11.0", Value: text(strings.Repeat("long ", 9000))},
	}
	f := &fake{rec: recording.New(append(slices.Clone(table(1).Vars()), odd...))}
	s := open(t, options(f.start(t)))
	vars, err := s.Walk(t.Context(), "1.3.6.1.4.1.5", 100)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(odd, vars); diff != "" {
		t.Error(diff)
	}
	got, err := s.Get(t.Context(), odd[2].OID, "1.3.6.1.4.1.6.0", odd[0].OID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]ask.Var{odd[2], odd[0]}, got); diff != "" {
		t.Error(diff)
	}
	if vars, err := s.Walk(t.Context(), odd[0].OID, 5); err != nil || len(vars) != 1 {
		t.Errorf("walk of a scalar by its full name: %v, %v", vars, err)
	}
	if st := s.Stats(); st.Retries != 0 || st.Variables < len(odd)+3 || st.Unread != 0 {
		t.Errorf("%+v", st)
	}
}

func TestGate(t *testing.T) {
	f := &fake{rec: table(1), community: "secret-one"}
	o := options(f.start(t))
	o.Community = "secret-one"
	s := New(o)
	defer s.Close()
	g, err := s.Open(t.Context())
	want := Greeting{Version: V2c, Descr: "a device of the test's own", ObjectID: "1.3.6.1.4.1.99999.1", Uptime: num(ask.TimeTicks, 4711)}
	if diff := cmp.Diff(want, g); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if asks, _ := f.seen(); len(asks) != 1 {
		t.Errorf("the gate took %d requests, want 1", len(asks))
	}

	o.Community = "secret-two"
	o.Version = V2c
	_, err = New(o).Open(t.Context())
	if probes.OutcomeOf(err) != probes.OutcomeTimeout || !strings.Contains(err.Error(), "community") || strings.Contains(err.Error(), "secret") {
		t.Errorf("wrong community: %v", err)
	}

	dead, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	start := time.Now()
	o = options(dead.LocalAddr().String())
	o.Timeout = 20 * time.Second
	_, err = New(o).Open(t.Context())
	if probes.OutcomeOf(err) != probes.OutcomeRefused || time.Since(start) > 10*time.Second {
		t.Errorf("nobody listens: %v after %s", err, time.Since(start))
	}

	for _, address := range []string{"10.0.0.1", "10.0.0.1:0", ":161", "10.0.0.1:70000"} {
		if _, err := New(options(address)).Open(t.Context()); probes.OutcomeOf(err) != probes.OutcomeBadConfig {
			t.Errorf("address %q: %v", address, err)
		}
	}
	if _, err := New(o).Get(t.Context(), sysDescr); err == nil {
		t.Error("a session that is not open answers")
	}
}

func TestVersionOneWhereTwoIsNotAnswered(t *testing.T) {
	f := &fake{rec: table(40), versions: "1"}
	o := options(f.start(t))
	o.Memory = NewMemory()
	s := open(t, o)
	if s.greeting.Version != V1 {
		t.Fatalf("answered version %q", s.greeting.Version)
	}
	vars, err := s.Walk(t.Context(), column, 100)
	if err != nil || len(vars) != 40 {
		t.Errorf("%d rows, %v", len(vars), err)
	}
	// Version 1 refuses a question whole for each variable that is not there.
	got, err := s.Get(t.Context(), "1.3.6.1.9.1.0", sysUpTime, "1.3.6.1.9.2.0", "1.3.6.1.9.3.0", sysDescr)
	if err != nil || len(got) != 2 {
		t.Errorf("get: %v, %v", got, err)
	}
	vars, err = s.Walk(t.Context(), "1.3.6.1.4.1.1", 100) // the last of all: its end is an error of version 1
	if err != nil || len(vars) != 1 {
		t.Errorf("walk to the end: %v, %v", vars, err)
	}

	before, _ := f.seen()
	open(t, o)
	if after, _ := f.seen(); len(after) != len(before)+1 {
		t.Errorf("the next session sent %d packets to find out what is known, want 1", len(after)-len(before))
	}
}

func TestWalkSeesTheEnd(t *testing.T) {
	for _, rows := range []int{0, 1, 19, 20, 21, 500} {
		s := open(t, options((&fake{rec: table(rows)}).start(t)))
		vars, err := s.Walk(t.Context(), column, 1000)
		if err != nil || len(vars) != rows {
			t.Errorf("%d rows: %d came, %v", rows, len(vars), err)
		}
		for i, v := range vars {
			if v.Value.Num != uint64(i) {
				t.Fatalf("row %d is %+v", i, v)
			}
		}
	}
	s := open(t, options((&fake{rec: table(500)}).start(t)))
	for _, limit := range []int{0, 1, 20, 499, 500} {
		vars, err := s.Walk(t.Context(), column, limit)
		if len(vars) != limit || errors.Is(err, ask.ErrPartial) != (limit < 500) {
			t.Errorf("at most %d: %d came, %v", limit, len(vars), err)
		}
	}
	if vars, err := s.Walk(t.Context(), "", 10_000); err != nil || len(vars) != 505 {
		t.Errorf("all: %d came, %v", len(vars), err)
	}
}

// Above some repetitions a device says tooBig, is silent, or cuts its answers off. Each time all rows come, and
// the next session knows.
func TestWalkShrinksWhatBreaksTheDevice(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault func(limit int) func(q *gosnmp.SnmpPacket, right []byte) []byte
		bend  func(limit int) func(q, a *gosnmp.SnmpPacket)
	}{
		{name: "tooBig", bend: func(limit int) func(q, a *gosnmp.SnmpPacket) {
			return func(q, a *gosnmp.SnmpPacket) {
				if len(a.Variables) > limit {
					a.Error, a.Variables = gosnmp.TooBig, nil
				}
			}
		}},
		{name: "genErr", bend: func(limit int) func(q, a *gosnmp.SnmpPacket) {
			return func(q, a *gosnmp.SnmpPacket) {
				if len(a.Variables) > limit {
					a.Error, a.Variables = gosnmp.GenErr, q.Variables
				}
			}
		}},
		{name: "silent", fault: func(limit int) func(q *gosnmp.SnmpPacket, right []byte) []byte {
			return func(q *gosnmp.SnmpPacket, right []byte) []byte {
				if int(q.MaxRepetitions) > limit || len(q.Variables) > max(limit, 3) { // three is the gate
					return nothing
				}
				return nil
			}
		}},
		{name: "truncated", fault: func(limit int) func(q *gosnmp.SnmpPacket, right []byte) []byte {
			return func(q *gosnmp.SnmpPacket, right []byte) []byte {
				if int(q.MaxRepetitions) > limit || len(q.Variables) > limit {
					return right[:len(right)/2]
				}
				return nil
			}
		}},
		{name: "empty", bend: func(limit int) func(q, a *gosnmp.SnmpPacket) {
			return func(q, a *gosnmp.SnmpPacket) {
				if len(a.Variables) > limit {
					a.Variables = nil
				}
			}
		}},
	} {
		for _, limit := range []int{1, 3, 12} {
			t.Run(c.name+" above "+itoa(limit), func(t *testing.T) {
				f := &fake{rec: table(60)}
				if c.fault != nil {
					f.fault = c.fault(limit)
				}
				if c.bend != nil {
					f.bend = c.bend(limit)
				}
				o := options(f.start(t))
				o.Timeout = 150 * time.Millisecond
				o.Version = V2c
				o.Memory = NewMemory()
				s := open(t, o)
				vars, err := s.Walk(t.Context(), column, 1000)
				if err != nil || len(vars) != 60 {
					t.Errorf("%d of 60 rows came, %v", len(vars), err)
				}
				got, err := s.Get(t.Context(), sysUpTime, sysDescr, sysObjectID, vars[0].OID, vars[1].OID)
				if err != nil || len(got) != 5 && c.name != "empty" {
					t.Errorf("get: %d of 5 variables came, %v", len(got), err)
				}
				_, before := f.seen()
				if _, err := open(t, o).Walk(t.Context(), column, 2); !errors.Is(err, ask.ErrPartial) {
					t.Error(err)
				}
				_, after := f.seen()
				for _, reps := range after[len(before):] {
					if reps > limit {
						t.Errorf("the next session asked for %d at once again", reps)
					}
				}
			})
		}
	}
}

func TestTheModelsLimitIsFoundAndKept(t *testing.T) {
	const limit = 8
	f := &fake{rec: table(400), fault: func(q *gosnmp.SnmpPacket, _ []byte) []byte {
		if int(q.MaxRepetitions) > limit {
			return nothing
		}
		return nil
	}}
	o := options(f.start(t))
	o.Timeout = 100 * time.Millisecond
	o.Memory = NewMemory()
	for range 4 {
		if vars, err := open(t, o).Walk(t.Context(), column, 1000); err != nil || len(vars) != 400 {
			t.Fatalf("%d rows, %v", len(vars), err)
		}
	}
	_, reps := f.seen()
	over := 0
	for _, r := range reps {
		if r > limit {
			over++
		}
	}
	if over > 6 {
		t.Errorf("ran %d times into a limit that should be known by then", over)
	}
	_, before := f.seen()
	if _, err := open(t, o).Walk(t.Context(), column, 1000); err != nil {
		t.Fatal(err)
	}
	_, after := f.seen()
	if m := slices.Max(after[len(before):]); m > limit {
		t.Errorf("still asks for %d at once", m)
	}
}

// A table that does not end as tables do is what came of it, and said to be incomplete.
func TestPartialTables(t *testing.T) {
	rows := func(n int, q, a *gosnmp.SnmpPacket) bool { // the answer to the page that holds row n
		at := ask.OID(strings.TrimPrefix(q.Variables[0].Name, "."))
		return q.PDUType != gosnmp.GetRequest && at.Below(column) && len(a.Variables) > 0 &&
			at.Compare(ask.OID(string(column)+"."+itoa(n))) >= 0
	}
	for _, c := range []struct {
		name  string
		bend  func(q, a *gosnmp.SnmpPacket)
		fault func(q *gosnmp.SnmpPacket, right []byte) []byte
		want  string
		atMin int
	}{
		{name: "backwards", want: "goes backwards", atMin: 20, bend: func(q, a *gosnmp.SnmpPacket) {
			if rows(15, q, a) {
				a.Variables[0].Name = "." + string(column) + ".3"
			}
		}},
		{name: "standing still", want: "goes backwards", atMin: 20, bend: func(q, a *gosnmp.SnmpPacket) {
			if rows(15, q, a) {
				a.Variables = []gosnmp.SnmpPDU{{Name: q.Variables[0].Name, Type: gosnmp.Integer, Value: 1}}
			}
		}},
		{name: "an error at one row", want: "genErr", atMin: 20, bend: func(q, a *gosnmp.SnmpPacket) {
			if rows(25, q, a) {
				a.Error = gosnmp.GenErr
			}
		}},
		{name: "hangs at one row", want: "no answer", atMin: 20, fault: func(q *gosnmp.SnmpPacket, _ []byte) []byte {
			if rows(25, q, q) {
				return nothing
			}
			return nil
		}},
		{name: "endless", want: "more than 100 variables", atMin: 100, bend: func(q, a *gosnmp.SnmpPacket) {
			if rows(1, q, a) {
				last, _ := strconv.Atoi(string(ask.OID(strings.TrimPrefix(q.Variables[0].Name, ".")).Index(column)))
				a.Variables = nil
				for i := range 10 {
					a.Variables = append(a.Variables, gosnmp.SnmpPDU{Name: "." + string(column) + "." + itoa(last+1+i), Type: gosnmp.Integer, Value: 1})
				}
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fake{rec: table(60), bend: c.bend, fault: c.fault}
			o := options(f.start(t))
			o.Timeout = 150 * time.Millisecond
			s := open(t, o)
			vars, err := s.Walk(t.Context(), column, 100)
			if !errors.Is(err, ask.ErrPartial) || !strings.Contains(err.Error(), c.want) || len(vars) < c.atMin {
				t.Errorf("%d rows, %v; want %q", len(vars), err, c.want)
			}
			if got, err := s.Get(t.Context(), sysUpTime); err != nil || len(got) != 1 {
				t.Errorf("and the session is over: %v", err)
			}
		})
	}
}

// A device that dies during a session costs its timeouts once.
func TestTheDeviceDies(t *testing.T) {
	var dead bool
	var mu sync.Mutex
	f := &fake{rec: table(60), fault: func(*gosnmp.SnmpPacket, []byte) []byte {
		mu.Lock()
		defer mu.Unlock()
		if dead {
			return nothing
		}
		return nil
	}}
	o := options(f.start(t))
	o.Timeout = 150 * time.Millisecond
	s := open(t, o)
	mu.Lock()
	dead = true
	mu.Unlock()
	if _, err := s.Walk(t.Context(), column, 100); !errors.Is(err, ask.ErrPartial) || probes.OutcomeOf(err) != probes.OutcomeTimeout {
		t.Errorf("walk: %v", err)
	}
	before, _ := f.seen()
	for range 50 {
		if _, err := s.Walk(t.Context(), column, 100); !errors.Is(err, ask.ErrPartial) {
			t.Errorf("walk: %v", err)
		}
		if _, err := s.Get(t.Context(), sysDescr, sysUpTime); probes.OutcomeOf(err) != probes.OutcomeTimeout {
			t.Errorf("get: %v", err)
		}
	}
	if after, _ := f.seen(); len(after) != len(before) {
		t.Errorf("%d more packets were sent to a dead device", len(after)-len(before))
	}
}

func TestGarbageAndStrangersAreNotBelieved(t *testing.T) {
	long := strings.Repeat("x", 60_000)
	for name, fault := range map[string]func(q *gosnmp.SnmpPacket, right []byte) []byte{
		"text":          func(*gosnmp.SnmpPacket, []byte) []byte { return []byte("HTTP/1.1 400 Bad Request\r\n\r\n") },
		"one byte":      func(*gosnmp.SnmpPacket, []byte) []byte { return []byte{0x30} },
		"a huge length": func(*gosnmp.SnmpPacket, []byte) []byte { return []byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff} },
		"the question":  func(q *gosnmp.SnmpPacket, _ []byte) []byte { b, _ := q.MarshalMsg(); return b },
		"another's answer": func(q *gosnmp.SnmpPacket, _ []byte) []byte {
			p := gosnmp.SnmpPacket{Version: q.Version, Community: q.Community, PDUType: gosnmp.GetResponse, RequestID: q.RequestID + 77,
				Variables: []gosnmp.SnmpPDU{{Name: "." + string(sysUpTime), Type: gosnmp.TimeTicks, Value: uint32(1)}}}
			b, _ := p.MarshalMsg()
			return b
		},
		"long": func(*gosnmp.SnmpPacket, []byte) []byte { return []byte(long) },
	} {
		t.Run(name, func(t *testing.T) {
			o := options((&fake{rec: table(1), fault: fault}).start(t))
			o.Timeout = 150 * time.Millisecond
			if _, err := New(o).Open(t.Context()); err == nil || len(err.Error()) > 300 {
				t.Errorf("%v", err)
			}
		})
	}

	// From another port than the one asked, a correct answer is a stranger's.
	other, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	asked, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	f := &fake{rec: table(1)}
	go func() {
		defer close(done)
		buf := make([]byte, 2000)
		for {
			n, from, err := asked.ReadFrom(buf)
			if err != nil {
				return
			}
			other.WriteTo(f.answer(t, buf[:n]), from)
		}
	}()
	o := options(asked.LocalAddr().String())
	o.Timeout = 150 * time.Millisecond
	if _, err := New(o).Open(t.Context()); probes.OutcomeOf(err) != probes.OutcomeTimeout {
		t.Errorf("a stranger's answer: %v", err)
	}
	asked.Close()
	<-done
}

func TestALateAnswerIsAnAnswer(t *testing.T) {
	var mu sync.Mutex
	var kept []byte
	f := &fake{rec: table(1), fault: func(_ *gosnmp.SnmpPacket, right []byte) []byte {
		mu.Lock()
		defer mu.Unlock()
		if kept == nil { // keeps the first, and sends it when it is asked again
			kept = right
			return nothing
		}
		return kept
	}}
	s := New(options(f.start(t)))
	defer s.Close()
	if _, err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Requests != 2 || st.Retries != 1 {
		t.Errorf("%+v", st)
	}
}

func TestWhoIsCutOffStops(t *testing.T) {
	f := &fake{rec: table(1), fault: func(*gosnmp.SnmpPacket, []byte) []byte { return nothing }}
	o := options(f.start(t))
	o.Timeout = time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := New(o).Open(ctx); probes.OutcomeOf(err) != probes.OutcomeTimeout {
		t.Errorf("deadline: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(30*time.Millisecond, cancel)
	if _, err := New(o).Open(ctx); probes.OutcomeOf(err) != probes.OutcomeCanceled {
		t.Errorf("canceled: %v", err)
	}
}

// Thirty devices at once, five of them dead: each of the living is read whole while the dead are still waited for.
func TestTheDeadDelayNobody(t *testing.T) {
	memory := NewMemory()
	ctx, cancel := context.WithCancel(t.Context())
	type end struct {
		rows int
		err  error
	}
	living, dead := make(chan end), make(chan end)
	for i := range 30 {
		f, ends := &fake{rec: table(200)}, living
		if i < 5 {
			f.fault = func(*gosnmp.SnmpPacket, []byte) []byte { return nothing }
			ends = dead
		}
		o := options(f.start(t))
		o.Memory, o.Timeout = memory, time.Hour
		go func() {
			s := New(o)
			defer s.Close()
			_, err := s.Open(ctx)
			var vars []ask.Var
			if err == nil {
				vars, err = s.Walk(ctx, column, 1000)
			}
			ends <- end{len(vars), err}
		}()
	}
	for range 25 {
		select {
		case e := <-living:
			if e.rows != 200 || e.err != nil {
				t.Errorf("a living device: %+v", e)
			}
		case e := <-dead:
			t.Errorf("a dead device: %+v", e)
		}
	}
	cancel()
	for range 5 {
		if e := <-dead; probes.OutcomeOf(e.err) != probes.OutcomeCanceled {
			t.Errorf("a dead device: %+v", e)
		}
	}
}

func TestTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		for i := range silentGates {
			if g := m.enter("a", time.Now()); g.wait > 0 || g.silent > 0 {
				t.Errorf("after %d silent gates: %+v", i, g)
			}
			m.silent("a", time.Now())
		}
		waited := time.Duration(0)
		for range 20 {
			g := m.enter("a", time.Now())
			if g.wait < minWait || g.wait > maxWait || g.wait < waited {
				t.Fatalf("waits %s after %s", g.wait, waited)
			}
			waited = g.wait
			time.Sleep(g.wait)
			if g = m.enter("a", time.Now()); g.wait > 0 || g.silent == 0 {
				t.Fatalf("when it is time again: %+v", g)
			}
			m.silent("a", time.Now())
		}
		if waited != maxWait {
			t.Errorf("waits %s in the end", waited)
		}
		m.answered("a", V1)
		if g := m.enter("a", time.Now()); g != (gateState{version: V1}) {
			t.Errorf("after an answer: %+v", g)
		}
		if g := m.enter("b", time.Now()); g != (gateState{}) {
			t.Errorf("of another device: %+v", g)
		}
	})
}

func TestSecretsAreNotPrinted(t *testing.T) {
	o := Options{Address: "10.0.0.1:161", Community: "secret-1", User: User{Name: "xem", AuthKey: "secret-2", PrivKey: "secret-3"}}
	for _, s := range []string{fmt.Sprint(o), fmt.Sprintf("%+v %#v %v %#v %s", o, o, o.User, &o.User, &o)} {
		if strings.Contains(s, "secret") || !strings.Contains(s, "xem") {
			t.Errorf("printed: %s", s)
		}
	}
}

func TestALimitIsTriedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		m.failed("x", 20, true)
		m.failed("x", 10, false) // the device said so itself, of this page
		if m.ceiling("x") != maxReps || m.reps("x") != 5 {
			t.Errorf("one lost packet limits the model to %d, from %d", m.ceiling("x"), m.reps("x"))
		}
		m.failed("x", 20, true)
		if m.ceiling("x") != 19 {
			t.Errorf("twice silent at 20: ceiling %d", m.ceiling("x"))
		}
		time.Sleep(limitHolds)
		if m.ceiling("x") != maxReps {
			t.Errorf("after hours still %d", m.ceiling("x"))
		}
		m.failed("x", 20, true)
		if m.ceiling("x") != maxReps {
			t.Error("an old failure counts with a new one")
		}
		m.worked("x", 15)
		m.worked("x", 40)
		if m.reps("x") != firstReps {
			t.Errorf("begins with %d", m.reps("x"))
		}
	})
}

func TestADeadDeviceCostsNothing(t *testing.T) {
	f := &fake{rec: table(1), fault: func(*gosnmp.SnmpPacket, []byte) []byte { return nothing }}
	o := options(f.start(t))
	o.Timeout = 20 * time.Millisecond
	o.Memory = NewMemory()
	for range 40 {
		if _, err := New(o).Open(t.Context()); probes.OutcomeOf(err) != probes.OutcomeTimeout {
			t.Fatal(err)
		}
	}
	if asks, _ := f.seen(); len(asks) != silentGates*3 { // version 2c twice and version 1 once each time
		t.Errorf("%d packets to a dead device", len(asks))
	}
}

func TestTheMemoryIsBounded(t *testing.T) {
	m := NewMemory()
	for i := range maxDevices + 100 {
		m.answered(itoa(i), V2c)
		m.silent("s"+itoa(i), time.Time{})
		m.failed("1."+itoa(i), 10, true)
	}
	if len(m.devices) > maxDevices || len(m.models) > maxModels {
		t.Errorf("%d devices, %d models", len(m.devices), len(m.models))
	}
	var none *Memory
	none.answered("a", V1)
	none.silent("a", time.Time{})
	none.failed("1", 1, true)
	none.worked("1", 1)
	if none.reps("1") != firstReps || none.ceiling("1") != maxReps || none.enter("a", time.Time{}) != (gateState{}) {
		t.Error("no memory remembers")
	}
}

func FuzzAnswers(f *testing.F) {
	p := gosnmp.SnmpPacket{Version: gosnmp.Version2c, Community: "c", PDUType: gosnmp.GetResponse, RequestID: 1,
		Variables: []gosnmp.SnmpPDU{pdu(table(1).Vars()[0]), pdu(table(1).Vars()[1])}}
	b, err := p.MarshalMsg()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{0x30, 0x80})
	f.Fuzz(func(t *testing.T, data []byte) {
		client, server := net.Pipe()
		defer client.Close()
		go func() {
			defer server.Close()
			buf := make([]byte, 2000)
			if n, err := server.Read(buf); err == nil && n > 0 {
				server.Write(data)
			}
		}()
		g := &gosnmp.GoSNMP{Target: "127.0.0.1", Port: 1, Version: gosnmp.Version2c, Timeout: time.Second, MaxOids: 60}
		if err := g.Connect(); err != nil {
			t.Fatal(err)
		}
		g.Conn.Close()
		g.Conn = client
		g.SetRequestID(0)
		s := &Session{opts: Options{Version: V2c}, conn: g, reps: 10, chunk: 10}
		a, err := s.exchange(t.Context(), question{oids: []ask.OID{sysDescr}, next: true, reps: 10}, 0)
		if err != nil {
			return
		}
		for _, v := range a.vars {
			if _, err := ask.ParseOID(string(v.OID)); err != nil {
				t.Errorf("an OID that is none: %v", err)
			}
			if len(v.Value.Text()) > ask.MaxText {
				t.Error("a text that is too long")
			}
		}
	})
}
