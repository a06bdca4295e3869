package standin

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/influxdata/line-protocol/v2/lineprotocol"
)

// dbrp is a mapping as the API writes it.
type dbrp struct {
	ID              string `json:"id"`
	OrgID           string `json:"orgID"`
	BucketID        string `json:"bucketID"`
	Database        string `json:"database"`
	RetentionPolicy string `json:"retention_policy"`
	Default         bool   `json:"default"`
}

type retentionRule struct {
	Type  string `json:"type"`
	Every int64  `json:"everySeconds"`
	Shard int64  `json:"shardGroupDurationSeconds,omitempty"`
}

func (s *Server) routes2() {
	for _, path := range []string{"GET /ping", "HEAD /ping"} {
		s.mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	}
	s.mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"name": "influxdb", "message": "ready for queries and writes", "status": "pass", "checks": []any{}, "version": s.o.Version})
	})
	s.api("GET /api/v2/orgs", s.listOrgs)
	s.api("GET /api/v2/buckets", s.listBuckets)
	s.api("POST /api/v2/buckets", s.makeBucket)
	s.api("PATCH /api/v2/buckets/{id}", s.changeBucket)
	s.api("DELETE /api/v2/buckets/{id}", s.removeBucket)
	s.api("GET /api/v2/dbrps", s.listDBRPs)
	s.api("POST /api/v2/dbrps", s.makeDBRP)
	s.api("GET /api/v2/authorizations", s.listAuthorizations)
	s.api("POST /api/v2/authorizations", s.makeAuthorization)
	s.api("POST /api/v2/write", s.write2)
	s.mux.HandleFunc("/query", s.query2)
}

// refuse answers as 2.x says what is wrong.
func refuse(w http.ResponseWriter, status int, code, message string) {
	answer(w, status, map[string]string{"code": code, "message": message})
}

// api is a door that wants a token.
func (s *Server) api(pattern string, do func(http.ResponseWriter, *http.Request, *token)) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		t := s.known(r, false)
		if t == nil {
			refuse(w, http.StatusUnauthorized, "unauthorized", "unauthorized access")
			return
		}
		do(w, r, t)
	})
}

// operator refuses what only a token for everything may do.
func operator(w http.ResponseWriter, t *token) bool {
	if !t.all {
		refuse(w, http.StatusForbidden, "forbidden", "insufficient permissions")
	}
	return t.all
}

func read(w http.ResponseWriter, r *http.Request, into any) bool {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(into)
	if err != nil {
		refuse(w, http.StatusBadRequest, "invalid", "failed to decode request body: "+err.Error())
	}
	return err == nil
}

func (s *Server) ours(org string) bool { return org == s.o.Org || org == s.orgID }

func (s *Server) listOrgs(w http.ResponseWriter, r *http.Request, t *token) {
	orgs := []map[string]string{}
	if name := r.FormValue("org"); t.all && (name == "" || s.ours(name)) {
		orgs = append(orgs, map[string]string{"id": s.orgID, "name": s.o.Org})
	} else if name != "" {
		refuse(w, http.StatusNotFound, "not found", "organization name \""+name+"\" not found")
		return
	}
	answer(w, http.StatusOK, map[string]any{"orgs": orgs})
}

func (s *Server) shown(b *bucket) map[string]any {
	rules := []retentionRule{{Type: "expire", Every: int64(b.Keep.Seconds()), Shard: int64(b.Shard.Seconds())}}
	return map[string]any{"id": b.ID, "orgID": s.orgID, "type": "user", "name": b.Name, "retentionRules": rules}
}

func (s *Server) listBuckets(w http.ResponseWriter, r *http.Request, t *token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []map[string]any{}
	for _, b := range s.sorted() {
		if name := r.FormValue("name"); (name == "" || name == b.Name) && t.may(false, b.ID) {
			all = append(all, s.shown(b))
		}
	}
	answer(w, http.StatusOK, map[string]any{"buckets": all})
}

func (s *Server) makeBucket(w http.ResponseWriter, r *http.Request, t *token) {
	var ask struct {
		OrgID, Name    string
		RetentionRules []retentionRule
	}
	if !operator(w, t) || !read(w, r, &ask) {
		return
	}
	if ask.OrgID != s.orgID || ask.Name == "" || strings.HasPrefix(ask.Name, "_") || strings.Contains(ask.Name, `"`) {
		refuse(w, http.StatusUnprocessableEntity, "unprocessable entity", "bucket name or organization is invalid")
		return
	}
	var keep, shard time.Duration
	for _, rule := range ask.RetentionRules {
		keep, shard = time.Duration(rule.Every)*time.Second, time.Duration(rule.Shard)*time.Second
	}
	if keep != 0 && keep < time.Hour {
		refuse(w, http.StatusUnprocessableEntity, "unprocessable entity", "expiration seconds must be greater than or equal to one hour")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.addBucket(ask.Name, keep, shard)
	switch {
	case errors.Is(err, errExists):
		refuse(w, http.StatusUnprocessableEntity, "conflict", "bucket with name "+ask.Name+" already exists")
	case err != nil:
		refuse(w, http.StatusInternalServerError, "internal error", err.Error())
	default:
		answer(w, http.StatusCreated, s.shown(b))
	}
}

// byID finds a bucket. mu is held.
func (s *Server) byID(id string) *bucket {
	for _, b := range s.buckets {
		if b.ID == id {
			return b
		}
	}
	return nil
}

func (s *Server) changeBucket(w http.ResponseWriter, r *http.Request, t *token) {
	var ask struct{ RetentionRules []retentionRule }
	if !operator(w, t) || !read(w, r, &ask) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.byID(r.PathValue("id"))
	if b == nil {
		refuse(w, http.StatusNotFound, "not found", "bucket not found")
		return
	}
	for _, rule := range ask.RetentionRules {
		keep := time.Duration(rule.Every) * time.Second
		if err := s.keepBehind(b.Name, keep); err != nil {
			refuse(w, http.StatusInternalServerError, "internal error", err.Error())
			return
		}
		b.Keep = keep
		if rule.Shard != 0 {
			b.Shard = time.Duration(rule.Shard) * time.Second
		}
	}
	answer(w, http.StatusOK, s.shown(b))
}

func (s *Server) removeBucket(w http.ResponseWriter, r *http.Request, t *token) {
	if !operator(w, t) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.byID(r.PathValue("id"))
	if b == nil {
		refuse(w, http.StatusNotFound, "not found", "bucket not found")
		return
	}
	if err := s.dropBehind(b.Name); err != nil {
		refuse(w, http.StatusInternalServerError, "internal error", err.Error())
		return
	}
	delete(s.buckets, b.Name)
	s.dbrps = slices.DeleteFunc(s.dbrps, func(m dbrp) bool { return m.BucketID == b.ID })
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) listDBRPs(w http.ResponseWriter, r *http.Request, t *token) {
	if !s.ours(r.FormValue("orgID")) && !s.ours(r.FormValue("org")) {
		refuse(w, http.StatusBadRequest, "invalid", "provide the organization")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []dbrp{}
	for _, m := range s.dbrps {
		db, id := r.FormValue("db"), r.FormValue("bucketID")
		if (db == "" || db == m.Database) && (id == "" || id == m.BucketID) && t.may(false, m.BucketID) {
			all = append(all, m)
		}
	}
	answer(w, http.StatusOK, map[string]any{"content": all})
}

func (s *Server) makeDBRP(w http.ResponseWriter, r *http.Request, t *token) {
	var m dbrp
	if !operator(w, t) || !read(w, r, &m) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID(m.BucketID) == nil || m.Database == "" || m.RetentionPolicy == "" || m.OrgID != s.orgID {
		refuse(w, http.StatusBadRequest, "invalid", "the mapping has an unknown bucket or organization, or no database or retention policy")
		return
	}
	m.ID = s.newID()
	first := !slices.ContainsFunc(s.dbrps, func(o dbrp) bool { return o.Database == m.Database })
	m.Default = m.Default || first
	if i := slices.IndexFunc(s.dbrps, func(o dbrp) bool { return o.Database == m.Database && o.RetentionPolicy == m.RetentionPolicy }); i >= 0 {
		s.dbrps[i] = m // the newer mapping of a pair takes the older one's place
	} else {
		s.dbrps = append(s.dbrps, m)
	}
	answer(w, http.StatusCreated, m)
}

func (s *Server) shownToken(secret string, t *token) map[string]any {
	return map[string]any{"id": t.ID, "token": secret, "status": "active", "description": t.Description, "orgID": s.orgID, "org": s.o.Org, "permissions": t.permissions}
}

func (s *Server) listAuthorizations(w http.ResponseWriter, _ *http.Request, t *token) {
	if !operator(w, t) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []map[string]any{}
	for secret, o := range s.tokens {
		all = append(all, s.shownToken(secret, o))
	}
	answer(w, http.StatusOK, map[string]any{"authorizations": all})
}

func (s *Server) makeAuthorization(w http.ResponseWriter, r *http.Request, t *token) {
	var ask struct {
		OrgID, Description string
		Permissions        json.RawMessage
	}
	if !operator(w, t) || !read(w, r, &ask) {
		return
	}
	var permissions []struct {
		Action   string
		Resource struct{ Type, ID, OrgID string }
	}
	if err := json.Unmarshal(ask.Permissions, &permissions); err != nil || len(permissions) == 0 || ask.OrgID != s.orgID {
		refuse(w, http.StatusBadRequest, "invalid", "organization or permissions are invalid")
		return
	}
	made := &token{Description: ask.Description, read: map[string]bool{}, write: map[string]bool{}, permissions: ask.Permissions}
	for _, p := range permissions {
		if p.Resource.Type == "buckets" && p.Resource.ID != "" {
			switch p.Action {
			case "read":
				made.read[p.Resource.ID] = true
			case "write":
				made.write[p.Resource.ID] = true
			}
		}
	}
	answer(w, http.StatusCreated, s.shownToken(s.addToken(made), made))
}

func (s *Server) write2(w http.ResponseWriter, r *http.Request, t *token) {
	q := r.URL.Query()
	org, name := q.Get("org"), q.Get("bucket")
	if org == "" {
		org = q.Get("orgID")
	}
	if !s.ours(org) {
		refuse(w, http.StatusNotFound, "not found", "organization name \""+org+"\" not found")
		return
	}
	s.mu.Lock()
	b := s.buckets[name]
	if b == nil {
		b = s.byID(name)
	}
	s.mu.Unlock()
	if b == nil {
		refuse(w, http.StatusNotFound, "not found", "bucket \""+name+"\" not found")
		return
	}
	if !t.may(true, b.ID) {
		refuse(w, http.StatusForbidden, "forbidden", "insufficient permissions for write")
		return
	}
	body, err := s.body(r)
	switch {
	case errors.Is(err, errTooLarge):
		refuse(w, http.StatusRequestEntityTooLarge, "request too large", "unable to read data: points batch is too large")
		return
	case err != nil:
		refuse(w, http.StatusBadRequest, "invalid", err.Error())
		return
	}
	n := 0
	for _, line := range splitLines(body) {
		if _, err := parseLine(line); err != nil {
			refuse(w, http.StatusBadRequest, "invalid", "unable to parse '"+string(line)+"': "+err.Error())
			return
		}
		n++
	}
	if n == 0 {
		refuse(w, http.StatusBadRequest, "invalid", "writing requires points")
		return
	}
	status, said, err := s.store(r.Context(), b.Name, q.Get("precision"), body)
	switch {
	case err != nil || status >= 500:
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusServiceUnavailable, "unavailable", "the database behind the stand-in does not answer")
	case status == http.StatusNoContent:
		w.WriteHeader(http.StatusNoContent)
	default:
		refuse(w, http.StatusUnprocessableEntity, "unprocessable entity", "failure writing points to database: "+said)
	}
}

// allowed2 lists how statements may begin, by the documentation of InfluxQL in 2.x.
var allowed2 = []string{"SELECT", "EXPLAIN ANALYZE", "DELETE", "DROP MEASUREMENT", "SHOW DATABASES", "SHOW SERIES", "SHOW MEASUREMENTS", "SHOW TAG KEYS",
	"SHOW TAG VALUES", "SHOW FIELD KEYS", "SHOW TAG KEY", "SHOW FIELD KEY"}

// query2 is the door of 1.x clients.
func (s *Server) query2(w http.ResponseWriter, r *http.Request) {
	t := s.known(r, true)
	if t == nil {
		refuse(w, http.StatusUnauthorized, "unauthorized", "Unauthorized")
		return
	}
	db, rp, q := r.FormValue("db"), r.FormValue("rp"), r.FormValue("q")
	all := words(q)
	for _, st := range statements(all) {
		if !slices.ContainsFunc(allowed2, func(k string) bool { return begins(st, k) }) || slices.ContainsFunc(st, func(w word) bool { return w.is("INTO") }) {
			refuse(w, http.StatusBadRequest, "invalid", "statement is not supported: "+st[0].text)
			return
		}
		if begins(st, "SHOW DATABASES") {
			s.showDatabases(w, func(b *bucket) bool { return t.may(false, b.ID) })
			return
		}
	}
	asked := []string{db}
	for _, w := range databases(all) {
		asked = append(asked, w.text)
	}
	at := ""
	for i, name := range asked {
		if name == "" {
			continue
		}
		b := s.mapped(name, rp)
		if b == nil {
			answer(w, http.StatusOK, map[string]any{"results": []any{map[string]any{"statement_id": 0, "error": "database not found: " + name}}})
			return
		}
		if !t.may(false, b.ID) {
			refuse(w, http.StatusForbidden, "forbidden", "insufficient permissions for read")
			return
		}
		if i == 0 {
			at = b.Name
		}
	}
	s.forward(w, r, at, s.rename(q, all))
}

// mapped returns the bucket that a database and retention policy (empty: the default one) stand for.
func (s *Server) mapped(db, rp string) *bucket {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.dbrps {
		if m.Database == db && (m.RetentionPolicy == rp || rp == "" && m.Default) {
			return s.byID(m.BucketID)
		}
	}
	return nil
}

// showDatabases answers SHOW DATABASES.
func (s *Server) showDatabases(w http.ResponseWriter, may func(*bucket) bool) {
	s.mu.Lock()
	values := [][]string{}
	for _, b := range s.sorted() {
		if may(b) {
			values = append(values, []string{b.Name})
		}
	}
	s.mu.Unlock()
	series := map[string]any{"name": "databases", "columns": []string{"name"}, "values": values}
	answer(w, http.StatusOK, map[string]any{"results": []any{map[string]any{"statement_id": 0, "series": []any{series}}}})
}

// splitLines cuts line protocol into lines, without empty ones and comments. A line may go on inside a quoted text.
func splitLines(body []byte) [][]byte {
	var lines [][]byte
	from, fields, quoted := 0, false, false
	for i := 0; i <= len(body); i++ {
		if i < len(body) {
			switch c := body[i]; {
			case c == '\\':
				i++
				continue
			case c == ' ':
				fields = true
				continue
			case c == '"' && fields:
				quoted = !quoted
				continue
			case c != '\n' || quoted:
				continue
			}
		}
		end := min(i, len(body))
		if line := strings.TrimSpace(string(body[from:end])); line != "" && line[0] != '#' {
			lines = append(lines, []byte(line))
		}
		from, fields, quoted = end+1, false, false
	}
	return lines
}

// parsed is what a table must know of a line.
type parsed struct {
	table  string
	tags   []string
	fields map[string]lineprotocol.ValueKind
}

func parseLine(line []byte) (parsed, error) {
	p := parsed{fields: map[string]lineprotocol.ValueKind{}}
	d := lineprotocol.NewDecoderWithBytes(line)
	if !d.Next() {
		return p, errors.New("missing fields")
	}
	m, err := d.Measurement()
	if err != nil {
		return p, err
	}
	p.table = string(m)
	for {
		key, _, err := d.NextTag()
		if err != nil {
			return p, err
		}
		if key == nil {
			break
		}
		p.tags = append(p.tags, string(key))
	}
	for {
		key, value, err := d.NextField()
		if err != nil {
			return p, err
		}
		if key == nil {
			break
		}
		p.fields[string(key)] = value.Kind()
	}
	_, err = d.Time(lineprotocol.Nanosecond, time.Time{})
	return p, err
}
