package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"communewatch/deploy/lab"
)

// Absence is what could be seen of the time that the database was gone.
type Absence struct {
	Said    time.Time // when screens first said that it is away; zero: never
	Since   time.Time // since when it is, as they said
	Reason  string
	Unsaid  time.Time // when they last began to say that it is there; zero: not since it was away
	Back    time.Time // when it was started again
	Spooled int       // the most batches that waited in the spools of all agents
	Left    int       // those that did after the audit: what was just measured, and is on disk for sure in a moment
}

// String is the absence in a line.
func (a *Absence) String() string {
	if a.Said.IsZero() {
		return "screens never said that the database was away"
	}
	clock := func(t time.Time) string { return t.Format(time.TimeOnly) }
	text := fmt.Sprintf("database started again at %s; screens said at %s that it was away since %s (%s)", clock(a.Back), clock(a.Said), clock(a.Since), a.Reason)
	if a.Unsaid.IsZero() {
		text += " and say so still"
	} else {
		text += fmt.Sprintf(" and at %s that it was back", clock(a.Unsaid))
	}
	return text + fmt.Sprintf("; %d batches waited with the agents at most, %d in the end", a.Spooled, a.Left)
}

// look is how often the absence is looked at.
const look = 500 * time.Millisecond

// watchAbsence asks, as a screen does, what the collector says of its database, and counts what waits, until ctx ends.
func watchAbsence(ctx context.Context, p *lab.Province, dir string) (a Absence) {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		if s, err := askStatus(ctx, client, p); err == nil {
			switch {
			case s.Away && a.Said.IsZero():
				a.Said, a.Since, a.Reason = time.Now(), s.Since, s.Reason
			case s.Away:
				a.Unsaid = time.Time{}
			case !a.Said.IsZero() && a.Unsaid.IsZero():
				a.Unsaid = time.Now()
			}
		}
		if n, err := spooled(dir); err == nil {
			a.Spooled = max(a.Spooled, n)
		}
		if sleep(ctx, look) != nil {
			return a
		}
	}
}

// storeStatus is the part of /api/v1/status that is looked at.
type storeStatus struct {
	Away   bool      `json:"away"`
	Since  time.Time `json:"since"`
	Reason string    `json:"reason"`
}

func askStatus(ctx context.Context, client *http.Client, p *lab.Province) (storeStatus, error) {
	var doc struct {
		Store storeStatus `json:"store"`
	}
	err := ask(ctx, client, "http://"+p.Reachable()+"/api/v1/status?lang=en", &doc)
	return doc.Store, err
}

func ask(ctx context.Context, client *http.Client, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return json.NewDecoder(io.LimitReader(resp.Body, 64<<20)).Decode(into)
}

// fresh is how old a batch is at most that waits only because it was just measured: agents send every few seconds, and
// one of a healthy agent is gone within its next attempt.
const fresh = 20 * time.Second

// spooled counts the batches on the disks of all agents.
func spooled(dir string) (int, error) { return waiting(dir, time.Now().Add(time.Hour)) }

// waiting counts those that were there before a time.
func waiting(dir string, before time.Time) (n int, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "agents", "*", "state", "spool", "*", "*.lp.gz"))
	for _, f := range files {
		if strings.HasPrefix(filepath.Base(filepath.Dir(f)), "quarantine") {
			continue
		}
		if info, serr := os.Stat(f); serr == nil && info.ModTime().Before(before) { // else it was delivered meanwhile
			n++
		}
	}
	return n, err
}

// reportWithin bounds the time until every site reports.
const reportWithin = 2 * time.Minute

// reporting returns once every site has reported, or a child has ended.
func reporting(ctx context.Context, p *lab.Province, children []*child) error {
	ctx, cancel := context.WithTimeout(ctx, reportWithin)
	defer cancel()
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		var sites []struct {
			LastSeen string `json:"last_seen"`
		}
		err := ask(ctx, client, "http://"+p.Reachable()+"/api/v1/sites", &sites)
		n := 0
		for _, s := range sites {
			if s.LastSeen != "" {
				n++
			}
		}
		if err == nil && n >= len(p.Sites()) {
			return nil
		}
		for _, c := range children {
			select {
			case err := <-c.done:
				c.done = nil
				return err
			default:
			}
		}
		if end := sleep(ctx, look); end != nil {
			return fmt.Errorf("%d of %d sites report: %w", n, len(p.Sites()), errors.Join(end, err))
		}
	}
}
