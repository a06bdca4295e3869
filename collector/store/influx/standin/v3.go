package standin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/influxdata/line-protocol/v2/lineprotocol"
)

// Bounds of 3 Core by its documentation.
const (
	coreDatabases = 5
	coreColumns   = 500
	coreSpan      = 72 * time.Hour
)

// table is what is fixed of one for good.
type table struct {
	tags   map[string]bool
	fields map[string]lineprotocol.ValueKind
}

func (s *Server) routes3() {
	s.door("GET /ping", s.ping3)
	s.door("POST /ping", s.ping3)
	s.door("GET /health", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("OK")) })
	s.door("GET /api/v3/configure/database", s.listDatabases)
	s.door("POST /api/v3/configure/database", s.createDatabase)
	s.door("PUT /api/v3/configure/database", s.updateDatabase)
	s.door("DELETE /api/v3/configure/database", s.deleteDatabase)
	s.door("POST /api/v3/configure/token/named_admin", s.namedToken)
	if s.o.Enterprise {
		s.door("POST /api/v3/enterprise/configure/token", s.namedToken)
	}
	s.door("POST /api/v2/write", func(w http.ResponseWriter, r *http.Request) { s.write3(w, r, r.URL.Query().Get("bucket")) })
	s.door("POST /write", func(w http.ResponseWriter, r *http.Request) { s.write3(w, r, r.URL.Query().Get("db")) })
	s.door("/query", s.query3)
	s.mux.HandleFunc("HEAD /ping", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
}

// door wants a token, wherever clients of 1.x, 2.x and 3.x put it.
func (s *Server) door(pattern string, do http.HandlerFunc) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		t := s.known(r, true)
		if t == nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		// What tokens of Enterprise that are not for everything may do: read and write their databases.
		name, write := r.URL.Query().Get("db")+r.URL.Query().Get("bucket"), strings.HasSuffix(r.URL.Path, "/write")
		if r.URL.Path == "/query" {
			name = r.FormValue("db") // a body that is no form is left alone
		}
		if !t.all && r.URL.Path != "/ping" && r.URL.Path != "/health" {
			s.mu.Lock()
			b := s.buckets[name]
			s.mu.Unlock()
			if b == nil || !t.may(write, b.ID) || strings.HasPrefix(r.URL.Path, "/api/v3/configure") {
				refuse3(w, http.StatusForbidden, "access denied")
				return
			}
		}
		do(w, r)
	})
}

func refuse3(w http.ResponseWriter, status int, format string, args ...any) {
	answer(w, status, map[string]string{"error": fmt.Sprintf(format, args...)})
}

func (s *Server) ping3(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]string{"version": s.o.Version, "revision": "standin", "process_id": "standin"})
}

func (s *Server) listDatabases(w http.ResponseWriter, r *http.Request) {
	if r.FormValue("format") != "json" {
		refuse3(w, http.StatusBadRequest, "the stand-in knows format=json")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []map[string]string{}
	for _, b := range s.sorted() {
		all = append(all, map[string]string{"iox::database": b.Name})
	}
	answer(w, http.StatusOK, all)
}

var (
	databaseName    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_/-]{0,63}$`)
	retentionPeriod = regexp.MustCompile(`^([0-9]{1,9})(m|h|d|w|mo|y)$`)
	periodUnits     = map[string]time.Duration{"m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour, "mo": 30 * 24 * time.Hour, "y": 365 * 24 * time.Hour}
)

// period reads a retention period. Empty and none are for ever.
func period(text string) (time.Duration, error) {
	if text == "" || text == "none" {
		return 0, nil
	}
	m := retentionPeriod.FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("invalid retention period %q", text)
	}
	var n int64
	_, err := fmt.Sscan(m[1], &n)
	return time.Duration(n) * periodUnits[m[2]], err
}

type databaseRequest struct {
	DB     string `json:"db"`
	Period string `json:"retention_period"`
}

func (s *Server) databaseAsk(w http.ResponseWriter, r *http.Request) (databaseRequest, time.Duration, bool) {
	var ask databaseRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&ask); err != nil {
		refuse3(w, http.StatusBadRequest, "%v", err)
		return ask, 0, false
	}
	keep, err := period(ask.Period)
	if err != nil || !databaseName.MatchString(ask.DB) {
		refuse3(w, http.StatusBadRequest, "invalid database name %q or retention period %q", ask.DB, ask.Period)
		return ask, 0, false
	}
	return ask, keep, true
}

func (s *Server) createDatabase(w http.ResponseWriter, r *http.Request) {
	ask, keep, ok := s.databaseAsk(w, r)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.addDatabase(ask.DB, keep)
	switch {
	case errors.Is(err, errExists):
		refuse3(w, http.StatusConflict, "attempted to create a resource that already exists")
	case errors.Is(err, errTooMany):
		refuse3(w, http.StatusUnprocessableEntity, "%v", err)
	case err != nil:
		refuse3(w, http.StatusInternalServerError, "%v", err)
	default:
		w.WriteHeader(http.StatusOK)
	}
}

var errTooMany = fmt.Errorf("adding a new database would exceed limit of %d databases", coreDatabases)

// addDatabase is addBucket within Core's bound. mu is held.
func (s *Server) addDatabase(name string, keep time.Duration) (*bucket, error) {
	if !s.o.Enterprise && s.buckets[name] == nil && len(s.buckets) >= coreDatabases {
		return nil, errTooMany
	}
	return s.addBucket(name, keep, 0)
}

func (s *Server) updateDatabase(w http.ResponseWriter, r *http.Request) {
	ask, keep, ok := s.databaseAsk(w, r)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[ask.DB]
	switch {
	case !s.o.Enterprise:
		refuse3(w, http.StatusBadRequest, "retention periods can't be changed in InfluxDB 3 Core")
	case b == nil:
		refuse3(w, http.StatusNotFound, "database not found: %s", ask.DB)
	default:
		if err := s.keepBehind(b.Name, keep); err != nil {
			refuse3(w, http.StatusInternalServerError, "%v", err)
			return
		}
		b.Keep = keep
		w.WriteHeader(http.StatusOK)
	}
}

func (s *Server) deleteDatabase(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := r.FormValue("db")
	if s.buckets[name] == nil {
		refuse3(w, http.StatusNotFound, "database not found: %s", name)
		return
	}
	if err := s.dropBehind(name); err != nil {
		refuse3(w, http.StatusInternalServerError, "%v", err)
		return
	}
	delete(s.buckets, name)
	w.WriteHeader(http.StatusOK)
}

// namedToken makes a token: one for everything, or with permissions on databases. Names are used once.
func (s *Server) namedToken(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		Name        string `json:"token_name"`
		Permissions []struct {
			Type    string   `json:"resource_type"`
			Names   []string `json:"resource_identifier"`
			Actions []string `json:"actions"`
		} `json:"permissions"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&ask); err != nil || ask.Name == "" {
		refuse3(w, http.StatusBadRequest, "token_name is missing")
		return
	}
	scoped := strings.Contains(r.URL.Path, "/enterprise/")
	made := &token{Description: ask.Name, all: !scoped, read: map[string]bool{}, write: map[string]bool{}}
	s.mu.Lock()
	for _, t := range s.tokens {
		if t.Description == ask.Name {
			s.mu.Unlock()
			refuse3(w, http.StatusConflict, "token name already exists")
			return
		}
	}
	for _, p := range ask.Permissions {
		for _, name := range p.Names {
			if b := s.buckets[name]; b != nil && p.Type == "db" {
				made.read[b.ID], made.write[b.ID] = slices.Contains(p.Actions, "read"), slices.Contains(p.Actions, "write")
			}
		}
	}
	s.mu.Unlock()
	answer(w, http.StatusCreated, map[string]any{"id": 1, "name": ask.Name, "token": s.addToken(made)})
}

// refused is one line that does not fit.
type refused struct {
	Line   string `json:"original_line"`
	Number int    `json:"line_number"`
	Error  string `json:"error_message"`
}

func (s *Server) write3(w http.ResponseWriter, r *http.Request, name string) {
	if !databaseName.MatchString(name) {
		refuse3(w, http.StatusBadRequest, "invalid database name %q", name)
		return
	}
	body, err := s.body(r)
	switch {
	case errors.Is(err, errTooLarge):
		refuse3(w, http.StatusRequestEntityTooLarge, "request entity too large")
		return
	case err != nil:
		refuse3(w, http.StatusBadRequest, "%v", err)
		return
	}
	s.mu.Lock()
	b := s.buckets[name]
	if b == nil {
		if b, err = s.addDatabase(name, 0); err != nil {
			s.mu.Unlock()
			refuse3(w, http.StatusUnprocessableEntity, "%v", err)
			return
		}
	}
	var good bytes.Buffer
	var bad []refused
	for i, line := range splitLines(body) {
		if err := s.fit(b, line); err != nil {
			bad = append(bad, refused{Line: string(line), Number: i + 1, Error: err.Error()})
			continue
		}
		good.Write(line)
		good.WriteByte('\n')
	}
	s.mu.Unlock()
	if len(bad) > 0 && r.URL.Query().Get("accept_partial") == "false" {
		answer(w, http.StatusBadRequest, map[string]any{"error": "parsing failed for write_lp endpoint", "data": bad[:1]})
		return
	}
	if good.Len() > 0 {
		status, said, err := s.store(r.Context(), name, r.URL.Query().Get("precision"), good.Bytes())
		switch {
		case err != nil || status >= 500:
			refuse3(w, http.StatusServiceUnavailable, "the database behind the stand-in does not answer")
			return
		case status != http.StatusNoContent && !strings.Contains(said, "beyond retention policy"): // 3.x takes old rows, and hides them
			refuse3(w, http.StatusBadRequest, "%s", said)
			return
		}
	}
	if len(bad) > 0 {
		what := "partial write of line protocol occurred"
		if good.Len() == 0 {
			what = "write of line protocol failed"
		}
		answer(w, http.StatusBadRequest, map[string]any{"error": what, "data": bad[:min(len(bad), 100)]})
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// serversWords is an error in words that are not ours.
type serversWords string

func (w serversWords) Error() string { return string(w) }

// fit says whether a line fits its table, and makes table and columns where it does. mu is held.
func (s *Server) fit(b *bucket, line []byte) error {
	p, err := parseLine(line)
	if err != nil {
		return err
	}
	t := b.tables[p.table]
	if t == nil {
		t = &table{tags: map[string]bool{}, fields: map[string]lineprotocol.ValueKind{}}
		for _, tag := range p.tags {
			t.tags[tag] = true
		}
	}
	for _, tag := range p.tags {
		if _, field := t.fields[tag]; field {
			return fmt.Errorf("invalid column type for column '%s', expected iox::column_type::field, got iox::column_type::tag", tag)
		}
		if !t.tags[tag] {
			return serversWords(fmt.Sprintf("Detected a new tag '%s' in write. The tag set is immutable on first write to the table.", tag))
		}
	}
	columns := 1 + len(t.tags) + len(t.fields) // and time
	for key, kind := range p.fields {
		if t.tags[key] {
			return fmt.Errorf("invalid column type for column '%s', expected iox::column_type::tag, got iox::column_type::field", key)
		}
		was, known := t.fields[key]
		if known && was != kind {
			return fmt.Errorf("invalid column type for column '%s', expected iox::column_type::field::%v, got iox::column_type::field::%v", key, was, kind)
		}
		if !known {
			columns++
		}
	}
	if columns > coreColumns {
		return fmt.Errorf("update to schema would exceed number of columns per table limit of %d columns", coreColumns)
	}
	for key, kind := range p.fields {
		t.fields[key] = kind
	}
	b.tables[p.table] = t
	return nil
}

var (
	allowed3 = []string{"SELECT", "EXPLAIN", "SHOW RETENTION POLICIES", "SHOW MEASUREMENTS", "SHOW TAG KEYS", "SHOW TAG VALUES", "SHOW FIELD KEYS", "SHOW DATABASES"}
	missing3 = []string{"INTO", "SLIMIT", "SOFFSET", "INTEGRAL", "SAMPLE", "HOLT_WINTERS", "CARDINALITY"}
)

// query3 is the door of 1.x clients.
func (s *Server) query3(w http.ResponseWriter, r *http.Request) {
	db, q := r.FormValue("db"), r.FormValue("q")
	all := words(q)
	for _, st := range statements(all) {
		if !slices.ContainsFunc(allowed3, func(k string) bool { return begins(st, k) }) {
			refuse3(w, http.StatusBadRequest, "statement is not supported: %s", st[0].text)
			return
		}
		for _, k := range missing3 {
			if slices.ContainsFunc(st, func(w word) bool { return w.is(k) }) {
				refuse3(w, http.StatusBadRequest, "%s is not supported", k)
				return
			}
		}
		if begins(st, "SHOW DATABASES") {
			s.showDatabases(w, func(*bucket) bool { return true })
			return
		}
		if d, bounded := span(st, time.Now()); begins(st, "SELECT") && !s.o.Enterprise && !s.o.NoBound && (!bounded || d > coreSpan) {
			refuse3(w, http.StatusBadRequest, "error while planning query: External error: Query would exceed file limit of 432 parquet files. "+
				"Please specify a smaller time range for your query.")
			return
		}
	}
	asked := []string{db}
	for _, w := range databases(all) {
		asked = append(asked, w.text)
	}
	for _, name := range asked {
		s.mu.Lock()
		there := name == "" || s.buckets[name] != nil
		s.mu.Unlock()
		if !there {
			refuse3(w, http.StatusNotFound, "database not found: %s", name)
			return
		}
	}
	s.forward(w, r, db, s.rename(q, all))
}
