package presence

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"communewatch/agent/spool/disk"
	"communewatch/probes/presence"

	"github.com/shirou/gopsutil/v4/host"
)

const (
	markerFile = "running.json"
	maxMarker  = 4 << 10
	// drift is how far two readings of when the machine was started may lie apart: it is worked out from the clock, which
	// is set now and then.
	drift = 5 * time.Minute
)

// marker is the form of markerFile: who ran last on this state folder, and how that ended.
type marker struct {
	Machine string          `json:"machine"` // which start of the machine it was; see Machine
	Stopped presence.Reason `json:"stopped"` // "" while it runs, and after an end that was none of its own
}

// read returns the marker; ok is false where there is none, or none that can be read.
func read(dir string) (m marker, ok bool) {
	d := disk.Disk{}
	data, err := d.Read(filepath.Join(dir, markerFile), maxMarker)
	return m, err == nil && json.Unmarshal(data, &m) == nil
}

func (m marker) write(dir string) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	d := disk.Disk{}
	return d.ReplaceFile(filepath.Join(dir, markerFile), append(data, '\n'))
}

// reason is why an agent starts, by what the one before left behind.
func (m marker) reason(ok bool, machine string) presence.Reason {
	switch {
	case !ok || m.Machine == "" || machine == "":
		return presence.StartUnknown
	case sameStart(m.Machine, machine) && m.Stopped == "":
		return presence.StartCrash
	case sameStart(m.Machine, machine):
		return presence.StartService
	case m.Stopped == "":
		return presence.StartPower
	}
	return presence.StartBoot
}

// sameStart compares two readings of MachineStart.
func sameStart(a, b string) bool {
	if a == b {
		return true
	}
	at, aTime := strings.CutPrefix(a, timeMark)
	bt, bTime := strings.CutPrefix(b, timeMark)
	if !aTime || !bTime {
		return false
	}
	x, errX := strconv.ParseInt(at, 10, 64)
	y, errY := strconv.ParseInt(bt, 10, 64)
	return errX == nil && errY == nil && time.Duration(x-y).Abs() <= drift/time.Second
}

const timeMark = "time:"

// MachineStart identifies this start of the machine: by Linux's random number of it, elsewhere by its time. It is ""
// where the system does not tell.
func MachineStart() string {
	if id, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil {
		return strings.TrimSpace(string(id))
	}
	at, err := host.BootTime()
	if err != nil || at == 0 {
		return ""
	}
	return fmt.Sprintf("%s%d", timeMark, at)
}

// machineUp is for how long the machine has been running; 0 where the system does not tell.
func machineUp(ctx context.Context) float64 {
	up, err := host.UptimeWithContext(ctx)
	if err != nil {
		return 0
	}
	return float64(up)
}
