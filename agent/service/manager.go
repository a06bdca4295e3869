package service

import (
	"errors"
	"fmt"
	"time"
)

// Manager is the system's service manager, as far as it installs and runs the agent. System returns this machine's.
type Manager interface {
	Install(Definition) error
	Uninstall() error
	Start() error
	Stop() error
	Status() (Status, error)
}

// Definition is what a service manager is told of the agent.
type Definition struct {
	Name        string
	DisplayName string
	Description string
	Arguments   []string // after the program's own file
	Delayed     bool     // start after everything that people wait for when a machine is switched on
	// Restarts are the pauses before the first, the second and every further restart after a failure. A failure counts
	// as the first again after a time without one.
	Restarts   []time.Duration
	ResetAfter time.Duration
}

// Define is the agent's service with a settings file.
func Define(settingsFile string) Definition {
	return Definition{
		Name:        Name,
		DisplayName: "communewatch agent",
		Description: "Đo chất lượng đường truyền của cơ quan và gửi về trung tâm. Measures the lines of this office.",
		Arguments:   []string{"run", "--config", settingsFile},
		Delayed:     true,
		Restarts:    []time.Duration{5 * time.Second, 30 * time.Second, time.Minute},
		ResetAfter:  24 * time.Hour,
	}
}

// Status is what a service manager knows of a service.
type Status string

// The states.
const (
	StatusRunning Status = "running"
	StatusStopped Status = "stopped"
	StatusAbsent  Status = "not installed"
)

// ErrPackaged is what every command answers where packages bring the service.
var ErrPackaged = errors.New("here the package communewatch-agent brings the service")

// packaged is the service manager of Linux: packages do what Windows needs commands for.
type packaged struct{}

func (packaged) say(command string) error {
	return fmt.Errorf("%w; use: %s", ErrPackaged, command)
}

func (p packaged) Install(Definition) error {
	return p.say("apt install ./communewatch-agent_VERSION_ARCH.deb (or dnf install ./communewatch-agent-VERSION.ARCH.rpm)")
}
func (p packaged) Uninstall() error { return p.say("apt remove communewatch-agent (or dnf remove)") }
func (p packaged) Start() error     { return p.say("systemctl start communewatch-agent") }
func (p packaged) Stop() error      { return p.say("systemctl stop communewatch-agent") }
func (p packaged) Status() (Status, error) {
	return "", p.say("systemctl status communewatch-agent")
}

// windows is a release of Windows, as the kernel tells it: the number that is shown to programs is another one.
type windows struct {
	major, minor, build uint32
	server              bool
}

// The first builds of Windows 10 and of Windows Server 2016.
const (
	oldestClient = 10240
	oldestServer = 14393
)

// supported says whether the agent may run on it. Go's own runtime needs as much; on Windows 7 it does not even get as
// far as this, so the installer asks too.
func (w windows) supported() error {
	least := uint32(oldestClient)
	if w.server {
		least = oldestServer
	}
	if w.major > 10 || w.major == 10 && w.build >= least {
		return nil
	}
	kind := "Windows"
	if w.server {
		kind = "Windows Server"
	}
	return fmt.Errorf("this is %s %d.%d (build %d); the agent needs Windows 10 or Windows Server 2016, or newer: use another machine of the office, or Linux on this one",
		kind, w.major, w.minor, w.build)
}
