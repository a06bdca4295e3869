package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"communewatch/collector/rollup"
	"communewatch/collector/store/influx"
	"communewatch/collector/store/influx/setup/ask"
	"communewatch/probes"
)

// Options of Setup and Check.
type Options struct {
	Config influx.Config                  // required, validated
	Keep   map[rollup.Level]time.Duration // how long each level is kept, rollup.Raw among them; required

	// Setup alone.
	Admin    string // who may make databases: user:password (1.8) or a token; "": what is in the token file
	User     string // 1.8: the user to make; "": none is made
	Password string // of User; "": one is made up
	Alter    bool   // change what is there and differs
	DryRun   bool   // only say what would be done

	// Check alone.
	Ours      []string // measurements that the collector itself stores windows of, beyond the contract
	MaxSeries int      // series of a database above which something is wrong; 0: 500,000

	Now func() time.Time // nil: time.Now
}

// State is what became of one thing.
type State string

// The states.
const (
	Made        State = "made"
	There       State = "there"
	Altered     State = "changed"
	Differs     State = "differs"      // left as it is
	Unknown     State = "unknown"      // there, and the server does not tell whether it is right
	WouldMake   State = "would make"   // with DryRun
	WouldChange State = "would change" // with DryRun
)

// Step is one thing that Setup looked after.
type Step struct {
	Part  string `json:"part"` // database, bucket, mapping, user, token
	Name  string `json:"name"`
	State State  `json:"state"`
	Is    string `json:"is,omitempty"`  // what it is, or was
	Fix   string `json:"fix,omitempty"` // what to do, and what that costs
}

// Report is what Setup did.
type Report struct {
	Server ask.Server `json:"server"`
	Steps  []Step     `json:"steps"`
}

// Changed says whether anything was made or changed.
func (r Report) Changed() bool { return r.any(Made, Altered) }

// Differs says whether anything is not as it should be.
func (r Report) Differs() bool { return r.any(Differs) }

func (r Report) any(states ...State) bool {
	for _, s := range r.Steps {
		for _, state := range states {
			if s.State == state {
				return true
			}
		}
	}
	return false
}

// run is one Setup.
type run struct {
	Options
	link   *ask.Link
	report Report
}

// Setup makes what is missing. Its report is of what was done up to an error.
func Setup(ctx context.Context, o Options) (Report, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	own, err := readToken(o.Config.TokenFile)
	if err != nil {
		return Report{}, err
	}
	if o.Admin == "" {
		o.Admin = own
	}
	l, err := ask.New(o.Config, o.Admin)
	if err != nil {
		return Report{}, err
	}
	r := &run{Options: o, link: l}
	if r.report.Server, err = l.Identify(ctx, o.Now); err != nil {
		return r.report, err
	}
	if o.User != "" && r.report.Server.Generation != 1 {
		return r.report, fmt.Errorf("--user is for 1.8; %s has tokens, and one is made by itself", r.report.Server)
	}
	switch r.report.Server.Generation {
	case 1:
		err = r.setup1(ctx, own)
	case 2:
		err = r.setup2(ctx, own)
	default:
		err = r.setup3(ctx, own)
	}
	return r.report, err
}

// levels lists raw rows and all levels of windows.
func levels() []rollup.Level { return append([]rollup.Level{rollup.Raw}, rollup.Levels()...) }

// shard is how much time one shard holds. A shard is dropped as a whole, so it should be short against the retention;
// each costs files and memory, so windows that are kept for years get long ones.
func shard(l rollup.Level, keep time.Duration) time.Duration {
	d := map[rollup.Level]time.Duration{
		rollup.Raw: day, rollup.FiveMinutes: 7 * day, rollup.Hour: 30 * day, rollup.Day: 180 * day, rollup.Month: 365 * day,
	}[l]
	return min(d, max(keep, time.Hour))
}

const day = 24 * time.Hour

// span writes a retention for people.
func span(d time.Duration) string {
	switch {
	case d == 0:
		return "for ever"
	case d%day == 0:
		return fmt.Sprintf("%d days", d/day)
	}
	return d.String()
}

// longer says whether rows kept for a are kept longer than for b. 0 is for ever.
func longer(a, b time.Duration) bool { return b != 0 && (a == 0 || a > b) }

// note adds a step.
func (r *run) note(part, name string, state State, is, fix string) {
	r.report.Steps = append(r.report.Steps, Step{Part: part, Name: name, State: state, Is: is, Fix: fix})
}

// make makes something, or says that it would.
func (r *run) make(part, name, is string, do func() error) error {
	if r.DryRun {
		r.note(part, name, WouldMake, is, "")
		return nil
	}
	if err := do(); err != nil {
		return fmt.Errorf("make %s %s: %w", part, name, err)
	}
	r.note(part, name, Made, is, "")
	return nil
}

// alter changes something if that was asked for, or says what it is. fix says what changing it does.
func (r *run) alter(part, name, is, fix string, do func() error) error {
	switch {
	case !r.Alter:
		r.note(part, name, Differs, is, "--alter "+fix)
		return nil
	case r.DryRun:
		r.note(part, name, WouldChange, is, "--alter "+fix)
		return nil
	}
	if err := do(); err != nil {
		return fmt.Errorf("change %s %s: %w", part, name, err)
	}
	r.note(part, name, Altered, "was "+is, "")
	return nil
}

// maxToken bounds a file with a token or password.
const maxToken = 4096

// readToken reads a file of one line. No file named, or none there, is "".
func readToken(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	b := make([]byte, maxToken+1)
	n, err := f.Read(b)
	if n == 0 {
		return "", nil // empty, as a file that somebody has made ready
	}
	return oneLine(file, string(b[:n]), err)
}

// ReadSecret reads a file that must hold one line: a token, user:password, or a password.
func ReadSecret(file string) (string, error) {
	if _, err := os.Stat(file); err != nil {
		return "", err
	}
	secret, err := readToken(file)
	if err == nil && secret == "" {
		err = fmt.Errorf("%s is empty", file)
	}
	return secret, err
}

func oneLine(file, text string, err error) (string, error) {
	if err != nil {
		return "", err
	}
	text = strings.TrimRight(text, "\r\n")
	if len(text) > maxToken || strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return "", fmt.Errorf("%s must hold one line of at most %d bytes", file, maxToken)
	}
	return text, nil
}

// keepToken runs do, which returns a secret, and has the secret in the token file afterwards, for its owner alone. That
// the file can be written is tried first: a secret that nobody has is of no use.
func (r *run) keepToken(do func() (string, error)) error {
	file := r.Config.TokenFile
	tmp, err := os.CreateTemp(filepath.Dir(file), ".influx-token-*") // 0600
	if err != nil {
		return fmt.Errorf("influx.token_file: %w", err)
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	secret, err := do()
	if err != nil {
		return err
	}
	if _, err := tmp.WriteString(secret + "\n"); err != nil {
		return err
	}
	if err := errors.Join(tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), file)
}

// checkUser is for names that go into statements.
func checkUser(name string) error {
	if err := probes.CheckName(name); err != nil {
		return fmt.Errorf("--user: %w", err)
	}
	return nil
}
