//go:build !linux

package icmp

import "syscall"

const canForbidFragments = false

// socketModes lists the kinds of socket to try: only raw ones work everywhere.
func socketModes() []socketMode { return []socketMode{modeRaw} }

const permissionHint = "run the program as a service of the system or as administrator, and allow ICMPv4 and ICMPv6 echo in the firewall"

// The numbers are those of Windows sockets.
var lineErrors = []syscall.Errno{
	10051, 10065, 10050, 10064, // WSAENETUNREACH, WSAEHOSTUNREACH, WSAENETDOWN, WSAEHOSTDOWN
	10049, // WSAEADDRNOTAVAIL
}

var permissionErrors = []syscall.Errno{
	10013, // WSAEACCES
}
