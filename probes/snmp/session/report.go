package session

import (
	"errors"
	"net"

	"communewatch/probes"

	"github.com/gosnmp/gosnmp"
)

// tap keeps the last packet that came, if it is as small as a report. A device that does not take a user says why in
// one (RFC 3414, 3.2), and it can't sign it: the user is what it does not know. gosnmp throws unsigned packets away,
// rightly; but as a hint at what to correct, and as nothing else, they are worth reading.
type tap struct {
	*net.UDPConn
	buf [512]byte
	n   int
}

func (t *tap) ReadFrom(p []byte) (int, net.Addr, error) {
	n, from, err := t.UDPConn.ReadFrom(p)
	if err == nil {
		t.n = 0
		if n <= len(t.buf) {
			t.n = copy(t.buf[:], p[:n])
		}
	}
	return n, from, err
}

func (t *tap) Read(p []byte) (int, error) {
	n, _, err := t.ReadFrom(p)
	return n, err
}

// report reads the last packet as a report, and says what it means; nil if it is none.
func (t *tap) report() (err error) {
	if t == nil || t.n == 0 {
		return nil
	}
	defer func() {
		if recover() != nil {
			err = nil
		}
	}()
	g := &gosnmp.GoSNMP{Version: gosnmp.Version3, SecurityModel: gosnmp.UserSecurityModel,
		MsgFlags: gosnmp.NoAuthNoPriv, SecurityParameters: &gosnmp.UsmSecurityParameters{UserName: "-"}}
	p, err := g.SnmpDecodePacket(t.buf[:t.n])
	if err != nil {
		return nil
	}
	return reported(p)
}

// reported reads a packet as a report; nil if it is none that is known.
func reported(p *gosnmp.SnmpPacket) error {
	if p.PDUType != gosnmp.Report || len(p.Variables) == 0 {
		return nil
	}
	switch p.Variables[0].Name { // the counters of RFC 3414, 5
	case ".1.3.6.1.6.3.15.1.1.1.0":
		return gosnmp.ErrUnknownSecurityLevel
	case ".1.3.6.1.6.3.15.1.1.2.0":
		return gosnmp.ErrNotInTimeWindow
	case ".1.3.6.1.6.3.15.1.1.3.0":
		return gosnmp.ErrUnknownUsername
	case ".1.3.6.1.6.3.15.1.1.4.0":
		return gosnmp.ErrUnknownEngineID
	case ".1.3.6.1.6.3.15.1.1.5.0":
		return gosnmp.ErrWrongDigest
	case ".1.3.6.1.6.3.15.1.1.6.0":
		return gosnmp.ErrDecryption
	}
	return nil
}

// usmError says what is wrong with a user, and how to make it right; nil where the error is about something else.
func usmError(err error) error {
	failed := func(text string) error { return probes.Errorf(probes.OutcomeFailed, "SNMPv3: %s", text) }
	switch {
	case errors.Is(err, gosnmp.ErrUnknownUsername):
		return failed("the device does not know the user; correct the user's name, or create the user on the device")
	case errors.Is(err, gosnmp.ErrWrongDigest):
		return failed("the device refuses the authentication; correct the auth protocol or its passphrase")
	case errors.Is(err, gosnmp.ErrDecryption):
		return failed("the device can't decrypt; correct the priv protocol or its passphrase")
	case errors.Is(err, gosnmp.ErrUnknownSecurityLevel):
		return failed("the device does not offer this level to the user; set, or leave out, auth and priv as the device has them")
	case errors.Is(err, gosnmp.ErrNotInTimeWindow):
		return failed("the device says that the packet is out of its time window; its clock of SNMPv3 (engine boots and time) does not run right: restart its SNMP agent, and look for devices with a copied engine id")
	case errors.Is(err, gosnmp.ErrUnknownEngineID):
		return failed("the device does not take its own engine id; restart its SNMP agent")
	case errors.Is(err, gosnmp.ErrUnknownSecurityModels), errors.Is(err, gosnmp.ErrInvalidMsgs),
		errors.Is(err, gosnmp.ErrUnknownPDUHandlers), errors.Is(err, gosnmp.ErrUnknownReportPDU):
		return failed("the device reports that it can't handle the request; try version 2c, or another context")
	}
	return nil
}

// refused looks at why a user did not pass the gate although the device speaks SNMPv3: it told its engine id, which it
// does before it looks at users.
func (s *Session) refused(err error) error {
	usm, ok := s.conn.SecurityParameters.(*gosnmp.UsmSecurityParameters)
	if !ok || usm.AuthoritativeEngineID == "" || s.opts.User.Priv == "" || probes.OutcomeOf(err) != probes.OutcomeTimeout {
		return err
	}
	return probes.Errorf(probes.OutcomeFailed, "SNMPv3: the device answers, but nothing that this user asks; correct the priv protocol or its passphrase (%w)", err)
}
