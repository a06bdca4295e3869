// Package identify is the command that asks one device, or a network, what it is, and prints what it finds.
package identify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"communewatch/agent/cmd/communewatch-agent/exit"
	"communewatch/probes"
	"communewatch/probes/snmp/identify"
	"communewatch/probes/snmp/recording"
	"communewatch/probes/snmp/session"

	"github.com/spf13/cobra"
)

// identified is what the command prints of one device as JSON.
type identified struct {
	Address  string     `json:"address,omitempty"`
	Vendor   *string    `json:"vendor"` // null: unknown
	Model    *string    `json:"model"`
	Version  *string    `json:"version"`
	Serial   *string    `json:"serial"`
	Class    *string    `json:"class"`
	ReadAt   time.Time  `json:"read_at"` // RFC 3339, UTC
	Evidence []evidence `json:"evidence"`
}

type evidence struct {
	Fact       probes.FactName `json:"fact"`
	Value      string          `json:"value"`
	Source     string          `json:"source"`
	Confidence float64         `json:"confidence"`
	At         time.Time       `json:"at"` // when it was read; of a recording, when its file was written
}

func asIdentified(address string, facts []probes.Fact, at time.Time) identified {
	at = at.UTC().Truncate(time.Second)
	out := identified{Address: address, ReadAt: at, Evidence: []evidence{}}
	for _, f := range facts {
		out.Evidence = append(out.Evidence, evidence{f.Name, f.Value, f.Source, f.Confidence, at})
		value := f.Value
		for name, field := range map[probes.FactName]**string{probes.FactVendor: &out.Vendor, probes.FactModel: &out.Model,
			probes.FactVersion: &out.Version, probes.FactSerial: &out.Serial, probes.FactClass: &out.Class} {
			if name == f.Name {
				*field = &value
			}
		}
	}
	return out
}

// asking is what the flags of identify say.
type asking struct {
	session.Options
	community, communityFile string
	authKeyFile, privKeyFile string
	version, source          string

	replay, record, profiles string
	snmpOnly, protocols      bool
	within                   time.Duration
	json                     bool

	sweep, config  string
	allow, exclude []string
	rate           float64
	port           string
}

// New returns the command identify.
func New() *cobra.Command {
	var a asking
	cmd := &cobra.Command{
		Use:   "identify HOST[:PORT] | --replay FILE | --sweep PREFIX",
		Short: "Say what a device is, with the evidence",
		Long: `Asks a device over SNMP what it is: vendor, model, version, serial number and class, each with the place it was read
from and how sure that is. What is not known is left out (null in JSON). A host that does not answer SNMP is looked at
from outside: its web page, its greetings, its network card. With --sweep, everything in a network that may be looked
through is identified; JSON is then one object per line.`,
		Example: `  communewatch-agent identify 192.168.1.1 --community public
  communewatch-agent identify 192.168.1.1 --v3 monitor --auth-key-file auth.key --priv-key-file priv.key --json
  communewatch-agent identify 192.168.1.1 --record odd.snmprec
  communewatch-agent identify --replay odd.snmprec --profiles mine
  communewatch-agent identify --sweep 192.168.1.0/24 --community-file community`,
		Args: func(_ *cobra.Command, args []string) error {
			ways := len(args)
			for _, way := range []string{a.replay, a.sweep} {
				if way != "" {
					ways++
				}
			}
			switch {
			case ways != 1:
				return errors.New("want one HOST[:PORT], or --replay FILE, or --sweep PREFIX; for example: communewatch-agent identify 192.168.1.1")
			case a.record != "" && len(args) == 0:
				return errors.New("--record: wants one HOST[:PORT]")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			engine, err := newEngine(a.profiles)
			if err != nil {
				return exit.Own(err)
			}
			if a.replay != "" {
				return a.fromFile(cmd, engine)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), a.within)
			defer cancel()
			if a.sweep != "" {
				return a.sweepNetwork(ctx, cmd, engine)
			}
			if err := a.complete(args[0]); err != nil {
				return exit.Own(err)
			}
			return a.fromDevice(ctx, cmd, engine)
		},
	}
	f := cmd.Flags()
	f.StringVar(&a.community, "community", "public", "community of SNMP versions 1 and 2c")
	f.StringVar(&a.communityFile, "community-file", "", "`file` with the community")
	f.StringVar(&a.version, "snmp-version", "auto", "protocol `version`: 1, 2c, 3 or auto (2c, else 1)")
	f.StringVar(&a.User.Name, "v3", "", "`user` of SNMP version 3")
	f.StringVar(&a.User.Auth, "auth", "sha256", "authentication `protocol`: "+strings.Join(session.AuthProtocols(), ", "))
	f.StringVar(&a.User.AuthKey, "auth-key", "", "authentication passphrase; none: not authenticated")
	f.StringVar(&a.authKeyFile, "auth-key-file", "", "`file` with it")
	f.StringVar(&a.User.Priv, "priv", "aes", "encryption `protocol`: "+strings.Join(session.PrivProtocols(), ", "))
	f.StringVar(&a.User.PrivKey, "priv-key", "", "encryption passphrase; none: not encrypted")
	f.StringVar(&a.privKeyFile, "priv-key-file", "", "`file` with it")
	f.StringVar(&a.User.Context, "context", "", "context name of SNMP version 3")
	f.DurationVar(&a.Timeout, "timeout", 2*time.Second, "how long one answer may take")
	f.IntVar(&a.Retries, "retries", 1, "times a question is sent again")
	f.DurationVar(&a.within, "within", 30*time.Minute, "how long all of it may take")
	f.StringVar(&a.Bind.Device, "device", "", "network `device` to bind to (Linux)")
	f.StringVar(&a.source, "source", "", "source `address` to send from")
	f.StringVar(&a.replay, "replay", "", "identify from a recording (`file`), not from a device")
	f.StringVar(&a.record, "record", "", "write all that the device says to a `file`, for --replay; communities and users are left out")
	f.StringVar(&a.profiles, "profiles", "", "`folder` with further profiles; they go before the built-in ones")
	f.BoolVar(&a.snmpOnly, "snmp-only", false, "don't look at a host from outside when SNMP is silent")
	f.BoolVar(&a.protocols, "protocols", false, "find out too which versions of SNMP the device speaks")
	f.StringVar(&a.sweep, "sweep", "", "identify everything in a `network`, for example 192.168.1.0/24; at most 1,024 addresses")
	f.StringSliceVar(&a.allow, "allow", nil, "`networks` that may be looked through; default: as --config says, or this machine's own")
	f.StringSliceVar(&a.exclude, "exclude", nil, "`addresses` that are left alone")
	f.Float64Var(&a.rate, "rate", 20, "questions begun per second in a sweep")
	f.StringVar(&a.port, "port", "161", "SNMP `port` in a sweep")
	f.StringVar(&a.config, "config", "", "settings `file` whose sweep checks say what may be looked through")
	f.BoolVar(&a.json, "json", false, "print JSON")
	return cmd
}

func newEngine(profiles string) (*identify.Engine, error) {
	var own fs.FS
	if profiles != "" {
		if _, err := os.Stat(profiles); err != nil {
			return nil, fmt.Errorf("--profiles: %w", err)
		}
		own = os.DirFS(profiles)
	}
	return identify.New(own)
}

// complete turns what the flags say into the options of a session.
func (a *asking) complete(target string) error {
	a.Address = target
	if _, _, err := net.SplitHostPort(target); err != nil {
		a.Address = net.JoinHostPort(strings.Trim(target, "[]"), "161")
	}
	for _, s := range []struct {
		flag, file string
		into       *string
	}{
		{"--community-file", a.communityFile, &a.community},
		{"--auth-key-file", a.authKeyFile, &a.User.AuthKey},
		{"--priv-key-file", a.privKeyFile, &a.User.PrivKey},
	} {
		if s.file == "" {
			continue
		}
		data, err := os.ReadFile(s.file)
		if err != nil {
			return fmt.Errorf("%s: %w", s.flag, err)
		}
		*s.into = strings.TrimSpace(string(data))
	}
	switch a.Community = a.community; {
	case a.version == "auto" && a.User.Name == "":
		a.Version = session.Auto
	case a.version == "auto" || a.version == "3":
		a.Version = session.V3
	case a.version == "1" || a.version == "2c":
		a.Version = session.Version(a.version)
	default:
		return fmt.Errorf("--snmp-version: %q is none of 1, 2c, 3, auto", a.version)
	}
	if a.User.Name == "" && a.Version == session.V3 {
		return errors.New("--v3: name the user of SNMP version 3")
	}
	if a.User.AuthKey == "" {
		a.User.Auth = ""
	} else if !slices.Contains(session.AuthProtocols(), a.User.Auth) {
		return fmt.Errorf("--auth: %q is none of %s", a.User.Auth, strings.Join(session.AuthProtocols(), ", "))
	}
	if a.User.PrivKey == "" {
		a.User.Priv = ""
	} else if !slices.Contains(session.PrivProtocols(), a.User.Priv) {
		return fmt.Errorf("--priv: %q is none of %s", a.User.Priv, strings.Join(session.PrivProtocols(), ", "))
	}
	if a.User.Priv != "" && a.User.Auth == "" {
		return errors.New("--auth-key: what is encrypted has to be authenticated too; give the authentication passphrase")
	}
	if a.source != "" {
		addr, err := netip.ParseAddr(a.source)
		if err != nil {
			return fmt.Errorf("--source: %w", err)
		}
		a.Bind.Source = addr
	}
	return nil
}

func (a *asking) fromFile(cmd *cobra.Command, engine *identify.Engine) error {
	f, err := os.Open(a.replay)
	if err != nil {
		return exit.Own(err)
	}
	defer f.Close()
	rec, err := recording.Parse(f)
	if err != nil {
		return exit.Own(fmt.Errorf("%s: %w", a.replay, err))
	}
	for _, p := range rec.Problems() {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: %v\n", a.replay, p)
	}
	id, err := engine.Identify(cmd.Context(), rec)
	if err != nil {
		return err
	}
	made, err := f.Stat()
	if err != nil {
		return exit.Own(err)
	}
	return a.print(cmd.OutOrStdout(), "", id.Facts, made.ModTime())
}

func (a *asking) fromDevice(ctx context.Context, cmd *cobra.Command, engine *identify.Engine) error {
	s := session.New(a.Options)
	defer s.Close()
	if _, err := s.Open(ctx); err != nil {
		return a.withoutSNMP(ctx, cmd, err)
	}
	id, err := engine.Identify(ctx, s)
	if err != nil {
		return exit.NotUp(fmt.Errorf("%s: %w", a.Address, err))
	}
	facts := id.Facts
	if a.protocols { // it takes seconds of silence to know that a device does not speak version 3
		spoken, _ := s.Protocols(ctx)
		facts = append(facts, spoken)
	}
	if err := a.print(cmd.OutOrStdout(), a.Address, facts, time.Now()); err != nil || a.record == "" {
		return err
	}
	rec, err := recording.Record(ctx, s, recording.Options{Secrets: []string{a.Community, a.User.AuthKey, a.User.PrivKey}})
	if err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: recorded, but not whole: %v\n", a.record, err)
	}
	var out bytes.Buffer
	if err := rec.Write(&out); err != nil {
		return fmt.Errorf("--record: %w", err)
	}
	if err := os.WriteFile(a.record, out.Bytes(), 0o600); err != nil {
		return fmt.Errorf("--record: %w", err)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s: %d variables recorded\n", a.record, rec.Len())
	return nil
}

// print writes what a device is, and that it was read at a time.
func (a *asking) print(w io.Writer, address string, facts []probes.Fact, at time.Time) error {
	if a.json {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		return enc.Encode(asIdentified(address, facts, at))
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range facts {
		fmt.Fprintf(t, "%s\t%s\t%.0f %%\t%s\n", f.Name, ellipsis(f.Value), 100*f.Confidence, f.Source)
	}
	return t.Flush()
}

// ellipsis cuts a value to what fits on a line beside its source; JSON has all of it.
func ellipsis(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}
