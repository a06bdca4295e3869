package setup

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"communewatch/collector/store/influx/setup/ask"
)

// coreDatabases is how many databases 3 Core has at most. The collector needs all of them.
const coreDatabases = 5

// databases3 lists the databases of a 3.x server.
func databases3(ctx context.Context, l *ask.Link) ([]string, error) {
	var got []map[string]any
	if err := l.Call(ctx, http.MethodGet, "/api/v3/configure/database?format=json", nil, &got); err != nil {
		return nil, err
	}
	var names []string
	for _, row := range got {
		if name, ok := row["iox::database"].(string); ok {
			names = append(names, name)
		}
	}
	return names, nil
}

// period3 writes a retention for 3.x, where 0 would hide everything at once.
func period3(d time.Duration) string {
	switch {
	case d == 0:
		return "none"
	case d%day == 0:
		return fmt.Sprintf("%dd", d/day)
	}
	return fmt.Sprintf("%dh", d/time.Hour)
}

func (r *run) setup3(ctx context.Context, own string) error {
	if r.Config.TokenFile == "" {
		return errors.New("influx.token_file is not set: name the file that the collector's token is to be kept in")
	}
	if strings.Contains(r.Config.Database, ".") {
		return fmt.Errorf("influx.database: 3.x takes letters, digits, _ and - in a database's name, not %q", r.Config.Database)
	}
	have, err := databases3(ctx, r.link)
	if err != nil {
		return admin3(err)
	}
	core := r.report.Server.Core()
	if core {
		if err := r.room3(have); err != nil {
			return err
		}
	}
	for _, l := range levels() {
		name, keep := r.Config.DatabaseOf(l), r.Keep[l]
		if !slices.Contains(have, name) {
			err = r.make("database", name, "kept "+span(keep), func() error {
				return r.link.Call(ctx, http.MethodPost, "/api/v3/configure/database", map[string]string{"db": name, "retention_period": period3(keep)}, nil)
			})
		} else if core || !r.Alter {
			fix := "should be kept " + span(keep) + "; look: influxdb3 show retention --database " + name
			if core {
				fix += ". Core can't change it: a database with another retention must be deleted and made anew, or its rows moved"
			} else {
				fix += ". --alter sets it"
			}
			r.note("database", name, Unknown, "the server does not tell how long it keeps it", fix)
		} else {
			err = r.alter("database", name, "not told", "keeps it "+span(keep)+"; what is older is deleted", func() error {
				return r.link.Call(ctx, http.MethodPut, "/api/v3/configure/database", map[string]string{"db": name, "retention_period": period3(keep)}, nil)
			})
		}
		if err != nil {
			return admin3(err)
		}
	}
	return admin3(r.token3(ctx, own))
}

// room3 says whether Core takes the databases that are missing.
func (r *run) room3(have []string) error {
	var ours, others []string
	missing := 0
	for _, l := range levels() {
		ours = append(ours, r.Config.DatabaseOf(l))
		if !slices.Contains(have, r.Config.DatabaseOf(l)) {
			missing++
		}
	}
	for _, name := range have {
		if !strings.HasPrefix(name, "_") && !slices.Contains(ours, name) { // _internal is the server's own and does not count
			others = append(others, ask.Printable(name, 60))
		}
	}
	if missing > 0 && len(others) > 0 && len(ours)+len(others) > coreDatabases {
		return fmt.Errorf("3 Core has %d databases at most, and the collector needs %d: %q would have to go first, or run the collector's server alone", coreDatabases, len(ours), others)
	}
	return nil
}

// admin3 puts into words what a 3.x server that refuses wants.
func admin3(err error) error {
	if ask.Denied(err) {
		return fmt.Errorf("%w; give --admin-token-file with an admin token (influxdb3 create token --admin)", err)
	}
	return err
}

// token3 sees to a token of the collector's own.
func (r *run) token3(ctx context.Context, own string) error {
	file, core := r.Config.TokenFile, r.report.Server.Core()
	path, body := "/api/v3/configure/token/named_admin", map[string]any{"token_name": tokenName}
	is := "may do everything, since Core has no other tokens; it is in " + file
	if !core {
		var names []string
		for _, l := range levels() {
			names = append(names, r.Config.DatabaseOf(l))
		}
		path = "/api/v3/enterprise/configure/token"
		body["permissions"] = []map[string]any{{"resource_type": "db", "resource_identifier": names, "actions": []string{"read", "write"}}}
		is = "reads and writes the five databases; it is in " + file
	}
	makeIt := func() error {
		return r.keepToken(func() (string, error) {
			var made struct{ Token string }
			err := r.link.Call(ctx, http.MethodPost, path, body, &made)
			switch {
			case ask.Status(err) == http.StatusConflict:
				err = fmt.Errorf("a token called %s was made before, and its text is not told twice; remove it: influxdb3 delete token --token-name %s", tokenName, tokenName)
			case err == nil && made.Token == "":
				err = errors.New("the answer has no token")
			}
			return made.Token, err
		})
	}
	if own == "" {
		return r.make("token", tokenName, is, makeIt)
	}
	for _, l := range levels() {
		name := r.Config.DatabaseOf(l)
		// Asked, not written to: a write would make a database that is missing.
		if _, err := r.link.As(own).Query(ctx, name, "SHOW MEASUREMENTS"); ask.Denied(err) {
			return r.alter("token", tokenName, "the token in "+file+" is refused for "+name, "makes another one and writes it there", makeIt)
		}
	}
	r.note("token", tokenName, There, "it is in "+file, "")
	return nil
}
