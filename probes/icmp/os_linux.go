package icmp

import "syscall"

const canForbidFragments = true

// socketModes lists the kinds of socket to try, in order: ping sockets, then raw ones.
func socketModes() []socketMode { return []socketMode{modePing, modeRaw} }

const permissionHint = "allow ping sockets with `sysctl -w net.ipv4.ping_group_range=\"0 2147483647\"`, or give the program the capability CAP_NET_RAW, in its systemd unit AmbientCapabilities=CAP_NET_RAW"

var lineErrors = []syscall.Errno{
	syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ENETDOWN, syscall.EHOSTDOWN, // no route, or the device is down
	syscall.EADDRNOTAVAIL, syscall.EINVAL, // a device that is down takes its source address along
	syscall.ENODEV, syscall.ENXIO, // the device went away
	syscall.EACCES, // a "prohibit" route
}

// A kernel may lack ping sockets altogether.
var permissionErrors = []syscall.Errno{syscall.EPROTONOSUPPORT, syscall.ESOCKTNOSUPPORT}
