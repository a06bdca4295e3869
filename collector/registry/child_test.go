package registry

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// childEnv makes the test binary a child that takes receipts into the database it names until it is killed.
const childEnv = "REGISTRY_TEST_CHILD"

const childCallers = 8

// runChild reports whether this process is a child. It prints "agent seq" for each receipt that was acknowledged.
func runChild() bool {
	path := os.Getenv(childEnv)
	if path == "" {
		return false
	}
	r, err := Open(context.Background(), path, Options{})
	if err != nil {
		fmt.Println("error", err)
		return true
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for c := range childCallers {
		wg.Go(func() {
			for seq := uint64(1); ; seq++ {
				rc := Receipt{Site: "s1", Agent: fmt.Sprintf("a%d", c), Boot: fmt.Sprintf("b%d", os.Getpid()), Seq: seq, Points: 1, ReceivedAt: time.Now()}
				err := r.Take(context.Background(), rc)
				mu.Lock()
				if err != nil {
					fmt.Println("error", err)
				}
				fmt.Println(rc.Agent, rc.Boot, rc.Seq)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return true
}

// Whatever Take acknowledged is there after kill -9 at any moment.
func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.db")
	acknowledged := map[[2]string]uint64{}
	for range 6 {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), childEnv+"="+path)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		killAfter, n := 1+rand.IntN(3000), 0
		for lines := bufio.NewScanner(out); lines.Scan(); n++ {
			f := strings.Fields(lines.Text())
			if len(f) != 3 || f[0] == "error" {
				t.Error("child:", lines.Text())
				break
			}
			seq, err := strconv.ParseUint(f[2], 10, 64)
			if err != nil {
				break // the last line was torn by the kill
			}
			key := [2]string{f[0], f[1]}
			acknowledged[key] = max(acknowledged[key], seq)
			if n == killAfter {
				if err := child.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = child.Process.Kill()
		_ = child.Wait()
	}
	if len(acknowledged) < childCallers {
		t.Fatalf("only %d agents were acknowledged", len(acknowledged))
	}
	accounts, err := open(t, path).Accounts(t.Context(), "s1")
	if err != nil {
		t.Fatal(err)
	}
	found := map[[2]string]Account{}
	for _, a := range accounts {
		found[[2]string{a.Agent, a.Boot}] = a
	}
	for key, seq := range acknowledged {
		a := found[key]
		if a.Missing != 0 || a.Received < seq || a.Received > seq+1 || a.Points != a.Received {
			t.Errorf("%v: %d acknowledged, the registry has %+v", key, seq, a)
		}
	}
}
