package lifeline

import (
	"os/exec"
	"syscall"
)

// DieWithParent has the kernel kill cmd's process when this one ends, however it ends. Call it before Start.
func DieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
