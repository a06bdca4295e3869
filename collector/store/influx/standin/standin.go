package standin

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"sort"
	"strings"
	"sync"
	"time"
)

// Generation is of which InfluxDB it answers as.
type Generation int

// The generations.
const (
	V2 Generation = 2
	V3 Generation = 3
)

// Options of a stand-in.
type Options struct {
	Generation Generation
	Backend    string // URL of an InfluxDB 1.8 without users
	Prefix     string // of the databases' names in the backend; letters, digits and _
	Org        string // 2.x: the one organisation; "": tinh
	Version    string // "": 2.7.12 or 3.8.0
	Enterprise bool   // 3.x: not Core, so no bound of 72 h or of five databases, and retention can be changed
	MaxBody    int64  // bytes of a body, unpacked; 0: 10 MiB
	NoBound    bool   // 3.x Core started with a --query-file-limit that bounds nothing
}

// Server is the stand-in, a handler.
type Server struct {
	o       Options
	client  *http.Client
	mux     *http.ServeMux
	admin   string
	orgID   string
	started time.Time

	mu      sync.Mutex
	ids     int
	buckets map[string]*bucket // by name
	dbrps   []dbrp
	tokens  map[string]*token // by secret
}

// bucket is a bucket of 2.x or a database of 3.x.
type bucket struct {
	ID     string
	Name   string
	Keep   time.Duration // 0: for ever
	Shard  time.Duration
	tables map[string]*table // 3.x
}

// token is what may be done with one.
type token struct {
	ID          string
	Description string
	all         bool
	read, write map[string]bool // of buckets, by id
	permissions json.RawMessage // as they were asked for
}

func (t *token) may(write bool, bucketID string) bool {
	if write {
		return t.all || t.write[bucketID]
	}
	return t.all || t.read[bucketID]
}

// New prepares a stand-in. It asks nothing of the backend yet.
func New(o Options) *Server {
	if o.Org == "" {
		o.Org = "tinh"
	}
	if o.MaxBody == 0 {
		o.MaxBody = 10 << 20
	}
	if o.Version == "" {
		o.Version = "2.7.12"
		if o.Generation == V3 {
			o.Version = "3.8.0"
		}
	}
	s := &Server{
		o: o, mux: http.NewServeMux(), started: time.Now(), orgID: "0a00000000000001",
		// Its own connections, so that closing the stand-in's server leaves none behind.
		client:  &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
		buckets: map[string]*bucket{}, tokens: map[string]*token{},
	}
	s.admin = s.addToken(&token{all: true, Description: "operator"})
	if o.Generation == V3 {
		s.routes3()
	} else {
		s.routes2()
	}
	return s
}

// ServeHTTP answers.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Influxdb-Version", s.o.Version)
	w.Header().Set("X-Influxdb-Build", s.build())
	s.mux.ServeHTTP(w, r)
}

func (s *Server) build() string {
	switch {
	case s.o.Generation == V2:
		return "OSS"
	case s.o.Enterprise:
		return "Enterprise"
	}
	return "Core"
}

// AdminToken may do everything.
func (s *Server) AdminToken() string { return s.admin }

// Org is the one organisation of 2.x.
func (s *Server) Org() string { return s.o.Org }

// MakeDatabase makes a bucket with its mapping (2.x) or a database (3.x). keep is how long rows are kept, 0 for ever.
func (s *Server) MakeDatabase(name string, keep time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.addBucket(name, keep, 0)
	if err == nil && s.o.Generation == V2 {
		s.dbrps = append(s.dbrps, dbrp{ID: s.newID(), OrgID: s.orgID, BucketID: b.ID, Database: name, RetentionPolicy: "autogen", Default: true})
	}
	return err
}

// MakeToken makes a token that reads and writes the named buckets and nothing else.
func (s *Server) MakeToken(buckets ...string) string {
	t := &token{read: map[string]bool{}, write: map[string]bool{}, all: s.o.Generation == V3 && !s.o.Enterprise}
	s.mu.Lock()
	for _, name := range buckets {
		if b := s.buckets[name]; b != nil {
			t.read[b.ID], t.write[b.ID] = true, true
		}
	}
	s.mu.Unlock()
	return s.addToken(t)
}

// Revoke makes a token unknown.
func (s *Server) Revoke(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tokens, secret)
}

// Databases lists the buckets or databases, by name, with how long each keeps rows.
func (s *Server) Databases() map[string]time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]time.Duration{}
	for name, b := range s.buckets {
		all[name] = b.Keep
	}
	return all
}

func (s *Server) addToken(t *token) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.ID = s.newID()
	secret := "standin-" + rand.Text()
	s.tokens[secret] = t
	return secret
}

// newID makes an id of 16 hexadecimal digits, as 2.x has them. mu is held.
func (s *Server) newID() string {
	s.ids++
	return fmt.Sprintf("0b%014x", s.ids)
}

// addBucket makes a bucket and its database in the backend. mu is held.
func (s *Server) addBucket(name string, keep, shard time.Duration) (*bucket, error) {
	if s.buckets[name] != nil {
		return nil, errExists
	}
	if err := s.makeBehind(name, keep); err != nil {
		return nil, err
	}
	b := &bucket{ID: s.newID(), Name: name, Keep: keep, Shard: shard, tables: map[string]*table{}}
	s.buckets[name] = b
	return b, nil
}

// sorted lists buckets by name. mu is held.
func (s *Server) sorted() []*bucket {
	all := make([]*bucket, 0, len(s.buckets))
	for _, b := range s.buckets {
		all = append(all, b)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all
}

// known returns the token that a request carries, or nil. v1 also looks where clients of 1.x put it.
func (s *Server) known(r *http.Request, v1 bool) *token {
	secret := ""
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch {
	case strings.EqualFold(scheme, "Token"), strings.EqualFold(scheme, "Bearer"):
		secret = rest
	case v1:
		if _, password, ok := r.BasicAuth(); ok {
			secret = password
		} else {
			secret = r.FormValue("p")
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tokens[secret]
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// Map makes a database of InfluxQL stand for another bucket, as somebody may have done (2.x).
func (s *Server) Map(database, bucket string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[bucket]
	if b == nil {
		return fmt.Errorf("there is no bucket %s", bucket)
	}
	for i := range s.dbrps {
		if s.dbrps[i].Database == database {
			s.dbrps[i].BucketID = b.ID
			return nil
		}
	}
	return fmt.Errorf("there is no mapping of %s", database)
}
