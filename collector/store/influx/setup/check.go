package setup

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"communewatch/collector/rollup"
	"communewatch/collector/store/influx/setup/ask"
)

// Severity is how much a finding matters.
type Severity string

// The severities.
const (
	Good  Severity = "ok"
	Note  Severity = "note"  // works as it is
	Wrong Severity = "wrong" // must be put right
)

// Finding is one thing that Check looked at.
type Finding struct {
	Severity Severity `json:"severity"`
	Part     string   `json:"part"` // server, clock, token, database, writers
	Name     string   `json:"name,omitempty"`
	What     string   `json:"what"`
	Fix      string   `json:"fix,omitempty"`
}

// Verdict is all that Check found.
type Verdict struct {
	Server   ask.Server `json:"server"`
	Findings []Finding  `json:"findings"`
}

// Wrong says whether anything must be put right.
func (v Verdict) Wrong() bool {
	return slices.ContainsFunc(v.Findings, func(f Finding) bool { return f.Severity == Wrong })
}

const (
	// clockNoted is a difference that dashboards show; the header it is taken from has whole seconds.
	clockNoted = 3 * time.Second
	// clockWrong is one at which the newest rows are in the server's future or go missing at the end of retention.
	clockWrong = time.Minute
	// maxSeries is half of what 1.8 takes by default, and many times what a province has.
	maxSeries = 500_000
)

// check is one Check.
type check struct {
	Options
	link    *ask.Link
	verdict Verdict
}

// Check looks at everything and changes nothing: it writes one comment to each database, which stores nothing.
func Check(ctx context.Context, o Options) Verdict {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxSeries == 0 {
		o.MaxSeries = maxSeries
	}
	c := &check{Options: o}
	c.verdict.Server.URL = o.Config.URL
	token, err := readToken(o.Config.TokenFile)
	if err == nil {
		c.link, err = ask.New(o.Config, token)
	}
	if err != nil {
		c.add(Wrong, "token", "", err.Error(), "")
		return c.verdict
	}
	if c.verdict.Server, err = c.link.Identify(ctx, o.Now); err != nil {
		c.add(Wrong, "server", o.Config.URL, err.Error(), "")
		return c.verdict
	}
	c.server(ctx)
	c.clock()
	if !c.tokenFile() {
		return c.verdict // each database would only say that nobody asked
	}
	for _, l := range levels() {
		if c.database(ctx, l) {
			c.writers(ctx, l)
		}
	}
	return c.verdict
}

func (c *check) add(s Severity, part, name, what, fix string) {
	c.verdict.Findings = append(c.verdict.Findings, Finding{s, part, name, what, fix})
}

func (c *check) server(ctx context.Context) {
	s := c.verdict.Server
	c.add(Good, "server", s.URL, strings.TrimSpace("InfluxDB "+s.Version+" "+s.Build), "")
	if s.Core() {
		c.add(Note, "server", s.URL, "3 Core answers queries over 72 hours at a time, so questions about years take many; and it keeps databases with a fixed retention",
			"1.8, 2.x or 3 Enterprise answer faster about the past")
	}
	if u, err := url.Parse(s.URL); err == nil && u.Scheme == "http" && c.link.Token != "" && !loopback(u.Hostname()) {
		c.add(Note, "server", s.URL, "the token travels in the clear", "give the server a certificate and influx.url https, or keep the way to it private")
	}
	if s.Generation == 1 {
		if asks, err := asksForPassword(ctx, c.link); err == nil && !asks {
			c.add(Note, "server", s.URL, "it asks nobody who they are: whoever reaches it reads, changes and deletes everything",
				"set [http] auth-enabled = true, or let nobody but the collector and Grafana reach it")
		}
	}
}

func loopback(host string) bool {
	return host == "localhost" || host == "::1" || strings.HasPrefix(host, "127.")
}

func (c *check) clock() {
	d := c.verdict.Server.ClockAhead
	what := fmt.Sprintf("the server's clock is %v %s ours", d.Abs().Round(time.Second), map[bool]string{true: "ahead of", false: "behind"}[d > 0])
	switch {
	case d.Abs() >= clockWrong:
		c.add(Wrong, "clock", "", what, "let both machines take the time from the same NTP servers: timedatectl")
	case d.Abs() >= clockNoted:
		c.add(Note, "clock", "", what, "let both machines take the time from the same NTP servers: timedatectl")
	default:
		c.add(Good, "clock", "", "within "+clockNoted.String()+" of ours", "")
	}
}

// tokenFile looks at the file with the token. It returns false if there is none though the settings name one.
func (c *check) tokenFile() bool {
	file := c.Config.TokenFile
	if file == "" {
		return true
	}
	if c.link.Token == "" {
		c.add(Wrong, "token", file, "influx.token_file is missing, or empty", c.setup(false)+" makes it")
		return false
	}
	if c.verdict.Server.Generation == 1 && strings.ContainsAny(c.link.Token, " \t") {
		c.add(Wrong, "token", file, "the password has a space, which 1.8 does not take in the header that the collector sends", c.setup(true))
	}
	if info, err := os.Stat(file); err == nil && info.Mode().Perm()&0o077 != 0 {
		c.add(Note, "token", file, fmt.Sprintf("others on this machine may read it (%v)", info.Mode().Perm()), "chmod 600 "+file)
	}
	return true
}

// setup is the command that gives the collector what it lacks; renew, even if it has a token or user already.
func (c *check) setup(renew bool) string {
	command := "communewatch-collector influx setup"
	if c.Config.TokenFile != "" {
		command += " --admin-token-file FILE"
	}
	if c.verdict.Server.Generation == 1 && c.Config.TokenFile != "" {
		user, _, ok := strings.Cut(c.link.Token, ":")
		if !ok || user == "" {
			user = "NAME" // without a colon it may be the password alone
		}
		command += " --user " + shell(ask.Printable(user, 40))
	}
	if renew {
		command += " --alter"
	}
	return command
}

// database looks whether a level's database is there, may be read and written, and keeps rows long enough. It returns
// whether it can be read.
func (c *check) database(ctx context.Context, l rollup.Level) bool {
	name := c.Config.DatabaseOf(l)
	missing := func() {
		c.add(Wrong, "database", name, "it is not there, or the token does not see it", c.setup(false))
	}
	refused := func(what string, err error) {
		fix := c.setup(true) + " makes a token that may"
		if c.verdict.Server.Generation == 1 {
			fix = c.setup(true) + " gives the user its rights, and a new password where that in influx.token_file is wrong"
		}
		if c.Config.TokenFile == "" {
			fix = "name a file as influx.token_file; then: communewatch-collector influx setup --admin-token-file FILE (1.8: and --user NAME)"
		}
		c.add(Wrong, "database", name, "the token may not "+what+" it: "+err.Error(), fix)
	}
	keep, told := time.Duration(0), true
	var err error
	switch c.verdict.Server.Generation {
	case 1:
		var have []string
		if have, err = c.link.List(ctx, "", "SHOW DATABASES", "name"); err == nil && !slices.Contains(have, name) {
			missing()
			return false
		}
		if err == nil {
			var p policy
			p, err = defaultPolicy(ctx, c.link, name)
			keep = p.keep
		}
	case 2:
		var b *bucket
		if b, err = findBucket(ctx, c.link, c.Config.Org, name); err == nil && b == nil {
			missing()
			return false
		}
		if err == nil {
			keep = b.keep()
			c.mapping(ctx, b)
		}
	default:
		told = false
	}
	if err == nil {
		_, err = c.link.Query(ctx, name, "SHOW MEASUREMENTS")
	}
	if ask.Status(err) == http.StatusNotFound {
		missing() // a write would make it on 3.x, and is not tried
		return false
	}
	if err != nil {
		refused("read", err)
		return false
	}
	if err := c.link.WriteNothing(ctx, c.Config.Org, name); err != nil {
		refused("write", err)
	} else {
		c.add(Good, "database", name, "may be read and written", "")
	}
	c.retention(name, keep, c.Keep[l], told)
	return true
}

func (c *check) retention(name string, is, want time.Duration, told bool) {
	what := fmt.Sprintf("keeps rows %s, the settings say %s", span(is), span(want))
	switch {
	case !told:
		c.add(Note, "database", name, "the server does not tell how long it keeps rows; it should be "+span(want), "look: influxdb3 show retention --database "+name)
	case longer(want, is):
		c.add(Wrong, "database", name, what+": older ones are deleted before their time", "communewatch-collector influx setup --alter")
	case longer(is, want):
		c.add(Note, "database", name, what+": it takes more room than it needs", "communewatch-collector influx setup --alter, which deletes the older ones, or longer retention in the settings")
	default:
		c.add(Good, "database", name, "keeps rows "+span(is), "")
	}
}

// mapping looks whether InfluxQL finds a bucket under its own name.
func (c *check) mapping(ctx context.Context, b *bucket) {
	all, err := mappings(ctx, c.link, b.OrgID, b.Name)
	if err != nil {
		c.add(Note, "database", b.Name, "mappings can't be listed: "+err.Error(), "")
		return
	}
	for _, m := range all {
		if m.Database != b.Name || !m.Default {
			continue
		}
		if m.BucketID != b.ID {
			c.add(Wrong, "database", b.Name, "InfluxQL takes this name for another bucket, "+ask.Printable(m.BucketID, 40), "influx v1 dbrp delete --id "+ask.Printable(m.ID, 40)+", then communewatch-collector influx setup")
		}
		return
	}
	c.add(Wrong, "database", b.Name, "InfluxQL does not find the bucket: it has no DBRP mapping, or the name is mapped to another bucket", "communewatch-collector influx setup")
}
