package fingerprint

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"time"

	"communewatch/probes"
)

// Bounds of what is read of a greeting.
const (
	maxGreeting  = 4 << 10 // bytes
	maxLines     = 20      // of text before an SSH identification (RFC 4253 4.2 sets no limit)
	telnetSilent = 1500 * time.Millisecond
)

// listen reads what the other side says until enough is satisfied, it stops, or there is too much of it.
func listen(conn net.Conn, enough func(heard []byte) bool) []byte {
	var heard []byte
	chunk := make([]byte, 1024)
	for len(heard) < maxGreeting {
		n, err := conn.Read(chunk)
		heard = append(heard, chunk[:n]...)
		if err != nil || enough(heard) {
			break
		}
	}
	return heard[:min(len(heard), maxGreeting)]
}

// ssh reads the identification, which a server sends unasked.
func (l *look) ssh(ctx context.Context, port uint16) error {
	conn, err := l.open(ctx, "tcp", port)
	if err != nil {
		return err
	}
	defer conn.Close()
	banner, tokens := parseSSH(listen(conn, func(heard []byte) bool {
		_, tokens := parseSSH(heard)
		return tokens != nil && bytes.HasSuffix(heard, []byte("\n"))
	}))
	source := fmt.Sprintf("ssh banner, port %d", port)
	for _, t := range tokens {
		l.offers(t, source)
	}
	if banner != "" {
		l.put(probes.FactSSHBanner, banner, source, 0.95)
		l.heard(SSHBanner, banner, source)
	}
	return nil
}

// parseSSH finds the identification and the protocol versions it stands for (RFC 4253 4.2, 5.1).
func parseSSH(heard []byte) (banner string, tokens []string) {
	for i := 0; i < maxLines && len(heard) > 0; i++ {
		line, rest, _ := bytes.Cut(heard, []byte("\n"))
		heard = rest
		if !bytes.HasPrefix(line, []byte("SSH-")) {
			continue
		}
		version, _, ok := strings.Cut(string(line[4:]), "-")
		switch {
		case !ok:
		case version == "1.99":
			return clean(line), []string{"ssh1", "ssh2"}
		case strings.HasPrefix(version, "2."):
			return clean(line), []string{"ssh2"}
		case strings.HasPrefix(version, "1."):
			return clean(line), []string{"ssh1"}
		}
		return "", nil
	}
	return "", nil
}

// telnet waits for a prompt or the negotiation that goes before it, and answers neither.
func (l *look) telnet(ctx context.Context, port uint16) error {
	conn, err := l.open(ctx, "tcp", port)
	if err != nil {
		return err
	}
	defer conn.Close()
	if soon := time.Now().Add(telnetSilent); l.Timeout > telnetSilent {
		conn.SetReadDeadline(soon)
	}
	source := fmt.Sprintf("telnet greeting, port %d", port)
	heard := listen(conn, func(heard []byte) bool {
		text, _ := parseTelnet(heard)
		return strings.HasSuffix(text, ":") || strings.HasSuffix(text, ">") || strings.HasSuffix(text, "#")
	})
	if bytes.HasPrefix(heard, []byte("SSH-")) || bytes.HasPrefix(heard, []byte("HTTP/")) {
		return nil // another service on this port
	}
	l.offers("telnet", source)
	text, _ := parseTelnet(heard)
	if text != "" {
		l.put(probes.FactDescr, text, source, 0.3)
		l.heard(TelnetBanner, text, source)
	}
	return nil
}

// parseTelnet takes the commands (RFC 854: IAC and what belongs to it) out of what a server says.
func parseTelnet(heard []byte) (text string, negotiates bool) {
	const se, sb, will, dont, iac = 240, 250, 251, 254, 255
	var out []byte
	for i := 0; i < len(heard); i++ {
		if heard[i] != iac {
			out = append(out, heard[i])
			continue
		}
		if i++; i >= len(heard) {
			break
		}
		switch c := heard[i]; {
		case c == iac:
			out = append(out, iac)
		case c >= will && c <= dont:
			negotiates = true
			i++ // the option
		case c == sb:
			end := bytes.Index(heard[i:], []byte{iac, se})
			if end < 0 {
				return clean(out), true
			}
			negotiates = true
			i += end + 1
		}
	}
	return clean(out), negotiates
}

// ftp reads the greeting.
func (l *look) ftp(ctx context.Context, port uint16) error {
	conn, err := l.open(ctx, "tcp", port)
	if err != nil {
		return err
	}
	defer conn.Close()
	text, ok := parseFTP(listen(conn, func(heard []byte) bool { return bytes.HasSuffix(heard, []byte("\n")) }))
	if !ok {
		return nil
	}
	source := fmt.Sprintf("ftp greeting, port %d", port)
	l.offers("ftp", source)
	l.heard(FTPBanner, text, source)
	return nil
}

// parseFTP reads a reply (RFC 959 4.2): a code of three digits and a text.
func parseFTP(heard []byte) (text string, ok bool) {
	if len(heard) < 4 || heard[0] < '1' || heard[0] > '5' || heard[3] != ' ' && heard[3] != '-' {
		return "", false
	}
	for _, c := range heard[1:3] {
		if c < '0' || c > '9' {
			return "", false
		}
	}
	return clean(heard[4:]), true
}

// rtsp asks for the options of the server as a whole, which needs no login.
func (l *look) rtsp(ctx context.Context, port uint16) error {
	conn, err := l.open(ctx, "tcp", port)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: communewatch-agent\r\n\r\n"); err != nil {
		return err
	}
	header, ok := parseRTSP(listen(conn, headerEnds))
	if !ok {
		return nil
	}
	source := fmt.Sprintf("rtsp answer, port %d", port)
	l.offers("rtsp", source)
	l.heard(RTSPServer, clean([]byte(header.Get("Server"))), source)
	return nil
}

func headerEnds(heard []byte) bool {
	return bytes.Contains(heard, []byte("\r\n\r\n")) || bytes.Contains(heard, []byte("\n\n"))
}

func parseRTSP(heard []byte) (textproto.MIMEHeader, bool) {
	if !bytes.HasPrefix(heard, []byte("RTSP/1.")) && !bytes.HasPrefix(heard, []byte("RTSP/2.")) {
		return nil, false
	}
	_, rest, _ := bytes.Cut(heard, []byte("\n"))
	return parseHeader(rest), true
}

// parseHeader reads the lines "Name: value" up to the first empty one; what is no such line is skipped, since a
// header is not thrown away for one bad line.
func parseHeader(b []byte) textproto.MIMEHeader {
	header := textproto.MIMEHeader{}
	last := ""
	for range 200 {
		line, rest, more := bytes.Cut(b, []byte("\n"))
		line = bytes.TrimRight(line, "\r")
		if len(line) == 0 {
			return header
		}
		if (line[0] == ' ' || line[0] == '\t') && last != "" { // folded
			values := header[last]
			values[len(values)-1] += " " + string(bytes.TrimSpace(line))
		} else if name, value, ok := bytes.Cut(line, []byte(":")); ok {
			last = textproto.CanonicalMIMEHeaderKey(string(bytes.TrimSpace(name)))
			header[last] = append(header[last], string(bytes.TrimSpace(value)))
		}
		if !more {
			return header
		}
		b = rest
	}
	return header
}
