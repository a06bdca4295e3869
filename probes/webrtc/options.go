package webrtc

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"communewatch/probes"
	"communewatch/probes/orders"
	"communewatch/probes/webrtc/call"
	"communewatch/probes/webrtc/media"
)

// Secret is a text that is not shown: printed, logged or written out it is "(secret)".
type Secret string

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "(secret)"
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// MarshalText hides the secret from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Options of a webrtc check. The target's address is the URL at which the service takes offers.
type Options struct {
	Service   string             `yaml:"service"`    // auto, reflector, whip, whep or janus
	Token     Secret             `yaml:"token"`      // for the service
	TokenFile string             `yaml:"token_file"` // or a file that holds it
	TokenEnv  string             `yaml:"token_env"`  // or an environment variable
	Profile   string             `yaml:"profile"`    // name of one of Profiles or of media.Profiles
	Profiles  map[string]Profile `yaml:"profiles"`   // further ones, or other rates for those there are
	Duration  time.Duration      `yaml:"duration"`   // of media
	Ramp      Ramp               `yaml:"ramp"`
	Data      bool               `yaml:"data_channel"` // also measure messages on a data channel
	Playout   Playout            `yaml:"playout"`
	LineKbps  int                `yaml:"line_kbps"` // the smaller direction of the line, by contract
	Share     float64            `yaml:"share"`     // of it that a test may take, headers included
	Timeout   time.Duration      `yaml:"timeout"`   // for setting up
	CAFile    string             `yaml:"ca_file"`   // PEM file of the authorities to trust instead of the system's
	// SkipVerify accepts any certificate.
	SkipVerify bool `yaml:"skip_verify"`
	// AllowPlaintext sends the token over HTTP too, where whoever is on the way reads it.
	AllowPlaintext bool `yaml:"allow_plaintext"`
}

// Profile is the streams of a meeting. What is absent is as in the built-in profile of that name, else no such stream.
type Profile struct {
	AudioKbps *float64 `yaml:"audio_kbps"`
	VideoKbps *float64 `yaml:"video_kbps"`
	FPS       *int     `yaml:"fps"`
}

// Ramp is a stepped search for the rate of video that goes through clean, after the media of the profile.
type Ramp struct {
	Enabled   bool          `yaml:"enabled"`
	StepsKbps []int         `yaml:"steps_kbps"` // rising; those above the budget are not tried
	Step      time.Duration `yaml:"step"`       // how long each is
}

// Playout is the length of the simulated de-jitter buffers.
type Playout struct {
	Audio time.Duration `yaml:"audio"`
	Video time.Duration `yaml:"video"`
}

// Bounds of the options.
const (
	minDuration, maxDuration = 3 * time.Second, time.Minute
	maxOrdered               = 10 * time.Minute // of a call that was ordered
	maxSecret                = 4 << 10          // bytes of a file with one
	maxProfiles              = 20
	maxSteps                 = 10
)

// DefaultOptions returns the options of a check that says nothing. A line that nobody described is taken for one of
// 10 Mbit/s, so that no test takes more than 5 Mbit/s of a line unless somebody said that it may.
func DefaultOptions() Options {
	return Options{
		Service: call.Auto, Profile: "720p", Duration: 15 * time.Second, Data: true,
		Ramp:     Ramp{StepsKbps: []int{500, 1000, 2000, 4000}, Step: 2 * time.Second},
		Playout:  Playout{Audio: 60 * time.Millisecond, Video: 120 * time.Millisecond},
		LineKbps: 10_000, Share: 0.5, Timeout: 20 * time.Second,
	}
}

// Bound is the longest a run may take.
func (o Options) Bound() time.Duration {
	d := o.Timeout + o.Duration + call.EndTime
	if o.Ramp.Enabled {
		d += time.Duration(len(o.Ramp.StepsKbps)) * (o.Ramp.Step + 2*time.Second)
	}
	return d
}

// Interval is that of a check that says none: a call of 15 s every quarter of an hour.
func (o Options) Interval() time.Duration { return 15 * time.Minute }

// Budget is what a test may take of the line each way, in bit/s.
func (o Options) Budget() float64 { return o.Share * float64(o.LineKbps) * 1000 }

// profile finds the streams of a profile by its name.
func (o Options) profile(name string) (orders.Profile, error) {
	p, known := media.Named(name)
	own, ok := o.Profiles[name]
	if !known && !ok {
		var names []string
		for _, p := range media.Profiles() {
			names = append(names, p.Name)
		}
		for _, n := range slices.Sorted(maps.Keys(o.Profiles)) {
			if !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
		return p, fmt.Errorf("%.40q is no profile; use one of %s", name, strings.Join(names, ", "))
	}
	p.Name = name
	if own.AudioKbps != nil {
		p.AudioBPS = bps(*own.AudioKbps)
	}
	if own.VideoKbps != nil {
		p.VideoBPS = bps(*own.VideoKbps)
	}
	switch {
	case own.FPS != nil:
		p.FPS = *own.FPS
	case p.FPS == 0 && p.VideoBPS > 0:
		p.FPS = 30
	}
	if p.VideoBPS == 0 {
		p.FPS = 0
	}
	return p, media.Check(p)
}

// bps makes bit/s of kbit/s. What is no sensible rate becomes one that no profile may have.
func bps(kbps float64) int {
	if !(kbps >= 0 && kbps <= 1e6) {
		return -1
	}
	return int(kbps*1000 + 0.5)
}

// overBudget says why streams that take wire bit/s are too much for the line; nil if they are not.
func (o Options) overBudget(what string, wire float64) error {
	if wire <= o.Budget() {
		return nil
	}
	return fmt.Errorf("%s takes %.0f kbit/s of the line each way, headers included; it may take %.0f: share %g of line_kbps %d. Choose a smaller profile, or correct line_kbps if the line has more",
		what, wire/1000, o.Budget()/1000, o.Share, o.LineKbps)
}

// Validate reports what is wrong with the options or with the target's address.
func (o Options) Validate(t probes.Target, problem func(at, format string, args ...any)) {
	if u, err := call.ParseURL(t.Address); err != nil {
		problem("address", "%v", err)
	} else if u.Scheme == "http" && o.hasToken() && !o.AllowPlaintext && !isLoopback(u.Hostname()) {
		problem("address", "sends the token unprotected; use https, or say allow_plaintext: true if that is meant")
	}
	if services := []string{call.Auto, call.Reflector, call.WHIP, call.WHEP, call.Janus}; !slices.Contains(services, o.Service) {
		problem("service", "%.20q is not one of %s", o.Service, strings.Join(services, ", "))
	}
	given, at := 0, "token"
	for _, way := range []struct{ at, value string }{{"token", string(o.Token)}, {"token_file", o.TokenFile}, {"token_env", o.TokenEnv}} {
		if way.value != "" {
			given, at = given+1, way.at
		}
	}
	if given > 1 {
		problem(at, "give the token in one way: token, token_file or token_env")
	} else if _, err := o.secret(); err != nil {
		problem(at, "%v", err)
	}
	if o.Duration < minDuration || o.Duration > maxDuration {
		problem("duration", "must be between 3s and 60s, for example 15s")
	}
	if o.Timeout < time.Second || o.Timeout > time.Minute {
		problem("timeout", "must be between 1s and 60s, for example 20s")
	}
	for _, p := range []struct {
		at string
		d  time.Duration
	}{{"playout.audio", o.Playout.Audio}, {"playout.video", o.Playout.Video}} {
		if p.d < 10*time.Millisecond || p.d > 2*time.Second {
			problem(p.at, "must be between 10ms and 2s, for example 60ms")
		}
	}
	if o.LineKbps < 64 || o.LineKbps > 10_000_000 {
		problem("line_kbps", "must be from 64 to 10000000: what the contract says of the line's smaller direction, in kbit/s")
	}
	if !(o.Share > 0 && o.Share <= 1) {
		problem("share", "must be above 0 and at most 1, for example 0.5")
	}
	o.validateProfiles(problem)
	o.validateRamp(problem)
	if o.CAFile != "" {
		if _, err := loadCA(o.CAFile); err != nil {
			problem("ca_file", "%v", err)
		}
	}
}

func (o Options) validateProfiles(problem func(at, format string, args ...any)) {
	if len(o.Profiles) > maxProfiles {
		problem("profiles", "at most %d profiles", maxProfiles)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(o.Profiles)) {
		if err := probes.CheckName(name); err != nil {
			problem("profiles", "%v", err)
		} else if _, err := o.profile(name); err != nil && name != o.Profile {
			problem("profiles."+name, "%v", err)
		}
	}
	p, err := o.profile(o.Profile)
	if err == nil {
		err = o.overBudget("profile "+p.Name, media.WireBPS(p))
	}
	if err != nil {
		problem("profile", "%v", err)
	}
}

func (o Options) validateRamp(problem func(at, format string, args ...any)) {
	if !o.Ramp.Enabled {
		return
	}
	if o.Service == call.WHIP || o.Service == call.WHEP {
		problem("ramp.enabled", "only a reflector or Janus sends back what a ramp needs; service is %s", o.Service)
	}
	if o.Ramp.Step < time.Second || o.Ramp.Step > 10*time.Second {
		problem("ramp.step", "must be between 1s and 10s, for example 2s")
	}
	if len(o.Ramp.StepsKbps) == 0 || len(o.Ramp.StepsKbps) > maxSteps {
		problem("ramp.steps_kbps", "name 1 to %d rates of video, such as [500, 1000, 2000]", maxSteps)
		return
	}
	for i, kbps := range o.Ramp.StepsKbps {
		at := fmt.Sprintf("ramp.steps_kbps[%d]", i)
		switch {
		case kbps*1000 < media.MinVideoBPS || kbps > media.MaxVideoBPS/1000:
			problem(at, "%d kbit/s: want %d to %d", kbps, media.MinVideoBPS/1000, media.MaxVideoBPS/1000)
		case i > 0 && kbps <= o.Ramp.StepsKbps[i-1]:
			problem(at, "%d is not above %d, the step before", kbps, o.Ramp.StepsKbps[i-1])
		case i == 0:
			if err := o.overBudget("the first step", media.Video(kbps*1000, 30).WireBPS()); err != nil {
				problem(at, "%v", err)
			}
		}
	}
}

func (o Options) hasToken() bool { return o.Token != "" || o.TokenFile != "" || o.TokenEnv != "" }

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// secret is the token.
func (o Options) secret() (string, error) {
	token := string(o.Token)
	if o.TokenEnv != "" {
		if token = strings.TrimSpace(os.Getenv(o.TokenEnv)); token == "" {
			return "", fmt.Errorf("the environment variable %.60q is not set: it should hold the service's token", o.TokenEnv)
		}
	}
	if o.TokenFile != "" {
		f, err := os.Open(o.TokenFile)
		if err != nil {
			return "", err
		}
		defer f.Close()
		b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
		if err != nil {
			return "", err
		}
		if len(b) > maxSecret {
			return "", fmt.Errorf("%s has more than %d bytes: that is no token", o.TokenFile, maxSecret)
		}
		if token = strings.TrimSpace(string(b)); token == "" {
			return "", fmt.Errorf("%s is empty: it should hold the service's token", o.TokenFile)
		}
	}
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", errors.New("a token is made of visible ASCII characters; this one has others")
	}
	return token, nil
}

func loadCA(file string) ([]byte, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if !x509.NewCertPool().AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no PEM certificate", file)
	}
	return pem, nil
}
