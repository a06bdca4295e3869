// Package icmp measures loss, round-trip time, jitter, duplication and reordering of a path by echo requests
// ("ping", RFC 792 and RFC 4443).
//
// # What a burst can tell
//
// One run sends a burst of requests at a fixed pace. Loss is lost/sent, where every attempt is a sent one: a line
// that is down makes the system refuse to send, and that is loss to whoever sits behind the line. n requests without
// a loss show at 95 % confidence only that the true loss is below about 3/n, so ratios over hours come from sums of
// counts, never from means of ratios.
//
// Jitter is the mean difference of the round-trip times of neighbouring requests (RFC 3393). It is of the way there
// and back together; a ping cannot tell the two apart. Reordering is counted as RFC 4737 defines it.
//
// Round-trip times are taken in user space: expect them 0.03 to 0.1 ms too long, with an outlier of a millisecond
// when the machine is busy. That is nothing beside a wide-area line; on a local network jitter below 0.1 ms is the
// machine's own. Should somebody set the clock during a round trip, the monotonic clock is used instead and the
// sample counted in clock_steps.
//
// A ping is silent on causes: it is not told about ICMP errors, so a router's "unreachable" reads as loss.
//
// # Sockets and permissions
//
// Linux offers two ways. Ping sockets need no privilege, only a group id within the sysctl net.ipv4.ping_group_range
// (which distributions often open to all, but the kernel's default is closed to all), and the kernel gives each
// request an identifier of its own. Raw sockets need the capability CAP_NET_RAW, and each sees every ICMP packet of
// the machine. Ping sockets are tried first. Windows knows raw sockets only.
package icmp
