package setup

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"communewatch/collector/rollup"
	"communewatch/collector/store/influx/setup/ask"
)

// influxSpan writes a retention for InfluxQL.
func influxSpan(d time.Duration) string {
	if d == 0 {
		return "INF"
	}
	return fmt.Sprintf("%ds", int64(d/time.Second))
}

// wantsAdmin puts into words what a 1.8 server that refuses wants.
func wantsAdmin(err error) error {
	var r *ask.Refused
	if errors.As(err, &r) && (ask.Denied(err) || strings.Contains(r.Message, "not authorized")) {
		return fmt.Errorf("%w; give --admin-token-file with user:password of an administrator. On a server that has no user yet, make one first: "+
			`influx -execute "CREATE USER admin WITH PASSWORD '...' WITH ALL PRIVILEGES"`, err)
	}
	return err
}

func (r *run) setup1(ctx context.Context, own string) error {
	if r.User != "" {
		if err := checkUser(r.User); err != nil {
			return err
		}
		if r.Config.TokenFile == "" {
			return errors.New("influx.token_file is not set: name the file that user and password are to be kept in")
		}
	}
	if strings.ContainsAny(r.Password, " \t") {
		return errors.New("the password must have no spaces: 1.8 does not take them in the header that clients of 2.x send")
	}
	asks, err := asksForPassword(ctx, r.link)
	if err != nil {
		return err
	}
	have, err := r.link.List(ctx, "", "SHOW DATABASES", "name")
	if err != nil {
		return wantsAdmin(err)
	}
	for _, l := range levels() {
		if err := r.database1(ctx, l, slices.Contains(have, r.Config.DatabaseOf(l))); err != nil {
			return wantsAdmin(err)
		}
	}
	if r.User != "" {
		return wantsAdmin(r.user1(ctx, asks, own))
	}
	switch {
	case !asks && own == "":
		r.note("user", "none", There, "the server asks nobody who they are", "with [http] auth-enabled = true and --user NAME only the collector gets at its rows")
	case own == "":
		r.note("user", "none", Differs, "the server wants user and password, and influx.token_file has none", "run this again with --user NAME")
	default:
		name, _, _ := strings.Cut(own, ":")
		if asks && may1(ctx, r.link.As(own)) != nil {
			r.note("user", name, Differs, "user and password in "+r.Config.TokenFile+" are refused", "run this again with --user "+name+" --alter")
		} else {
			r.note("user", name, There, "in "+r.Config.TokenFile, "")
		}
	}
	return nil
}

// asksForPassword says whether a 1.8 server refuses those who say nothing of themselves.
func asksForPassword(ctx context.Context, l *ask.Link) (bool, error) {
	_, err := l.As("").Query(ctx, "", "SHOW DATABASES")
	if ask.Denied(err) { // 403: there is no administrator yet
		return true, nil
	}
	return false, err
}

// may1 is nil if user and password are known.
func may1(ctx context.Context, l *ask.Link) error {
	_, err := l.Query(ctx, "", "SHOW DATABASES")
	return err
}

// policy is a retention policy of 1.8.
type policy struct {
	name        string
	keep, shard time.Duration
}

// defaultPolicy reads the policy that rows go into.
func defaultPolicy(ctx context.Context, l *ask.Link, db string) (policy, error) {
	tables, err := l.Query(ctx, "", "SHOW RETENTION POLICIES ON "+ask.Quoted(db))
	if err != nil {
		return policy{}, err
	}
	for i := range tables {
		t := &tables[i]
		names, spans, shards, defaults := t.Column("name"), t.Column("duration"), t.Column("shardGroupDuration"), t.Column("default")
		for j := range names {
			if j >= len(defaults) || defaults[j] != "true" || j >= len(spans) {
				continue
			}
			keep, err := time.ParseDuration(spans[j])
			if err != nil {
				return policy{}, fmt.Errorf("retention of %s: %w", db, err)
			}
			p := policy{name: names[j], keep: keep}
			if j < len(shards) {
				p.shard, _ = time.ParseDuration(shards[j])
			}
			return p, nil
		}
	}
	return policy{}, fmt.Errorf("database %s has no default retention policy; make one: CREATE RETENTION POLICY \"autogen\" ON %s ... DEFAULT", db, ask.Quoted(db))
}

func (r *run) database1(ctx context.Context, l rollup.Level, there bool) error {
	name, keep := r.Config.DatabaseOf(l), r.Keep[l]
	long := shard(l, keep)
	if !there {
		return r.make("database", name, "kept "+span(keep), func() error {
			_, err := r.link.Query(ctx, "", fmt.Sprintf(`CREATE DATABASE %s WITH DURATION %s REPLICATION 1 SHARD DURATION %s NAME "autogen"`, ask.Quoted(name), influxSpan(keep), influxSpan(long)))
			return err
		})
	}
	p, err := defaultPolicy(ctx, r.link, name)
	if err != nil {
		return err
	}
	if p.keep == keep {
		r.note("database", name, There, "kept "+span(keep), "")
		return nil
	}
	fix := "keeps it " + span(keep)
	if longer(p.keep, keep) {
		lost, err := r.lost(ctx, name, p.name, keep)
		if err != nil {
			return err
		}
		fix += "; " + lost
	}
	return r.alter("database", name, "kept "+span(p.keep), fix, func() error {
		_, err := r.link.Query(ctx, "", fmt.Sprintf("ALTER RETENTION POLICY %s ON %s DURATION %s SHARD DURATION %s", ask.Quoted(p.name), ask.Quoted(name), influxSpan(keep), influxSpan(long)))
		return err
	})
}

// lost says which rows a shorter retention deletes: shards are dropped as a whole, once all of one is too old.
func (r *run) lost(ctx context.Context, db, policy string, keep time.Duration) (string, error) {
	tables, err := r.link.Query(ctx, "", "SHOW SHARDS")
	if err != nil {
		return "", err
	}
	before := r.Now().Add(-keep)
	n := 0
	var first, last time.Time
	for i := range tables {
		t := &tables[i]
		dbs, policies, starts, ends := t.Column("database"), t.Column("retention_policy"), t.Column("start_time"), t.Column("end_time")
		for j := range min(len(dbs), len(policies), len(starts), len(ends)) {
			start, err1 := time.Parse(time.RFC3339, starts[j])
			end, err2 := time.Parse(time.RFC3339, ends[j])
			if dbs[j] != db || policies[j] != policy || err1 != nil || err2 != nil || !end.Before(before) {
				continue
			}
			if n == 0 || start.Before(first) {
				first = start
			}
			if end.After(last) {
				last = end
			}
			n++
		}
	}
	if n == 0 {
		return "nothing stored is that old yet", nil
	}
	return fmt.Sprintf("this DELETES what is stored from %s to %s, %d shards", first.Format(time.DateOnly), last.Format(time.DateOnly), n), nil
}

// user1 sees to the collector's user: its password, where that is kept, and its rights.
func (r *run) user1(ctx context.Context, asks bool, own string) error {
	users, err := r.link.Query(ctx, "", "SHOW USERS")
	if err != nil {
		return err
	}
	there, admin := false, false
	for i := range users {
		names, admins := users[i].Column("user"), users[i].Column("admin")
		if j := slices.Index(names, r.User); j >= 0 {
			there, admin = true, j < len(admins) && admins[j] == "true"
		}
	}
	if !asks {
		r.note("server", r.report.Server.URL, There, "asks nobody who they are, so the user below guards nothing", "set [http] auth-enabled = true, with an administrator made before")
	}
	if err := r.password1(ctx, there, asks, own); err != nil {
		return err
	}
	if admin {
		r.note("user", r.User, There, "is an administrator", "the collector needs less: REVOKE ALL PRIVILEGES FROM "+ask.Quoted(r.User))
		return nil
	}
	granted := map[string]string{}
	if there {
		grants, err := r.link.Query(ctx, "", "SHOW GRANTS FOR "+ask.Quoted(r.User))
		if err != nil {
			return err
		}
		for i := range grants {
			dbs, rights := grants[i].Column("database"), grants[i].Column("privilege")
			for j := range min(len(dbs), len(rights)) {
				granted[dbs[j]] = rights[j]
			}
		}
	}
	for _, l := range levels() {
		db := r.Config.DatabaseOf(l)
		if granted[db] == "ALL PRIVILEGES" {
			r.note("right", r.User+" on "+db, There, "reads and writes", "")
			continue
		}
		if err := r.make("right", r.User+" on "+db, "reads and writes", func() error {
			_, err := r.link.Query(ctx, "", fmt.Sprintf("GRANT ALL ON %s TO %s", ask.Quoted(db), ask.Quoted(r.User)))
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) password1(ctx context.Context, there, asks bool, own string) error {
	set := func(statement string) func() error {
		return func() error {
			return r.keepToken(func() (string, error) {
				password := r.Password
				if password == "" {
					password = rand.Text()
				}
				_, err := r.link.Query(ctx, "", fmt.Sprintf(statement, ask.Quoted(r.User), ask.Text(password)))
				return r.User + ":" + password, err
			})
		}
	}
	is := "user and password are in " + r.Config.TokenFile
	if !there {
		return r.make("user", r.User, is, set("CREATE USER %s WITH PASSWORD %s"))
	}
	want := own
	if r.Password != "" {
		want = r.User + ":" + r.Password
	}
	known := strings.HasPrefix(want, r.User+":") && (!asks || may1(ctx, r.link.As(want)) == nil)
	switch {
	case !known:
		return r.alter("user", r.User, "its password is not known here", "sets a new one; whoever else uses the old one is refused then", set("SET PASSWORD FOR %s = %s"))
	case want != own:
		return r.make("token file", r.Config.TokenFile, "user and password of "+r.User, func() error {
			return r.keepToken(func() (string, error) { return want, nil })
		})
	}
	r.note("user", r.User, There, is, "")
	return nil
}
