package setup

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"communewatch/collector/rollup"
	"communewatch/collector/store/influx/setup/ask"
)

// tokenName is what our tokens are called, for people who look through a list of them.
const tokenName = "communewatch-collector"

type rule struct {
	Type  string `json:"type"`
	Every int64  `json:"everySeconds"`
	Shard int64  `json:"shardGroupDurationSeconds,omitempty"`
}

type bucket struct {
	ID    string `json:"id"`
	OrgID string `json:"orgID"`
	Name  string `json:"name"`
	Rules []rule `json:"retentionRules"`
}

// keep is how long a bucket keeps rows, 0 for ever.
func (b *bucket) keep() time.Duration {
	for _, r := range b.Rules {
		return time.Duration(r.Every) * time.Second
	}
	return 0
}

// findBucket finds a bucket by name, nil if the token sees none of that name.
func findBucket(ctx context.Context, l *ask.Link, org, name string) (*bucket, error) {
	var got struct{ Buckets []bucket }
	if err := l.Call(ctx, http.MethodGet, "/api/v2/buckets?"+url.Values{"org": {org}, "name": {name}}.Encode(), nil, &got); err != nil {
		if ask.Status(err) == http.StatusNotFound {
			return nil, nil
		}
		return nil, err
	}
	for i := range got.Buckets {
		if got.Buckets[i].Name == name {
			return &got.Buckets[i], nil
		}
	}
	return nil, nil
}

func (r *run) setup2(ctx context.Context, own string) error {
	org := r.Config.Org
	if org == "" {
		return errors.New("influx.org is not set; 2.x wants the organisation's name (influx org list)")
	}
	if r.Config.TokenFile == "" {
		return errors.New("influx.token_file is not set: name the file that the collector's token is to be kept in")
	}
	if r.Admin == "" {
		return errors.New("2.x wants a token: give --admin-token-file with one that may make buckets and tokens (influx auth list)")
	}
	// The collector's own token sees its buckets and nothing else; with it everything can be looked at, and nothing made.
	var orgs struct {
		Orgs []struct{ ID, Name string }
	}
	err := r.link.Call(ctx, http.MethodGet, "/api/v2/orgs?"+url.Values{"org": {org}}.Encode(), nil, &orgs)
	orgID := ""
	for _, o := range orgs.Orgs {
		if o.Name == org {
			orgID = o.ID
		}
	}
	if err != nil && ask.Status(err) != http.StatusNotFound {
		return admin2(err)
	}
	ids := map[rollup.Level]string{}
	for _, l := range levels() {
		if ids[l], err = r.bucket2(ctx, l, org, &orgID); err != nil {
			return admin2(err)
		}
	}
	for _, l := range levels() {
		if err := r.mapping2(ctx, r.Config.DatabaseOf(l), ids[l], orgID); err != nil {
			return admin2(err)
		}
	}
	return admin2(r.token2(ctx, own, orgID, ids))
}

// admin2 puts into words what a 2.x server that refuses wants.
func admin2(err error) error {
	if ask.Denied(err) {
		return fmt.Errorf("%w; give --admin-token-file with a token that may make buckets and tokens (influx auth list)", err)
	}
	return err
}

func noOrg(org string) error {
	return fmt.Errorf("organisation %q is not there, or the token does not see it; influx.org must be its name (influx org list), and --admin-token-file a token of it", org)
}

// bucket2 returns the bucket's id, "" if it would be made. It may come to know the organisation's id.
func (r *run) bucket2(ctx context.Context, l rollup.Level, org string, orgID *string) (string, error) {
	name, keep := r.Config.DatabaseOf(l), r.Keep[l]
	rules := []rule{{Type: "expire", Every: int64(keep / time.Second), Shard: int64(shard(l, keep) / time.Second)}}
	b, err := findBucket(ctx, r.link, org, name)
	if err != nil {
		return "", err
	}
	if b == nil {
		if *orgID == "" {
			return "", noOrg(org)
		}
		var made bucket
		err := r.make("bucket", name, "kept "+span(keep), func() error {
			return r.link.Call(ctx, http.MethodPost, "/api/v2/buckets", map[string]any{
				"orgID": *orgID, "name": name, "description": "communewatch: " + l.String(), "retentionRules": rules,
			}, &made)
		})
		return made.ID, err
	}
	if *orgID == "" {
		*orgID = b.OrgID
	}
	if b.keep() == keep {
		r.note("bucket", name, There, "kept "+span(keep), "")
		return b.ID, nil
	}
	fix := "keeps it " + span(keep)
	if longer(b.keep(), keep) {
		fix += "; this DELETES what is older than " + r.Now().Add(-keep).UTC().Format(time.DateOnly)
	}
	return b.ID, r.alter("bucket", name, "kept "+span(b.keep()), fix, func() error {
		return r.link.Call(ctx, http.MethodPatch, "/api/v2/buckets/"+url.PathEscape(b.ID), map[string]any{"retentionRules": rules}, nil)
	})
}

// mapping is what InfluxQL finds a bucket by.
type mapping struct {
	ID       string `json:"id,omitempty"`
	OrgID    string `json:"orgID"`
	BucketID string `json:"bucketID"`
	Database string `json:"database"`
	Policy   string `json:"retention_policy"`
	Default  bool   `json:"default"`
	Virtual  bool   `json:"virtual,omitempty"` // made up by the server from the bucket's name
}

// mappings lists those of a database, nil where the bucket is to come.
func mappings(ctx context.Context, l *ask.Link, orgID, db string) ([]mapping, error) {
	var got struct{ Content []mapping }
	err := l.Call(ctx, http.MethodGet, "/api/v2/dbrps?"+url.Values{"orgID": {orgID}, "db": {db}}.Encode(), nil, &got)
	return got.Content, err
}

func (r *run) mapping2(ctx context.Context, name, bucketID, orgID string) error {
	if bucketID != "" {
		all, err := mappings(ctx, r.link, orgID, name)
		if err != nil {
			return err
		}
		for _, m := range all {
			if m.Virtual || !m.Default || m.Database != name {
				continue
			}
			if m.BucketID == bucketID {
				r.note("mapping", name, There, "database "+name+" is the bucket of that name", "")
				return nil
			}
			// Whoever made it reads another bucket under this name.
			r.note("mapping", name, Differs, "database "+name+" is another bucket, "+ask.Printable(m.BucketID, 40), "remove it: influx v1 dbrp delete --id "+ask.Printable(m.ID, 40)+"; then run this again")
			return nil
		}
	}
	return r.make("mapping", name, "database "+name+" is the bucket of that name", func() error {
		return r.link.Call(ctx, http.MethodPost, "/api/v2/dbrps", mapping{OrgID: orgID, BucketID: bucketID, Database: name, Policy: "autogen", Default: true}, nil)
	})
}

type resource struct {
	Type  string `json:"type"`
	ID    string `json:"id"`
	OrgID string `json:"orgID"`
}

type permission struct {
	Action   string   `json:"action"`
	Resource resource `json:"resource"`
}

// token2 sees to a token that reads and writes our buckets and does nothing else.
func (r *run) token2(ctx context.Context, own, orgID string, ids map[rollup.Level]string) error {
	file := r.Config.TokenFile
	makeIt := func() error {
		return r.keepToken(func() (string, error) {
			var all []permission
			for _, l := range levels() {
				for _, action := range []string{"read", "write"} {
					all = append(all, permission{action, resource{Type: "buckets", ID: ids[l], OrgID: orgID}})
				}
			}
			var made struct{ Token string }
			err := r.link.Call(ctx, http.MethodPost, "/api/v2/authorizations", map[string]any{"orgID": orgID, "description": tokenName, "permissions": all}, &made)
			if err == nil && made.Token == "" {
				err = errors.New("the answer has no token")
			}
			return made.Token, err
		})
	}
	is := "reads and writes the five buckets; it is in " + file
	if own == "" {
		return r.make("token", tokenName, is, makeIt)
	}
	if why := r.refused2(ctx, own, ids); why != "" {
		return r.alter("token", tokenName, "the token in "+file+" "+why, "makes another one and writes it there", makeIt)
	}
	fix := ""
	if mayAll2(ctx, r.link.As(own)) {
		is, fix = "the token in "+file+" may do more than it needs", "take it out of "+file+" and run this again with --admin-token-file: one for the five buckets is made"
	}
	r.note("token", tokenName, There, is, fix)
	return nil
}

// refused2 says what a token can't do, "" if it can do all.
func (r *run) refused2(ctx context.Context, token string, ids map[rollup.Level]string) string {
	l := r.link.As(token)
	var cant []string
	for _, level := range levels() {
		name := r.Config.DatabaseOf(level)
		if ids[level] == "" {
			return "can't read and write buckets that are not there yet"
		}
		b, err := findBucket(ctx, l, r.Config.Org, name)
		if ask.Status(err) == http.StatusUnauthorized {
			return "is not known to the server"
		}
		if err != nil || b == nil {
			cant = append(cant, "read "+name)
		}
		if l.WriteNothing(ctx, r.Config.Org, name) != nil {
			cant = append(cant, "write "+name)
		}
	}
	if len(cant) == 0 {
		return ""
	}
	return "can't " + strings.Join(cant, ", ")
}

// mayAll2 says that a token may look at tokens, so it is no token for buckets alone.
func mayAll2(ctx context.Context, l *ask.Link) bool {
	var got struct{ Authorizations []struct{ ID string } }
	return l.Call(ctx, http.MethodGet, "/api/v2/authorizations", nil, &got) == nil && len(got.Authorizations) > 0
}
