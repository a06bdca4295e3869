package agent

import (
	"errors"

	"communewatch/agent/identity"
	"communewatch/probes/settings"
)

// Alive says whether the agent gets on with its checks, for whoever would start it anew otherwise.
func (a *Agent) Alive() bool { return a.sched.Alive() }

// Unenrolled says whether a settings file waits for its machine to be enrolled: it names neither site nor collectors, and
// there is no identity yet that would. A service with such a file has not failed, it waits for people.
func Unenrolled(file string) bool {
	data, err := readSettings(file)
	if err != nil {
		return false
	}
	cfg := DefaultConfig()
	if settings.Read(file, data, &cfg).Err() != nil || cfg.Site != "" || len(cfg.Collectors) > 0 || cfg.StateDir == "" {
		return false
	}
	_, err = identity.Read(identity.Folder(cfg.StateDir))
	return errors.Is(err, identity.ErrNone)
}
