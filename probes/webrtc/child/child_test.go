package child_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"communewatch/probes"
	"communewatch/probes/webrtc/child"
)

// The tests' own program is the child.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && strings.HasPrefix(os.Args[1], "be-") {
		be(os.Args[1])
	}
	goleak.VerifyTestMain(m)
}

type order struct{ Secret string }

func be(what string) {
	err := child.Serve(os.Stdin, os.Stdout, func(ctx context.Context, o order, send func(any) error) error {
		switch what {
		case "be-good":
			send("started")
			return send(o.Secret)
		case "be-patient":
			send("started")
			<-ctx.Done()
			return send("stopped in good order")
		case "be-crashing":
			fmt.Fprintln(os.Stderr, "something before")
			panic("a bad packet")
		case "be-failing":
			return errors.New("it did not work")
		case "be-silent":
			return nil
		case "be-loud":
			for {
				fmt.Fprintln(os.Stderr, strings.Repeat("noise ", 1000))
				if _, err := fmt.Println(strings.Repeat("x", 1<<20)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(ctx context.Context, what string, line func(string)) ([]string, error) {
	var lines []string
	err := child.Run(ctx, []string{os.Args[0], what}, order{"secret"}, func(b []byte) error {
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		lines = append(lines, s)
		if line != nil {
			line(s)
		}
		return nil
	})
	return lines, err
}

func TestAChildIsToldAndHeard(t *testing.T) {
	lines, err := run(t.Context(), "be-good", nil)
	if err != nil || strings.Join(lines, " ") != "started secret" {
		t.Errorf("%q, %v", lines, err)
	}
}

func TestAChildIsToldToStop(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	lines, err := run(ctx, "be-patient", func(string) { cancel() })
	if err != nil || strings.Join(lines, " ") != "started stopped in good order" {
		t.Errorf("%q, %v", lines, err)
	}
}

func TestACrashIsOneFailedTest(t *testing.T) {
	for what, says := range map[string]string{
		"be-crashing": "panic: a bad packet",
		"be-failing":  "it did not work",
		"be-loud":     "can't be read",
	} {
		_, err := run(t.Context(), what, nil)
		if probes.OutcomeOf(err) != probes.OutcomePanic || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", what, err)
		}
		if err != nil && len(err.Error()) > 1000 {
			t.Errorf("%s: an error of %d bytes", what, len(err.Error()))
		}
	}
	if err := child.Run(t.Context(), []string{"/nonexistent/program"}, 1, nil); err == nil || !strings.Contains(err.Error(), "start the process") {
		t.Errorf("no program: %v", err)
	}
}

func TestWhoeverStartsTheCommandByHandIsTold(t *testing.T) {
	err := child.Serve(strings.NewReader("hello\n"), io.Discard, func(context.Context, order, func(any) error) error {
		t.Error("it ran")
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "for the agent itself") {
		t.Errorf("err = %v", err)
	}
}

func TestTimeIsBounded(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := run(ctx, "be-patient", nil); err != nil || time.Since(start) > 30*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}
