package collector

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"syscall"

	"communewatch/collector/people"
	"communewatch/collector/rehearsal"
	"communewatch/collector/rehearsal/conduct"
	"communewatch/collector/rehearsal/desk"
	"communewatch/collector/rehearsal/evidence"
	"communewatch/collector/rehearsal/guard"
	"communewatch/collector/rehearsal/hub"
	"communewatch/collector/rehearsal/plan"
	"communewatch/probes/settings"
)

// RehearsalSettings are the settings of rehearsals with what follows from others: a hub that is not described is the
// reflector, which takes no more than its own limits.
func (c *Config) RehearsalSettings() plan.Settings {
	s := c.Rehearsal
	if c.Reflector.Media == "" {
		return s
	}
	if s.HubMbps == 0 {
		s.HubMbps = float64(c.Reflector.MaxMBPS)
	}
	if s.MaxSessions == 0 {
		s.MaxSessions = c.Reflector.MaxSessions
	}
	return s
}

// openRehearsals makes the service of rehearsals; what agents report of orders goes to it.
func (c *Collector) openRehearsals() {
	o := conduct.Options{Store: c.reg.Rehearsals(), Channel: c.orders, Sites: c.reg, Evidence: evidence.Of{Judge: c.judge, Store: c.store, Now: c.o.Now, Log: c.log}.Sites, Settings: c.cfg.RehearsalSettings(), Now: c.o.Now, Log: c.log}
	if c.hub != nil {
		o.Hub = c.askHub
	} else if c.reflector != nil {
		o.Hub = func(context.Context) rehearsal.Load { return hub.Load(c.reflector.Status()) }
	}
	c.rehearsals = conduct.New(o)
	c.orders.OnReport(c.rehearsals.Report)
}

// askHub asks a hub outside how it fares; why it does not answer is for the log.
func (c *Collector) askHub(ctx context.Context) rehearsal.Load {
	l := c.hub.Load(ctx)
	if err := c.hub.Err(); err != nil && ctx.Err() == nil {
		c.log.Warn("the hub does not say how it fares (rehearsal.hub_status)", "error", err)
	}
	return l
}

// openHub makes ready to ask a hub outside, if there is one.
func (c *Collector) openHub() (err error) {
	if c.cfg.Rehearsal.HubStatus != (plan.HubStatus{}) {
		c.hub, err = hub.New(c.cfg.Rehearsal.HubStatus)
	}
	return err
}

func validateHub(s plan.HubStatus, doc *settings.Doc) {
	if s == (plan.HubStatus{}) {
		return
	}
	if _, err := hub.New(s); err != nil {
		key, what, _ := strings.Cut(err.Error(), ": ")
		doc.Problem("rehearsal.hub_status."+key, "%s", what)
	}
}

// Rehearsals returns a client of the rehearsals of the collector that runs with these settings. Its errors are told by
// NotRunning when none does.
func Rehearsals(cfg Config) desk.Client { return desk.Client{HTTP: socketClient(cfg.socketFile())} }

// typedRehearsals serves what the command line orders of rehearsals; the record says so. Whoever reaches the socket may.
func (c *Collector) typedRehearsals() http.Handler {
	orders := desk.Handler(guard.New(c.rehearsals, guard.Options{Record: c.reg.People()}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		typed := people.Caller{Name: "command", Role: people.RoleAdmin, Via: "command"}
		orders.ServeHTTP(w, r.WithContext(people.With(r.Context(), typed)))
	})
}

// NotRunning reports whether an error of a client means that no collector runs.
func NotRunning(err error) bool {
	// EINVAL: the path is too long for a socket, so that no collector can listen there. Should one run all the same,
	// the stores' locks say so.
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EINVAL)
}

// socketClient speaks HTTP over a socket.
func socketClient(file string) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", file)
	}}}
}
