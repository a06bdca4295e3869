// Package hello finds out which TLS versions a server accepts, by offering one at a time with a hand-made hello and
// reading what the server chooses (RFC 5246 7.4.1, RFC 8446 4.1). A TLS library could not ask for SSL 3.0, and would give
// up where a server wants a key exchange that the library no longer has. Nothing is agreed upon: after the server's first
// words the caller closes the connection.
package hello

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Versions are those asked for, the most usual first: a port that does not understand it speaks no TLS.
func Versions() []Version {
	return []Version{{0x0303, "tls1.2"}, {0x0304, "tls1.3"}, {0x0302, "tls1.1"}, {0x0301, "tls1.0"}, {0x0300, "ssl3"}}
}

// Version is a version of TLS.
type Version struct {
	Number uint16 // on the wire
	Name   string // tls1.2, ssl3
}

// maxHello bounds the server's first words: a chain of certificates may be long, but need not be read to its end.
const maxHello = 32 << 10

// Alert is a server's refusal (RFC 5246 7.2): it speaks TLS, but not like this.
type Alert struct{ Level, Description byte }

func (a Alert) Error() string { return fmt.Sprintf("TLS alert %d", a.Description) }

// ErrNotTLS says that the other side speaks something else.
var ErrNotTLS = errors.New("the answer is not TLS")

// Choice is what a server chose.
type Choice struct {
	Version     uint16
	Certificate []byte // the server's own, DER; nil in TLS 1.3, where it comes encrypted
}

// Say offers one version and reads the server's first words. Errors: an Alert, ErrNotTLS, or those of the connection.
func Say(conn io.ReadWriter, version uint16) (Choice, error) {
	if _, err := conn.Write(clientHello(version)); err != nil {
		return Choice{}, err
	}
	return readHello(conn)
}

// clientHello makes a hello that offers one version and every cipher suite that is or was usual.
func clientHello(version uint16) []byte {
	suites := []uint16{
		0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc023, 0xc027, 0xc009, 0xc013, 0xc00a, 0xc014, // ECDHE
		0x009e, 0x009f, 0x0067, 0x006b, 0x0033, 0x0039, 0x0016, 0x0032, 0x0038, 0x0013, // DHE
		0x009c, 0x009d, 0x003c, 0x003d, 0x002f, 0x0035, 0x0041, 0x0084, 0x0007, 0x000a, 0x0005, 0x0004, 0x0009, // RSA
		0x00ff, // secure renegotiation (RFC 5746)
	}
	inside, record := version, uint16(0x0301)
	if version == 0x0300 {
		record = 0x0300
	}
	var random [96]byte
	rand.Read(random[:]) // never fails
	var session, extensions []byte
	u16 := binary.BigEndian.AppendUint16
	extension := func(kind uint16, body []byte) {
		extensions = append(u16(u16(extensions, kind), uint16(len(body))), body...)
	}
	if version == 0x0304 {
		inside, session, suites = 0x0303, random[32:64], []uint16{0x1301, 0x1302, 0x1303}
		extension(43, []byte{2, 3, 4})                                       // supported versions
		extension(51, append([]byte{0, 36, 0, 29, 0, 32}, random[64:96]...)) // a key share: any 32 bytes are one of x25519
		extension(45, []byte{1, 1})                                          // key exchange modes
	}
	if version >= 0x0301 {
		extension(10, []byte{0, 8, 0, 29, 0, 23, 0, 24, 0, 25}) // groups: x25519, P-256, P-384, P-521
		extension(11, []byte{1, 0})                             // uncompressed points
	}
	if version >= 0x0303 {
		extension(13, []byte{0, 18, 4, 3, 8, 4, 4, 1, 5, 3, 8, 5, 5, 1, 8, 6, 6, 1, 2, 1}) // signatures, SHA-1 at last
	}
	body := append(u16(nil, inside), random[:32]...)
	body = append(append(body, byte(len(session))), session...)
	body = u16(body, uint16(2*len(suites)))
	for _, s := range suites {
		body = u16(body, s)
	}
	body = append(body, 1, 0) // no compression
	if len(extensions) > 0 {
		body = append(u16(body, uint16(len(extensions))), extensions...)
	}
	message := append([]byte{1, 0, byte(len(body) >> 8), byte(len(body))}, body...)
	return append(u16(u16([]byte{22}, record), uint16(len(message))), message...)
}

// readHello reads records until the server has said its version and, before TLS 1.3, its certificate.
func readHello(r io.Reader) (Choice, error) {
	var messages []byte
	var h Choice
	for len(messages) < maxHello {
		head := make([]byte, 5)
		if _, err := io.ReadFull(r, head); err != nil {
			return done(h, err)
		}
		length := int(binary.BigEndian.Uint16(head[3:]))
		if head[0] < 20 || head[0] > 24 || head[1] != 3 || length == 0 || length > 1<<14+2048 {
			return done(h, ErrNotTLS)
		}
		body := make([]byte, length)
		if _, err := io.ReadFull(r, body); err != nil {
			return done(h, err)
		}
		switch head[0] {
		case 21:
			if len(body) < 2 {
				return done(h, ErrNotTLS)
			}
			if body[0] == 1 {
				continue // a warning
			}
			return done(h, Alert{body[0], body[1]})
		case 22:
			messages = append(messages, body...)
		default:
			return done(h, ErrNotTLS)
		}
		var enough bool
		if h, enough = parseMessages(messages); enough {
			return h, nil
		}
	}
	return done(h, ErrNotTLS)
}

// done keeps what was learnt before something went wrong.
func done(h Choice, err error) (Choice, error) {
	if h.Version != 0 {
		return h, nil
	}
	return h, err
}

// parseMessages reads handshake messages; enough is false while more of them are worth waiting for.
func parseMessages(b []byte) (h Choice, enough bool) {
	for len(b) >= 4 {
		length := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
		if length > maxHello {
			return h, true
		}
		if len(b)-4 < length {
			return h, false
		}
		kind, body := b[0], b[4:4+length]
		b = b[4+length:]
		switch kind {
		case 2:
			if h.Version = parseServerHello(body); h.Version == 0 || h.Version >= 0x0304 {
				return h, true
			}
		case 11:
			if len(body) < 6 {
				return h, true
			}
			size := int(body[3])<<16 | int(body[4])<<8 | int(body[5])
			if size > 0 && size <= len(body)-6 {
				h.Certificate = body[6 : 6+size]
			}
			return h, true
		case 14, 12: // done, or a key exchange: no certificate comes any more
			return h, true
		}
	}
	return h, false
}

// parseServerHello returns the version that the server chose; 0 where that can't be read.
func parseServerHello(b []byte) uint16 {
	if len(b) < 35 {
		return 0
	}
	version := binary.BigEndian.Uint16(b)
	at := 35 + int(b[34]) + 3 // session, cipher suite, compression
	if len(b) < at {
		return 0
	}
	if len(b) < at+2 {
		return version
	}
	extensions := b[at+2:]
	for len(extensions) >= 4 {
		kind, size := binary.BigEndian.Uint16(extensions), int(binary.BigEndian.Uint16(extensions[2:]))
		if size > len(extensions)-4 {
			break
		}
		if kind == 43 && size == 2 {
			return binary.BigEndian.Uint16(extensions[4:])
		}
		extensions = extensions[4+size:]
	}
	return version
}
