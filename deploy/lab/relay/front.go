package relay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"communewatch/probes"
)

// maxSDP bounds what is taken of an offer, an answer or what is said at a call's end, in bytes.
const maxSDP = 256 << 10

// passed are the headers that go on with a request and come back with an answer.
var passed = []string{"Authorization", "Content-Type", "Accept", "If-Match", "Etag", "Retry-After", "Www-Authenticate", "Link", "Accept-Patch", "Allow",
	"Access-Control-Allow-Origin", "Access-Control-Allow-Headers", "Access-Control-Allow-Methods", "Access-Control-Expose-Headers",
	"Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"}

func copyHeaders(to, from http.Header) {
	for k, v := range from {
		if slices.Contains(passed, k) || strings.HasPrefix(k, "Communewatch-") {
			to[k] = v
		}
	}
}

// front passes signalling on, and puts the relay's own address into answers.
func (r *Relay) front(w http.ResponseWriter, req *http.Request) {
	line := r.Line()
	if line.Up.Cut || line.Down.Cut {
		// What was sent never arrives; the client must not wait for that as long as TCP would.
		panic(http.ErrAbortHandler)
	}
	body, err := io.ReadAll(io.LimitReader(req.Body, maxSDP+1))
	if err != nil || len(body) > maxSDP {
		http.Error(w, "what was sent is too long or was cut off", http.StatusBadRequest)
		return
	}
	if !wait(req, line.Up.Delay) {
		return
	}
	on, err := http.NewRequestWithContext(req.Context(), req.Method, r.hub.Scheme+"://"+r.hub.Host+req.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	copyHeaders(on.Header, req.Header)
	resp, err := r.client.Do(on)
	if err != nil {
		http.Error(w, "the hub does not answer: "+err.Error(), http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxSDP+1))
	if err != nil || len(answer) > maxSDP {
		http.Error(w, "the hub's answer is too long or was cut off", http.StatusBadGateway)
		return
	}
	copyHeaders(w.Header(), resp.Header)
	location := local(resp.Header.Get("Location"))
	if location != "" {
		w.Header().Set("Location", location)
	}
	switch {
	case req.Method == http.MethodPost && resp.StatusCode == http.StatusCreated && location != "":
		c, changed, err := r.connect(answer)
		if err != nil {
			r.hangUp(req, location)
			http.Error(w, "relay: "+err.Error(), http.StatusBadGateway)
			return
		}
		r.mu.Lock()
		if !r.closed {
			c.location = resolve(req.URL, location)
			r.at[c.location] = c
		}
		r.mu.Unlock()
		answer = changed
	case req.Method == http.MethodDelete:
		r.mu.Lock()
		c := r.at[req.URL.Path]
		r.mu.Unlock()
		if c != nil && resp.StatusCode < 300 {
			c.End()
		}
	}
	if !wait(req, line.Down.Delay) {
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
	w.WriteHeader(resp.StatusCode)
	w.Write(answer)
}

// wait keeps a message as long as the line would.
func wait(req *http.Request, d time.Duration) bool {
	if d == 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-req.Context().Done():
		return false
	}
}

// local takes the scheme and the host off a Location, since those are the hub's.
func local(location string) string {
	u, err := url.Parse(location)
	if err != nil {
		return ""
	}
	u.Scheme, u.Host, u.User = "", "", nil
	return u.String()
}

func resolve(base *url.URL, location string) string {
	u, err := url.Parse(location)
	if err != nil {
		return location
	}
	return base.ResolveReference(u).Path
}

// hangUp ends at the hub what could not be connected.
func (r *Relay) hangUp(req *http.Request, location string) {
	end, err := http.NewRequestWithContext(req.Context(), http.MethodDelete, r.hub.Scheme+"://"+r.hub.Host+resolve(req.URL, location), nil)
	if err != nil {
		return
	}
	copyHeaders(end.Header, req.Header)
	if resp, err := r.client.Do(end); err == nil {
		resp.Body.Close()
	}
}

// connect opens a call for an answer, and returns the answer with its address.
func (r *Relay) connect(answer []byte) (*Call, []byte, error) {
	a, err := readAnswer(answer)
	if err != nil {
		return nil, nil, err
	}
	c, err := r.Open(a.hub, a.media)
	if err != nil {
		return nil, nil, err
	}
	return c, a.at(c.Addr()), nil
}

// answer is an SDP answer taken apart.
type answer struct {
	lines []string
	kept  []int // indices of the lines of candidates that stay
	hub   netip.AddrPort
	media map[uint8]probes.Media
}

// readAnswer finds the hub's first UDP candidate of component 1 and which payload type is what. Other candidates, such as
// those over TCP, are left out: they would lead around the relay.
func readAnswer(sdp []byte) (*answer, error) {
	a := &answer{media: map[uint8]probes.Media{}}
	found := false // one in this section
	for line := range strings.Lines(string(sdp)) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			continue
		}
		if kind, rest, ok := cutMedia(line); ok {
			found = false
			for _, f := range rest {
				if pt, err := strconv.ParseUint(f, 10, 7); err == nil {
					a.media[uint8(pt)] = kind
				}
			}
		}
		if to, udp, ok := candidate(line); ok {
			if !udp || found {
				continue
			}
			if !a.hub.IsValid() {
				a.hub = to
			}
			found = true
			a.kept = append(a.kept, len(a.lines))
		}
		a.lines = append(a.lines, line)
	}
	if !a.hub.IsValid() {
		return nil, errors.New("the hub's answer names no UDP candidate")
	}
	return a, nil
}

// cutMedia reads an m= line: "m=audio 9 UDP/TLS/RTP/SAVPF 111 63".
func cutMedia(line string) (probes.Media, []string, bool) {
	rest, ok := strings.CutPrefix(line, "m=")
	if !ok {
		return "", nil, false
	}
	f := strings.Fields(rest)
	if len(f) < 4 || (f[0] != "audio" && f[0] != "video") {
		return "", nil, true
	}
	return probes.Media(f[0]), f[3:], true
}

// candidate reads an a=candidate line (RFC 8839 5.1): foundation, component, transport, priority, address, port.
func candidate(line string) (to netip.AddrPort, udp, ok bool) {
	rest, ok := strings.CutPrefix(line, "a=candidate:")
	if !ok {
		return netip.AddrPort{}, false, false
	}
	f := strings.Fields(rest)
	if len(f) < 8 || f[1] != "1" || !strings.EqualFold(f[2], "udp") {
		return netip.AddrPort{}, false, true
	}
	addr, err := netip.ParseAddr(f[4])
	port, err2 := strconv.ParseUint(f[5], 10, 16)
	if err != nil || err2 != nil || port == 0 {
		return netip.AddrPort{}, false, true
	}
	return netip.AddrPortFrom(addr.Unmap().WithZone(""), uint16(port)), true, true
}

// at writes the answer with another address in its candidates.
func (a *answer) at(addr netip.AddrPort) []byte {
	var b bytes.Buffer
	for i, line := range a.lines {
		if slices.Contains(a.kept, i) {
			f := strings.Fields(line)
			f[4], f[5] = addr.Addr().Unmap().String(), strconv.Itoa(int(addr.Port()))
			// Of a reflexive candidate the related address would give the hub away.
			line = strings.Join(f[:6], " ") + " typ host"
		}
		fmt.Fprintf(&b, "%s\r\n", line)
	}
	return b.Bytes()
}
