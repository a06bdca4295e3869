package enrolled

import (
	"io"
	"net"
	"sync"
	"time"
)

// Front stands where the collector is reached, as a router does, and stays when the collector goes: who connects then is
// let go at once. It reads nothing of what it carries, and remembers when it was connected to.
type Front struct {
	listener net.Listener
	done     sync.WaitGroup

	mu    sync.Mutex // guards the fields below
	to    string     // the collector's address; "": it is away
	open  map[net.Conn]bool
	times []time.Time // of connections, those that were let go too
	shut  bool
}

func openFront() (*Front, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &Front{listener: l, open: map[net.Conn]bool{}}
	f.done.Go(f.serve)
	return f, nil
}

// Address is where the collector is reached.
func (f *Front) Address() string { return f.listener.Addr().String() }

// lead sets where the collector is, and cuts the connections to where it was.
func (f *Front) lead(to string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.to = to
	for c := range f.open {
		_ = c.Close()
	}
}

func (f *Front) close() {
	_ = f.listener.Close()
	f.mu.Lock()
	f.shut = true
	f.mu.Unlock()
	f.lead("")
	f.done.Wait()
}

func (f *Front) serve() {
	for {
		in, err := f.listener.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		f.times = append(f.times, time.Now())
		to := f.to
		f.mu.Unlock()
		if to == "" {
			_ = in.Close()
			continue
		}
		f.done.Go(func() { f.carry(in, to) })
	}
}

// carry carries bytes both ways until one side ends.
func (f *Front) carry(in net.Conn, to string) {
	defer in.Close()
	out, err := net.DialTimeout("tcp", to, connectWithin)
	if err != nil {
		return
	}
	defer out.Close()
	f.mu.Lock()
	if f.shut || f.to != to { // it moved while we connected
		f.mu.Unlock()
		return
	}
	f.open[in] = true
	f.mu.Unlock()
	var both sync.WaitGroup
	for _, way := range [2][2]net.Conn{{out, in}, {in, out}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			_ = in.Close() // and so the other way ends too
			_ = out.Close()
		})
	}
	both.Wait()
	f.mu.Lock()
	delete(f.open, in)
	f.mu.Unlock()
}

// Rush says how often it was connected to since a time, and how often in the busiest second of that.
func (f *Front) Rush(since time.Time) (all, busiest int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	first := 0 // of the second that ends with times[i]
	for i, at := range f.times {
		for f.times[first].Before(at.Add(-time.Second)) {
			first++
		}
		if at.Before(since) {
			continue
		}
		all++
		for first < i && f.times[first].Before(since) {
			first++
		}
		busiest = max(busiest, i-first+1)
	}
	return all, busiest
}
