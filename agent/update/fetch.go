package update

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"communewatch/agent/ship"
	"communewatch/agent/update/launch"
	"communewatch/probes/release"
)

const (
	chunk       = 16 << 10         // bytes that are read at once
	askTime     = 30 * time.Second // for an offer
	silence     = 90 * time.Second // without a byte; then a download is interrupted, and goes on at the next round
	spare       = 64 << 20         // bytes of the disk that are left to others
	spoiltTries = 3                // downloads whose sum is wrong, before the version is given up
	partSuffix  = ".part"
)

// errSilent says that nothing came for a while.
var errSilent = fmt.Errorf("no byte for %v", silence)

// source is a collector that releases are fetched from.
type source struct {
	to    ship.Collector
	agent string
	http  *http.Client
}

func newSource(c ship.Collector, agent string) (*source, error) {
	client, err := c.Client()
	if err != nil {
		return nil, err
	}
	return &source{c, agent, client}, nil
}

func (s *source) close() { s.http.CloseIdleConnections() }

func (s *source) get(ctx context.Context, path string) (*http.Request, error) {
	return s.to.Request(ctx, s.agent, http.MethodGet, path, nil)
}

// offer asks for a release; nil for none.
func (s *source) offer(ctx context.Context) (*release.Offer, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	req, err := s.get(ctx, release.Path)
	if err != nil {
		return nil, err
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		return release.ReadOffer(resp.Body)
	case http.StatusNoContent, http.StatusNotFound: // a collector from before there were releases knows no such path
		return nil, nil
	}
	return nil, fmt.Errorf("%s answered %q when asked for a release", s.to.URL, resp.Status)
}

// fetch brings a release's binary into its place: launch.Binary. It is the right one when fetch returns nil.
func (u *Updater) fetch(ctx context.Context, from *source, v release.Version, f release.File, rollout int64) error {
	path := launch.Binary(u.o.Dir, v)
	if launch.Check(path, f.Size, f.SHA256) == nil {
		return nil
	}
	if err := u.o.Disk.Mkdir(filepath.Dir(path)); err != nil {
		return err
	}
	part := filepath.Join(u.o.Dir, f.SHA256+partSuffix)
	u.dropParts(part)
	if err := u.download(ctx, from, v, f, part); err != nil {
		return err
	}
	if err := launch.Check(part, f.Size, f.SHA256); err != nil {
		_ = os.Remove(part)
		if u.spoilt[v]++; u.spoilt[v] < spoiltTries {
			return fmt.Errorf("release %v: what was downloaded is not what was signed; fetching it once more", v)
		}
		return errors.Join(u.refuse(v, rollout, errors.New("the file that the collector has is not what was signed"), true), errRefused)
	}
	if err := os.Chmod(part, 0o755); err != nil {
		return err
	}
	if err := u.o.Disk.Rename(part, path); err != nil {
		return err
	}
	if dir, err := os.Open(filepath.Dir(path)); err == nil { // so that a power cut does not leave a state without its binary
		_ = dir.Sync() // not on Windows, whose journal does it
		_ = dir.Close()
	}
	return nil
}

// errRefused ends a round whose release was refused.
var errRefused = errors.New("the release was refused")

// dropParts removes downloads that will not go on.
func (u *Updater) dropParts(but string) {
	list, _ := filepath.Glob(filepath.Join(u.o.Dir, "*"+partSuffix)) // the pattern is good
	for _, p := range list {
		if p != but {
			_ = os.Remove(p)
		}
	}
}

// download appends to part what is missing of a file.
func (u *Updater) download(ctx context.Context, from *source, v release.Version, f release.File, part string) (err error) {
	out, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	have, err := out.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if have > f.Size {
		have = 0
		if err := out.Truncate(0); err != nil {
			return err
		}
	}
	if have == f.Size {
		return nil
	}
	if _, free, err := u.o.Disk.Space(u.o.Dir); err != nil {
		return err
	} else if free < f.Size-have+spare {
		return fmt.Errorf("the disk has %d MB left, and release %v takes %d; nothing is fetched", free>>20, v, (f.Size-have)>>20)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	alive := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer alive.Stop()
	req, err := from.get(ctx, release.FilePath+url.PathEscape(v.String())+"/"+url.PathEscape(f.Name))
	if err != nil {
		return err
	}
	if have > 0 {
		req.Header.Set("Range", "bytes="+strconv.FormatInt(have, 10)+"-")
	}
	resp, err := from.http.Do(req)
	if err != nil {
		return errors.Join(err, context.Cause(ctx))
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusPartialContent:
		if !strings.HasPrefix(resp.Header.Get("Content-Range"), "bytes "+strconv.FormatInt(have, 10)+"-") {
			return fmt.Errorf("release %v: the collector answered with another part than was asked for", v)
		}
	case http.StatusOK:
		have = 0
		if err := out.Truncate(0); err != nil {
			return err
		}
	case http.StatusRequestedRangeNotSatisfiable: // the collector's file ends before ours does
		return errors.Join(out.Truncate(0), fmt.Errorf("release %v: the file that the collector has is not whole", v))
	default:
		return fmt.Errorf("release %v: %s answered %q", v, from.to.URL, resp.Status)
	}
	buf := make([]byte, chunk)
	for have < f.Size {
		if err := u.pace.WaitN(ctx, chunk); err != nil {
			return errors.Join(err, context.Cause(ctx))
		}
		n, err := resp.Body.Read(buf[:min(int64(chunk), f.Size-have)])
		if n > 0 {
			alive.Reset(silence)
			if err := u.o.Disk.Append(out, buf[:n]); err != nil {
				return fmt.Errorf("release %v can't be kept: %w", v, err)
			}
			have += int64(n)
		}
		if err == io.EOF && have < f.Size {
			return fmt.Errorf("release %v: the download ended after %d of %d bytes; it goes on later", v, have, f.Size)
		}
		if err != nil && err != io.EOF {
			return fmt.Errorf("release %v: the download was interrupted after %d of %d bytes; it goes on later: %w", v, have, f.Size, errors.Join(err, context.Cause(ctx)))
		}
	}
	return out.Sync()
}
