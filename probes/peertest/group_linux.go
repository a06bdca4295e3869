package peertest

import "syscall"

// ownGroup puts a program and its children into a process group of their own, and ends it should the test be killed.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

func signalGroup(pid int, s syscall.Signal) { _ = syscall.Kill(-pid, s) }
