// Package join enrols a machine: with a join code it makes the agent a key, has the collector certify it, and keeps the
// identity (agent/identity).
//
// The code's pin says whom to believe, so neither clock has to be right. Until there is a certificate the folder holds
// the key and joining.json, which says for which code it was made: the command may be broken off and given again, and
// asks for the same key. What the code's secret is, is not written down before somebody at the collector has to approve. By
// then the code is bound to the key and of use to nobody else, and who gave the command may have left: it is kept until the
// answer comes, and the service goes on asking (Finish).
package join

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"communewatch/agent/identity"
	"communewatch/agent/ship"
	"communewatch/agent/spool/disk"
	"communewatch/probes/enroll"
	"communewatch/probes/wire"
)

const (
	joiningFile = "joining.json"
	maxJoining  = 4 << 10

	askTimeout = 30 * time.Second
	// patience is how long to wait before asking again while no address answers and the request is known to wait.
	patience = 15 * time.Second
	// skew is how far two clocks may differ without a word about it.
	skew = time.Minute
)

// Options of an enrolment.
type Options struct {
	Dir     string // the identity's folder
	Code    enroll.Code
	Agent   string // the name that the agent would have; the code may name another
	Machine enroll.Machine
	Again   bool                             // in the place of an identity that is there
	Say     func(format string, args ...any) // what goes on, for whoever waits; nil for nobody
	Now     func() time.Time                 // nil for the machine's clock
	// Wait is how time passes until the collector is asked again; nil for as it does.
	Wait func(ctx context.Context, d time.Duration) error

	serviceWaits bool // for an identity, and may go on with the request
}

// ErrEnrolled says that the machine has an identity already.
var ErrEnrolled = errors.New("this machine is enrolled already")

// ErrLeft says that the command was broken off while its request waits for approval, and that Finish goes on with it.
var ErrLeft = errors.New("broken off while it waits for approval; the agent's service goes on from here, and so does the same command with the same code")

// joining is the form of joiningFile.
type joining struct {
	Code string `json:"code_sha256"`
	Key  string `json:"key"`
	// Waiting is what was asked for with the code, once that waits for approval.
	Waiting *waiting `json:"waiting,omitempty"`
}

// Enroll gets an identity and keeps it. It waits for as long as the collector's people have not approved.
func Enroll(ctx context.Context, o Options) (*identity.Set, error) {
	if o.Say == nil {
		o.Say = func(string, ...any) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Wait == nil {
		o.Wait = wait
	}
	if err := o.Code.Validate(); err != nil {
		return nil, err
	}
	had, err := identity.Read(o.Dir)
	switch {
	case err == nil && !o.Again:
		return nil, fmt.Errorf("%w, as agent %s of site %s; --again gives it another identity", ErrEnrolled, had.Name.Agent, had.Name.Site)
	case err != nil && !errors.Is(err, identity.ErrNone) && !o.Again:
		return nil, err
	}
	o.serviceWaits = errors.Is(err, identity.ErrNone)
	set := &identity.Set{Collectors: o.Code.Addresses}
	if set.Key, err = key(&o); err != nil {
		return nil, fmt.Errorf("make the agent's key: %w", err)
	}
	body, err := request(&o, set)
	if err != nil {
		return nil, err
	}
	got, err := ask(ctx, &o, body, set.Key)
	if err == nil && got.done == nil {
		err = accept(&o, set, got)
	}
	if err != nil {
		if done := finished(o.Dir, set.Key); done != nil {
			return done, nil // by the service, at the same time
		}
		return nil, err
	}
	if got.done != nil {
		return got.done, nil
	}
	return set, nil
}

// request is what a machine sends.
func request(o *Options, set *identity.Set) ([]byte, error) {
	csr, err := set.CSR()
	if err != nil {
		return nil, err
	}
	return json.Marshal(enroll.Request{Secret: fmt.Sprintf("%x", o.Code.Secret), CSR: csr, Agent: o.Agent, Machine: o.Machine})
}

// accept keeps the identity that an answer makes of the key.
func accept(o *Options, set *identity.Set, got *reply) error {
	if err := set.Accept(got.answer, got.root); err != nil {
		return fmt.Errorf("the collector's answer: %w", err)
	}
	if err := set.Write(o.Dir); err != nil {
		return fmt.Errorf("keep the identity: %w", err)
	}
	if err := set.Learn(o.Dir, got.told, o.Now()); err != nil {
		return fmt.Errorf("keep what the time is: %w", err)
	}
	if err := os.Remove(filepath.Join(o.Dir, joiningFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return set.Tidy(o.Dir)
}

// finished is the identity in a folder if it is one of the key; else nil.
func finished(dir string, key *ecdsa.PrivateKey) *identity.Set {
	if set, err := identity.Read(dir); err == nil && set.Key.Equal(key) {
		return set
	}
	return nil
}

// key returns the key that was made for the code, or makes one.
func key(o *Options) (*ecdsa.PrivateKey, error) {
	sum := sha256.Sum256([]byte(o.Code.String()))
	want := fmt.Sprintf("%x", sum)
	d, file := disk.Disk{Private: true}, filepath.Join(o.Dir, joiningFile)
	var begun joining
	if data, err := d.Read(file, maxJoining); err == nil && json.Unmarshal(data, &begun) == nil && begun.Code == want {
		// A key that is damaged can have been certified for nothing yet; another is made, and the code may refuse it.
		if k, err := identity.ReadKey(o.Dir, begun.Key); err == nil {
			o.Say("going on with the request begun before")
			now := o.Now()
			return k, os.Chtimes(file, now, now) // so that the service leaves it to us
		}
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, disk.ErrDamaged) {
		return nil, err
	}
	k, name, err := identity.NewKey(o.Dir)
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(joining{Code: want, Key: name})
	if err != nil {
		return nil, err
	}
	return k, d.ReplaceFile(file, append(data, '\n'))
}

// reply is an answer and what it came by.
type reply struct {
	done   *identity.Set // in the place of all else: the service got the answer
	answer *enroll.Answer
	root   *x509.Certificate // that stands behind the collector
	told   time.Time         // what time the collector says it is
}

// ask asks until there is a certificate or a refusal. Meanwhile it says the key's fingerprint, for who has to approve it.
func ask(ctx context.Context, o *Options, body []byte, key *ecdsa.PrivateKey) (*reply, error) {
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	fingerprint := enroll.Fingerprint(sha256.Sum256(public))
	waiting := false
	for {
		if waiting {
			if done := finished(o.Dir, key); done != nil {
				return &reply{done: done}, nil
			}
		}
		r, err := around(ctx, o, body)
		var no *refused
		switch {
		case ctx.Err() != nil && waiting && o.serviceWaits:
			return nil, fmt.Errorf("%w: %w", ErrLeft, context.Cause(ctx))
		case ctx.Err() != nil:
			return nil, fmt.Errorf("broken off; the same command with the same code goes on from here: %w", context.Cause(ctx))
		case errors.As(err, &no):
			return nil, errors.Join(err, forget(o.Dir))
		case err != nil && !waiting:
			return nil, err
		case err != nil:
			o.Say("%v; trying on", err)
			err = o.Wait(ctx, patience)
		case !r.answer.Pending:
			return r, nil
		default:
			if !waiting {
				o.Say("asked to be agent %s of site %s, with the key %s; waiting until somebody approves that at the collector", r.answer.Agent, r.answer.Site, fingerprint)
			}
			waiting = true
			if err := leave(o); err != nil {
				return nil, fmt.Errorf("keep what is waited for: %w", err)
			}
			err = o.Wait(ctx, time.Duration(r.answer.Retry)*time.Second)
		}
		if err != nil && ctx.Err() == nil {
			return nil, err
		}
	}
}

// around asks one address after the other until one answers.
func around(ctx context.Context, o *Options, body []byte) (*reply, error) {
	var failed error
	for _, address := range o.Code.Addresses {
		r, err := once(ctx, o, address, body)
		var no *refused
		if err == nil || errors.As(err, &no) {
			return r, err
		}
		failed = errors.Join(failed, fmt.Errorf("%s: %w", address, err))
	}
	return nil, fmt.Errorf("no address of the code answers as its collector: %w", failed)
}

// once asks one address.
func once(ctx context.Context, o *Options, address string, body []byte) (*reply, error) {
	to := ship.Collector{URL: address}
	to.TLS = identity.PinnedTLS(to.Host(), o.Code.Pin)
	client, err := to.Client()
	if err != nil {
		return nil, err
	}
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	req, err := to.Request(ctx, o.Agent, http.MethodPost, enroll.Path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	told := toldBy(resp, o.Now())
	if resp.StatusCode != http.StatusCreated && resp.StatusCode != http.StatusAccepted {
		return nil, refusal(resp, o, told)
	}
	var answer enroll.Answer
	if err := enroll.Read(resp.Body, &answer); err != nil {
		return nil, err
	}
	if answer.Pending != (resp.StatusCode == http.StatusAccepted) {
		return nil, fmt.Errorf("answered %s and something else in words", resp.Status)
	}
	root, err := identity.PinnedRoot(resp.TLS.PeerCertificates, to.Host(), o.Code.Pin)
	if err != nil {
		return nil, err
	}
	return &reply{answer: &answer, root: root, told: told}, nil
}

// toldBy is the time that an answer tells, or now.
func toldBy(resp *http.Response, now time.Time) time.Time {
	ms, err := strconv.ParseInt(resp.Header.Get(wire.HeaderReceivedAt), 10, 64)
	if err != nil || ms <= 0 || ms > 1<<43 { // the year 2248
		return now
	}
	return time.UnixMilli(ms)
}

// refused is an answer of the collector's that asking again does not change.
type refused struct{ why string }

func (r *refused) Error() string { return r.why }

// refusal says why the collector refused, and what to do about it. What may be different in a minute is no *refused.
func refusal(resp *http.Response, o *Options, told time.Time) error {
	var r enroll.Refusal
	if err := enroll.Read(resp.Body, &r); err != nil || r.Code == "" {
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, enroll.MaxMessage))
		return fmt.Errorf("answered %s", resp.Status)
	}
	switch r.Code {
	case enroll.RefusedCode:
		return &refused{"the collector does not know this code: it was cancelled or replaced; ask for a new one"}
	case enroll.RefusedUsed:
		return &refused{"this code was used already, by another machine or by this one before its state folder was lost; ask for a new one"}
	case enroll.RefusedExpired:
		why := "this code has expired; ask for a new one"
		if now := o.Now(); told.Sub(now).Abs() > skew {
			why += fmt.Sprintf(" (the collector's clock says %s, this machine's %s; the collector's counts)",
				told.UTC().Format(time.DateTime), now.UTC().Format(time.DateTime))
		}
		return &refused{why}
	case enroll.RefusedTaken:
		return &refused{fmt.Sprintf("the site has an agent of the name %s already; choose another with --name, or ask for a code that replaces it (enroll create --replace)", o.Agent)}
	case enroll.RefusedRejected:
		return &refused{said(r.Message) + "; somebody at the collector looked at this request and said no; ask them, and for a new code"}
	case enroll.RefusedRevoked:
		return &refused{said(r.Message) + "; this agent was thrown out at the collector; ask for a new code"}
	case enroll.RefusedBusy:
		return errors.New("too many codes were tried from this address; wait some minutes, then give the same command again")
	}
	if resp.StatusCode >= 500 {
		return fmt.Errorf("the collector has trouble of its own: %s", r.Message)
	}
	return &refused{fmt.Sprintf("the collector refuses (%s): %s", r.Code, r.Message)}
}

// said is the collector's reason, which who refused may have given for the person at the machine.
func said(message string) string { return cmp.Or(message, "no reason was given") }

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
