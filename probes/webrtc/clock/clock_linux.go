package clock

import "golang.org/x/sys/unix"

func ask() (kernel, bool) {
	var t unix.Timex // no modes: nothing is set
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return kernel{}, false
	}
	return kernel{
		unsynchronised: state == unix.TIME_ERROR || t.Status&unix.STA_UNSYNC != 0,
		maxError:       int64(t.Maxerror), estError: int64(t.Esterror), // 32 bits on some machines
	}, true
}
