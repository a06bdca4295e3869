package hello

import (
	"bytes"
	"io"
	"testing"
)

func TestHelloIsReadInPieces(t *testing.T) {
	// A server hello of TLS 1.2 whose handshake message is spread over two records.
	body := append([]byte{3, 3}, make([]byte, 32)...)
	body = append(body, 0, 0xc0, 0x2f, 0)
	message := append([]byte{2, 0, 0, byte(len(body))}, body...)
	message = append(message, 14, 0, 0, 0)
	record := func(b []byte) []byte { return append([]byte{22, 3, 3, 0, byte(len(b))}, b...) }
	h, err := readHello(io.MultiReader(bytes.NewReader(record(message[:7])), bytes.NewReader(record(message[7:]))))
	if err != nil || h.Version != 0x0303 || h.Certificate != nil {
		t.Errorf("got %+v, %v", h, err)
	}
	if _, err := readHello(bytes.NewReader([]byte{21, 3, 1, 0, 2, 2, 70})); err == nil || err.Error() != "TLS alert 70" {
		t.Errorf("got %v", err)
	}
}

func FuzzHello(f *testing.F) {
	f.Add([]byte{22, 3, 3, 0, 44, 2, 0, 0, 40, 3, 3, 31: 0, 48: 0})
	f.Add([]byte{21, 3, 1, 0, 2, 2, 70})
	f.Add(clientHello(0x0304))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := readHello(bytes.NewReader(b))
		if err == nil && h.Version == 0 && h.Certificate != nil {
			t.Error("a certificate without a hello")
		}
		if len(h.Certificate) > len(b) {
			t.Error("a certificate longer than all that was said")
		}
	})
}
