package snmp

import (
	"bytes"
	"crypto/aes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"communewatch/deploy/lab/gear/snmp/ber"
)

// version3 as messages number it (RFC 3412).
const version3 = 3

const (
	pduReport     = 0xa8
	securityModel = 3 // the user-based one, RFC 3414

	flagAuth       = 1
	flagPriv       = 2
	flagReportable = 4

	digestSize = 24  // usmHMAC192SHA256AuthProtocol, RFC 7860
	timeWindow = 150 // seconds, RFC 3414 2.2.3
)

// What is wrong with a message, as the last numbers of the counters that say so: usmStats of RFC 3414 5.
const (
	usmUnsupportedLevel = 1
	usmNotInTime        = 2
	usmUnknownUser      = 3
	usmUnknownEngine    = 4
	usmWrongDigest      = 5
	usmDecryption       = 6
)

// User is a user of version 3: HMAC-SHA-256 for authentication, AES-128 for secrecy. Make it with NewUser.
type User struct {
	name       string
	auth, priv [sha256.Size]byte // the keys before they are made an engine's own
}

// NewUser makes a user. It hashes a megabyte per passphrase, as RFC 3414 A.2 wants it, so devices share users.
func NewUser(name, authPassphrase, privPassphrase string) *User {
	return &User{name: name, auth: stretch(authPassphrase), priv: stretch(privPassphrase)}
}

func stretch(passphrase string) (key [sha256.Size]byte) {
	const total = 1 << 20
	if passphrase == "" {
		return key
	}
	h := sha256.New()
	block := bytes.Repeat([]byte(passphrase), 1+4096/len(passphrase))
	block = block[:len(block)/len(passphrase)*len(passphrase)]
	n := 0
	for ; n+len(block) <= total; n += len(block) {
		h.Write(block)
	}
	h.Write(block[:total-n])
	return [sha256.Size]byte(h.Sum(nil))
}

// localised makes a key the engine's own.
func localised(key [sha256.Size]byte, engine []byte) []byte {
	h := sha256.New()
	h.Write(key[:])
	h.Write(engine)
	h.Write(key[:])
	return h.Sum(nil)
}

// message3 is a decoded message of version 3, as far as it can be read without keys.
type message3 struct {
	id, maxSize int32
	flags       byte
	engine      []byte
	boots, time int32
	user        []byte
	digest      []byte // points into the message
	salt        []byte
	data        []byte // scoped PDU: an element, or the content of the encrypted one
}

func decodeMessage3(b []byte) (m message3, err error) {
	if b, _, err = ber.Expect(b, ber.Sequence); err != nil {
		return m, err
	}
	var version int32
	if version, b, err = ber.ExpectInt(b); err != nil || version != version3 {
		return m, ber.ErrMalformed
	}
	var head []byte
	if head, b, err = ber.Expect(b, ber.Sequence); err != nil {
		return m, err
	}
	if m.id, head, err = ber.ExpectInt(head); err != nil {
		return m, err
	}
	if m.maxSize, head, err = ber.ExpectInt(head); err != nil {
		return m, err
	}
	var flags []byte
	if flags, head, err = ber.Expect(head, ber.Octets); err != nil || len(flags) != 1 {
		return m, ber.ErrMalformed
	}
	m.flags = flags[0]
	if model, _, err := ber.ExpectInt(head); err != nil || model != securityModel {
		return m, ber.ErrMalformed
	}
	var params []byte
	if params, b, err = ber.Expect(b, ber.Octets); err != nil {
		return m, err
	}
	if params, _, err = ber.Expect(params, ber.Sequence); err != nil {
		return m, err
	}
	if m.engine, params, err = ber.Expect(params, ber.Octets); err != nil {
		return m, err
	}
	if m.boots, params, err = ber.ExpectInt(params); err != nil {
		return m, err
	}
	if m.time, params, err = ber.ExpectInt(params); err != nil {
		return m, err
	}
	if m.user, params, err = ber.Expect(params, ber.Octets); err != nil {
		return m, err
	}
	if m.digest, params, err = ber.Expect(params, ber.Octets); err != nil {
		return m, err
	}
	if m.salt, _, err = ber.Expect(params, ber.Octets); err != nil {
		return m, err
	}
	if m.flags&flagPriv != 0 {
		m.data, _, err = ber.Expect(b, ber.Octets)
		return m, err
	}
	m.data = b
	return m, nil
}

// engine is a device's identity in version 3.
func (d *Device) engine() []byte {
	mac := d.MAC()
	return append([]byte{0x80, 0, 0x1f, 0x88, 3}, mac[:]...) // made of a MAC address, RFC 3411 SnmpEngineID
}

// answer3 answers a message of version 3; nil is silence.
func (d *Device) answer3(datagram []byte, now time.Time, q Quirk, size int) []byte {
	m, err := decodeMessage3(datagram)
	if err != nil {
		return nil
	}
	up, c := d.uptime(now)
	self := message3{id: m.id, maxSize: int32(size), engine: d.engine(), boots: 1, time: int32(c.before + up), user: m.user}
	user := d.own.User
	report := func(flags byte, what uint32) []byte {
		if m.flags&flagReportable == 0 {
			return nil
		}
		self.flags = flags
		oid := ber.AppendOID(nil, []uint32{1, 3, 6, 1, 6, 3, 15, 1, 1, what, 0})
		r := request{version: version3}
		pdu := r.pdu(nil, pduReport, size, func(b []byte, _ int) ([]byte, int, int) {
			return appendBinding(b, oid, ber.Counter32, []byte{1}), 0, 0
		})
		return self.seal(pdu, user)
	}
	switch {
	case !bytes.Equal(m.engine, self.engine):
		return report(0, usmUnknownEngine)
	case user == nil || string(m.user) != user.name:
		return report(0, usmUnknownUser)
	case m.flags&(flagAuth|flagPriv) != flagAuth|flagPriv:
		return report(0, usmUnsupportedLevel) // a user of the lab wants both
	}
	if len(m.digest) != digestSize {
		return report(0, usmWrongDigest)
	}
	claimed := bytes.Clone(m.digest)
	clear(m.digest)
	right := hmac.Equal(claimed, digest(user, self.engine, datagram))
	copy(m.digest, claimed)
	if !right {
		return report(0, usmWrongDigest)
	}
	if m.boots != self.boots || m.time < self.time-timeWindow || m.time > self.time+timeWindow {
		return report(flagAuth, usmNotInTime)
	}
	if len(m.salt) != 8 {
		return report(flagAuth, usmDecryption)
	}
	plain := bytes.Clone(m.data)
	crypt(user, self.engine, m.boots, m.time, m.salt, plain, false)
	r := request{version: version3}
	scoped, _, err := ber.Expect(plain, ber.Sequence)
	if err != nil {
		return report(flagAuth, usmDecryption)
	}
	if _, scoped, err = ber.Expect(scoped, ber.Octets); err != nil {
		return nil
	}
	if _, scoped, err = ber.Expect(scoped, ber.Octets); err != nil {
		return nil
	}
	tag, body, _, err := ber.Next(scoped)
	if err != nil || r.decodePDU(tag, body) != nil || q.silentFor(&r) {
		return nil
	}
	const head = 160 // bytes that version 3 puts around a PDU, at most
	self.flags = flagAuth | flagPriv
	return self.seal(r.pdu(make([]byte, 0, min(size, 4096)), pduResponse, size-head, func(b []byte, room int) ([]byte, int, int) {
		return d.bindings(b, room, &r, now, q.Lie)
	}), user)
}

// seal puts a message around a PDU, encrypted and authenticated as its flags say.
func (m *message3) seal(pdu []byte, user *User) []byte {
	scoped, at := ber.Open(make([]byte, 0, len(pdu)+64), ber.Sequence)
	scoped = ber.AppendTLV(scoped, ber.Octets, m.engine)
	scoped = ber.AppendTLV(scoped, ber.Octets, nil)
	scoped = append(scoped, pdu...)
	ber.Shut(scoped, at)
	var salt []byte
	if m.flags&flagPriv != 0 {
		salt = binary.BigEndian.AppendUint64(nil, uint64(m.time)<<32|uint64(uint32(m.id)))
		crypt(user, m.engine, m.boots, m.time, salt, scoped, true)
		scoped = ber.AppendTLV(nil, ber.Octets, scoped)
	}
	b, whole := ber.Open(make([]byte, 0, len(scoped)+128), ber.Sequence)
	b = ber.AppendInt(b, version3)
	b, head := ber.Open(b, ber.Sequence)
	b = ber.AppendInt(ber.AppendInt(b, int64(m.id)), int64(m.maxSize))
	b = ber.AppendTLV(b, ber.Octets, []byte{m.flags})
	b = ber.AppendInt(b, securityModel)
	ber.Shut(b, head)
	b, octets := ber.Open(b, ber.Octets)
	b, params := ber.Open(b, ber.Sequence)
	b = ber.AppendTLV(b, ber.Octets, m.engine)
	b = ber.AppendInt(ber.AppendInt(b, int64(m.boots)), int64(m.time))
	b = ber.AppendTLV(b, ber.Octets, m.user)
	digestAt := len(b) + 2
	if m.flags&flagAuth != 0 {
		b = ber.AppendTLV(b, ber.Octets, make([]byte, digestSize))
	} else {
		b = ber.AppendTLV(b, ber.Octets, nil)
	}
	b = ber.AppendTLV(b, ber.Octets, salt)
	ber.Shut(b, params)
	ber.Shut(b, octets)
	b = append(b, scoped...)
	ber.Shut(b, whole)
	if m.flags&flagAuth != 0 {
		copy(b[digestAt:], digest(user, m.engine, b))
	}
	return b
}

func digest(user *User, engine, message []byte) []byte {
	h := hmac.New(sha256.New, localised(user.auth, engine))
	h.Write(message)
	return h.Sum(nil)[:digestSize]
}

// crypt encrypts or decrypts b in place: AES-128 in CFB mode, with the initialisation vector of RFC 3826 3.1.2.1.
func crypt(user *User, engine []byte, boots, seconds int32, salt, b []byte, encrypt bool) {
	block, err := aes.NewCipher(localised(user.priv, engine)[:16])
	if err != nil {
		panic(err) // 16 bytes are a key
	}
	v := binary.BigEndian.AppendUint32(nil, uint32(boots))
	v = append(binary.BigEndian.AppendUint32(v, uint32(seconds)), salt...)
	for len(b) > 0 {
		block.Encrypt(v, v)
		n := min(len(b), len(v))
		for i := range n {
			in := b[i]
			b[i] ^= v[i]
			v[i] = b[i]
			if !encrypt {
				v[i] = in
			}
		}
		b = b[n:]
	}
}
