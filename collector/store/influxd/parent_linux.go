package influxd

import (
	"os/exec"
	"syscall"
)

// endWithParent makes the kernel end the server when the process that started it is gone, killed or not. The start
// must come from a thread that lives as long as that process; Go's main threads do unless they are locked and ended.
func endWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
