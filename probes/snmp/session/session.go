// Package session asks a live device over SNMP (RFC 3416 for the questions, RFC 3414 for the users of version 3).
//
// SNMP is one UDP packet each way, and nobody says when one was lost. So silence has many meanings: the device is off,
// its SNMP is off, a filter stands between, the community is wrong (agents drop what they are not to answer), or the
// answer was too large for the device or for the line. A session therefore begins with a gate, one small question that
// every agent can answer, and nothing else is asked of a device that does not pass it. Later silence is looked at the
// same way: if the gate still answers, the question was too large and is halved; if not, the device is gone and the
// session is over.
//
// A table is read by GETBULK, whose max-repetitions says how many variables one answer may hold. Old gear breaks on
// many; how many a model bears is remembered, see Memory. The end of a table is only believed when it was seen: a
// variable behind it, or the end of everything. All else is ask.ErrPartial.
//
// What comes back is read by gosnmp, which is fenced: a packet that makes it panic is an answer that can't be read.
package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	"communewatch/probes"
	"communewatch/probes/bind"
	"communewatch/probes/snmp/ask"

	"github.com/gosnmp/gosnmp"
)

// Version is a version of the protocol.
type Version string

// The versions.
const (
	Auto Version = ""   // version 2c, and 1 where it is not answered
	V1   Version = "1"  // RFC 1157
	V2c  Version = "2c" // RFC 1901
	V3   Version = "3"  // RFC 3414
)

// Options of a session.
type Options struct {
	Address   string        // host:port
	Version   Version       // with V3 the User counts, else the Community
	Community string        // a secret
	User      User          // of version 3
	Bind      bind.Binding  // the path the packets take
	Timeout   time.Duration // for one answer; 0 is 2 s
	Retries   int           // times that a question is sent again; below 0 is none
	Memory    *Memory       // what is known of devices and models; nil: nothing, and nothing is learned
}

// User is a user of SNMPv3. Without an auth protocol nothing is authenticated, without a priv protocol nothing is
// encrypted.
type User struct {
	Name    string
	Auth    string // one of AuthProtocols, or ""
	AuthKey string // passphrase, a secret
	Priv    string // one of PrivProtocols, or ""
	PrivKey string // passphrase, a secret
	Context string // context name; mostly ""
}

// String and GoString tell of options and users what is no secret, for whoever prints them.
func (o Options) String() string {
	return fmt.Sprintf("version %q to %s, user %s", string(o.Version), o.Address, o.User)
}

// GoString is String.
func (o Options) GoString() string { return o.String() }

// String is the user's name and protocols.
func (u User) String() string { return fmt.Sprintf("%q (%q, %q)", u.Name, u.Auth, u.Priv) }

// GoString is String.
func (u User) GoString() string { return u.String() }

// AuthProtocols and PrivProtocols list the protocols by name, the best first. The variants of AES with longer keys
// were never made a standard: aes256c is what Cisco and its followers do, aes256 what the others do.
func AuthProtocols() []string { return []string{"sha256", "sha512", "sha384", "sha224", "sha1", "md5"} }

// PrivProtocols: see AuthProtocols.
func PrivProtocols() []string {
	return []string{"aes", "aes256", "aes256c", "aes192", "aes192c", "des"}
}

func authProtocol(name string) gosnmp.SnmpV3AuthProtocol {
	switch name {
	case "sha256":
		return gosnmp.SHA256
	case "sha512":
		return gosnmp.SHA512
	case "sha384":
		return gosnmp.SHA384
	case "sha224":
		return gosnmp.SHA224
	case "sha1":
		return gosnmp.SHA
	case "md5":
		return gosnmp.MD5
	}
	return gosnmp.NoAuth
}

func privProtocol(name string) gosnmp.SnmpV3PrivProtocol {
	switch name {
	case "aes":
		return gosnmp.AES
	case "aes256":
		return gosnmp.AES256
	case "aes256c":
		return gosnmp.AES256C
	case "aes192":
		return gosnmp.AES192
	case "aes192c":
		return gosnmp.AES192C
	case "des":
		return gosnmp.DES
	}
	return gosnmp.NoPriv
}

// Greeting is what the gate learned.
type Greeting struct {
	Version  Version // that was answered
	Descr    string  // sysDescr, "" if the device does not say
	ObjectID ask.OID // sysObjectID, "" if the device does not say
	Uptime   ask.Value
}

// Stats counts what a session cost.
type Stats struct {
	Requests  int // packets sent
	Retries   int // of them sent again because no answer came, or none that was of use
	Variables int // received
	Unread    int // of them of a type that SNMP does not have; they are left out
}

// Session is a conversation with one device. It is an ask.Device once it is open; not for concurrent use.
type Session struct {
	opts Options

	conn     *gosnmp.GoSNMP // nil unless open
	tap      *tap           // on its socket, with version 3
	greeting Greeting
	retried  bool  // the packet that is about to be sent is a repetition
	dead     error // the device stopped answering during the session
	stats    Stats
	reps     int // of the next GETBULK
	streak   int // pages in a row that went well
	chunk    int // variables per GET
}

// New makes a session; it opens no socket yet.
func New(o Options) *Session {
	o.Timeout = cmp.Or(o.Timeout, 2*time.Second)
	o.Retries = max(o.Retries, 0)
	return &Session{opts: o, chunk: maxChunk}
}

// The OIDs of the gate.
const (
	sysDescr    ask.OID = "1.3.6.1.2.1.1.1.0"
	sysObjectID ask.OID = "1.3.6.1.2.1.1.2.0"
	sysUpTime   ask.OID = "1.3.6.1.2.1.1.3.0"
)

// Open opens a socket of its own and passes the gate. Errors: nobody listens there (refused), silence (timeout; also
// where Memory says that the device has been silent and is not asked again yet), the device does not take the user or
// the keys (failed, with what to correct), and those of the path.
func (s *Session) Open(ctx context.Context) (Greeting, error) {
	if s.conn != nil {
		return s.greeting, nil
	}
	host, port, err := split(s.opts.Address)
	if err != nil {
		return Greeting{}, err
	}
	gate := s.opts.Memory.enter(s.key(), time.Now())
	if gate.wait > 0 {
		return Greeting{}, probes.Errorf(probes.OutcomeTimeout, "no answer in the last %d attempts; it will be asked again in %s", gate.silent, gate.wait.Round(time.Second))
	}
	addr, err := s.opts.Bind.Resolve(ctx, "", host, s.opts.Timeout)
	if err != nil {
		return Greeting{}, err
	}
	retries := s.opts.Retries
	if gate.silent > 0 {
		retries = 0 // one packet is enough to see whether the dead has risen
	}
	for _, v := range s.versions(gate) {
		if err = s.greet(ctx, addr, port, v, retries); err == nil {
			s.opts.Memory.answered(s.key(), v)
			s.learned()
			return s.greeting, nil
		}
		s.Close()
		if !silence(err) || over(ctx) != nil {
			break
		}
		retries = 0
	}
	if probes.OutcomeOf(err) == probes.OutcomeTimeout && over(ctx) == nil {
		s.opts.Memory.silent(s.key(), time.Now())
	}
	return Greeting{}, err
}

// versions lists the versions to try. Whoever has answered before is not asked in another one: what is silent now is
// off, not old.
func (s *Session) versions(gate gateState) []Version {
	switch {
	case s.opts.Version != Auto:
		return []Version{s.opts.Version}
	case gate.version != Auto:
		return []Version{gate.version}
	case gate.silent%2 == 1: // one packet per attempt, so in turns
		return []Version{V1}
	case gate.silent > 0:
		return []Version{V2c}
	}
	return []Version{V2c, V1}
}

func (s *Session) key() string { return string(s.opts.Bind.Path) + " " + s.opts.Address }

func split(address string) (host string, port uint16, err error) {
	host, text, err := net.SplitHostPort(address)
	n, perr := strconv.ParseUint(text, 10, 16)
	if err != nil || perr != nil || n == 0 || host == "" {
		return "", 0, probes.Errorf(probes.OutcomeBadConfig, "address %q: want host:port, for example 10.1.2.3:161", address)
	}
	return host, uint16(n), nil
}

func (s *Session) greet(ctx context.Context, addr netip.Addr, port uint16, v Version, retries int) error {
	g := &gosnmp.GoSNMP{
		Target: addr.String(), Port: port, Transport: "udp", Context: ctx, Timeout: s.opts.Timeout,
		Control: s.opts.Bind.Control, MaxOids: gosnmp.MaxOids, Community: s.opts.Community,
		OnSent: func(*gosnmp.GoSNMP) {
			s.stats.Requests++
			if s.retried {
				s.stats.Retries++
			}
			s.retried = false
		},
		OnRetry: func(*gosnmp.GoSNMP) { s.retried = true },
	}
	if s.opts.Bind.Source.IsValid() {
		g.LocalAddr = netip.AddrPortFrom(s.opts.Bind.Source, 0).String()
	}
	switch v {
	case V1:
		g.Version = gosnmp.Version1
	case V2c:
		g.Version = gosnmp.Version2c
	case V3:
		u := s.opts.User
		g.Version, g.SecurityModel, g.ContextName = gosnmp.Version3, gosnmp.UserSecurityModel, u.Context
		usm := &gosnmp.UsmSecurityParameters{UserName: u.Name}
		if u.Auth != "" {
			g.MsgFlags = gosnmp.AuthNoPriv
			usm.AuthenticationProtocol, usm.AuthenticationPassphrase = authProtocol(u.Auth), u.AuthKey
			if u.Priv != "" {
				g.MsgFlags = gosnmp.AuthPriv
				usm.PrivacyProtocol, usm.PrivacyPassphrase = privProtocol(u.Priv), u.PrivKey
			}
		}
		g.SecurityParameters = usm
	default:
		return probes.Errorf(probes.OutcomeBadConfig, "SNMP version %q is not one of 1, 2c, 3", v)
	}
	if err := g.Connect(); err != nil {
		var own *probes.Error
		if errors.As(err, &own) || errors.Is(err, syscall.EADDRNOTAVAIL) || probes.OutcomeOf(err) != probes.OutcomeFailed {
			return err
		}
		// What is left is about the user's settings, and gosnmp might put them into its message.
		return probes.Errorf(probes.OutcomeBadConfig, "the SNMPv3 user can't be used as it is set; look at its protocols and passphrases (8 characters or more)")
	}
	s.conn, s.dead, s.tap = g, nil, nil
	if udp, ok := g.Conn.(*net.UDPConn); ok && v == V3 {
		s.tap = &tap{UDPConn: udp}
		g.Conn = s.tap
	}
	s.greeting = Greeting{Version: v}
	answer, err := s.exchange(ctx, question{oids: []ask.OID{sysUpTime, sysDescr, sysObjectID}}, retries)
	if errors.Is(err, errUnreadable) { // it may be one that can't say three things at once
		_, err = s.exchange(ctx, question{oids: []ask.OID{sysUpTime}}, 0)
	}
	if err != nil {
		return s.refused(err)
	}
	if answer.status == gosnmp.AuthorizationError || answer.status == gosnmp.NoAccess {
		return probes.Errorf(probes.OutcomeFailed, "the device answers %s: give %s the right to read on the device", statusName(answer.status), s.credentials())
	}
	vars := answer.vars
	if answer.status != gosnmp.NoError || len(vars) < 3 { // it lives, but does not say all of it, or not at once
		if vars, err = s.Get(ctx, sysUpTime, sysDescr, sysObjectID); err != nil {
			return err
		}
	}
	for _, x := range vars {
		switch x.OID {
		case sysUpTime:
			s.greeting.Uptime = x.Value
		case sysDescr:
			s.greeting.Descr = x.Value.Text()
		case sysObjectID:
			if x.Value.Type == ask.ObjectID {
				s.greeting.ObjectID = ask.OID(x.Value.Bytes)
			}
		}
	}
	return nil
}

// learned begins with what the model is known to bear.
func (s *Session) learned() {
	s.reps, s.streak = s.opts.Memory.reps(s.model()), 0
	if s.greeting.Version == V1 {
		s.reps = 1 // version 1 has no GETBULK
	}
}

// model is what Memory knows the device's kind by.
func (s *Session) model() string { return string(s.greeting.ObjectID) + " " + s.greeting.Descr }

// Stats returns what the session has cost so far.
func (s *Session) Stats() Stats { return s.stats }

// Err says that the device stopped answering during the session, and how; nil while it answers.
func (s *Session) Err() error { return s.dead }

// Close closes the socket. A closed session may be opened again.
func (s *Session) Close() error {
	if s.conn == nil {
		return nil
	}
	err := s.conn.Close()
	s.conn = nil
	return err
}

// over is ctx.Err, and a moment quicker: a socket's deadline is met before ctx's own timer has fired.
func over(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if end, ok := ctx.Deadline(); ok && !time.Now().Before(end) {
		return context.DeadlineExceeded
	}
	return nil
}

var errNotOpen = errors.New("the session is not open")

// alive passes the gate once more after silence. If the device does not answer that either, the session is over: each
// further question would cost its timeouts.
func (s *Session) alive(ctx context.Context) bool {
	_, err := s.exchange(ctx, question{oids: []ask.OID{sysUpTime}}, s.opts.Retries)
	if err != nil && over(ctx) == nil {
		s.dead = fmt.Errorf("stopped answering: %w", err)
	}
	return err == nil
}

// explain turns an error of gosnmp into one that names the fix. Texts of gosnmp are not passed on: they may hold bytes
// of packets, and packets hold communities.
func (s *Session) explain(ctx context.Context, err error) error {
	if over := over(ctx); over != nil {
		return fmt.Errorf("cut off: %w", over)
	}
	var own *probes.Error
	if u := usmError(err); u != nil {
		return u
	}
	switch {
	case errors.As(err, &own):
		return err
	case errors.Is(err, syscall.ECONNREFUSED):
		return probes.Errorf(probes.OutcomeRefused, "the host is there but nothing listens on this UDP port: switch SNMP on in the device, or correct the port (%w)", syscall.ECONNREFUSED)
	case errors.Is(err, gosnmp.ErrMaxRetriesExceeded), probes.OutcomeOf(err) == probes.OutcomeTimeout:
		return probes.Errorf(probes.OutcomeTimeout, "no answer: it is off or unreachable, SNMP is off or filtered, or it does not take %s (an agent drops what it is not to answer)", s.credentials())
	}
	if o := probes.OutcomeOf(err); o != probes.OutcomeFailed {
		return err
	}
	if u := usmError(s.tap.report()); u != nil {
		return u
	}
	return errUnreadable
}

// errUnreadable is the answer of a device that speaks something else than SNMP, or speaks it wrongly.
var errUnreadable = probes.Errorf(probes.OutcomeFailed, "an answer came that can't be read as SNMP; is it another service's port?")

func (s *Session) credentials() string {
	if s.opts.Version == V3 {
		return "the SNMPv3 user"
	}
	return "the community"
}
