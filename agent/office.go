package agent

import (
	"log/slog"

	"communewatch/agent/onsite"
	"communewatch/probes/settings"
)

// Office is the page that the agent shows to the people of its own office; see agent/onsite.
type Office struct {
	Listen string `yaml:"listen"` // address and port; "": there is no page
	LAN    bool   `yaml:"lan"`    // machines of the office's network may look too
}

func (v *validator) office(c *Config) {
	if c.Office.Listen == "" {
		return
	}
	if err := onsite.CheckListen(c.Office.Listen, c.Office.LAN); err != nil {
		v.doc.Problem("onsite.listen", "%v", err)
	}
}

// newOffice makes the page; nil where the settings want none.
func (a *Agent) newOffice() *onsite.Page {
	if a.cfg.Office.Listen == "" {
		return nil
	}
	return onsite.New(onsite.Options{Listen: a.cfg.Office.Listen, LAN: a.cfg.Office.LAN, Site: a.cfg.Site, Watch: &a.watch, Log: a.log})
}

// OfficeOf is the page of a settings file whose machine waits to be enrolled: it says how to, or that it has asked to be. It is nil where the file wants
// none, or can't be read.
func OfficeOf(file string, asked func() bool, log *slog.Logger) *onsite.Page {
	data, err := readSettings(file)
	if err != nil {
		return nil
	}
	cfg := DefaultConfig()
	doc := settings.Read(file, data, &cfg)
	(&validator{doc: doc}).office(&cfg)
	if doc.Err() != nil || cfg.Office.Listen == "" {
		return nil
	}
	return onsite.New(onsite.Options{Listen: cfg.Office.Listen, LAN: cfg.Office.LAN, Watch: &onsite.Watch{}, Asked: asked, Log: log})
}
