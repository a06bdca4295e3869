// Package rolled keeps rollups beside the embedded engine, in one SQLite file: what the engine itself can't do, since
// windows are written again when late rows come in, and kept for longer than rows are.
package rolled

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"time"

	"communewatch/collector/rollup"
	"communewatch/collector/sqlite"
	"communewatch/collector/store"
	"communewatch/probes"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// applicationID marks the file as ours ("CWRU").
const applicationID = 0x43575255

// Options of the file. Zero values mean the defaults named here.
type Options struct {
	Keep map[rollup.Level]time.Duration // how long windows are kept, by level; a level that is missing is kept for ever
	Now  func() time.Time               // nil: time.Now
	Log  *slog.Logger                   // nil: nothing is logged
}

// Rolled is an open file of rollups. It implements store.Rolled.
type Rolled struct {
	db *sqlite.DB
	o  Options
}

// Open opens or creates the file at path.
func Open(ctx context.Context, path string, o Options) (*Rolled, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	migrations, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return nil, err
	}
	db, err := sqlite.Open(ctx, path, sqlite.Options{Name: "rollups", ApplicationID: applicationID, Migrations: migrations, Readers: 4, Log: o.Log, Now: o.Now})
	if err != nil {
		return nil, err
	}
	return &Rolled{db: db, o: o}, nil
}

// Close closes the file.
func (r *Rolled) Close() error { return r.db.Close() }

// Sync returns when everything stored before the call is on disk.
func (r *Rolled) Sync() error { return r.db.Sync() }

// Backup writes a copy to file, which must not exist.
func (r *Rolled) Backup(ctx context.Context, file string) error { return r.db.Backup(ctx, file) }

type field struct {
	Key       string
	Total     bool    `json:",omitempty"`
	Count     int64   `json:",omitempty"`
	Sum       float64 `json:",omitempty"`
	Min, Max  float64 `json:",omitempty"`
	Sketch    string  `json:",omitempty"`
	HasSketch bool    `json:",omitempty"`
}

// PutRollups stores windows; see store.Rolled.
func (r *Rolled) PutRollups(ctx context.Context, level rollup.Level, rows []rollup.Row) error {
	if len(rows) == 0 {
		return ctx.Err()
	}
	if level == rollup.Raw {
		return errors.New("put windows: raw is no level of windows")
	}
	oldest := int64(0)
	if keep, ok := r.o.Keep[level]; ok {
		oldest = r.o.Now().Add(-keep).UnixMilli()
	}
	return r.db.Write(ctx, func(ctx context.Context, c *sql.Conn) error {
		for i := range rows {
			row := &rows[i]
			if row.Start < oldest {
				continue
			}
			tags, err := json.Marshal(row.Tags)
			if err != nil {
				return err
			}
			var id int64
			if err := c.QueryRowContext(ctx, `INSERT INTO series (key, measurement, site, tags) VALUES (?, ?, ?, ?)
				ON CONFLICT (key) DO UPDATE SET site = excluded.site RETURNING id`,
				rollup.SeriesKey(row.Measurement, row.Tags), row.Measurement, row.Tags.Get("site"), string(tags)).Scan(&id); err != nil {
				return err
			}
			fields := make([]field, len(row.Fields))
			for j, f := range row.Fields {
				fields[j] = field{Key: f.Key, Total: f.Value.Total, Count: f.Value.Count, Sum: f.Value.Sum, Min: f.Value.Min, Max: f.Value.Max}
				if f.Value.Sketch != nil {
					fields[j].HasSketch, fields[j].Sketch = true, f.Value.Sketch.Text()
				}
			}
			text, err := json.Marshal(fields)
			if err != nil {
				return err
			}
			if _, err := c.ExecContext(ctx, `INSERT INTO windows (level, series, start_ms, fields) VALUES (?, ?, ?, ?)
				ON CONFLICT DO UPDATE SET fields = excluded.fields`, int(level), id, row.Start, string(text)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Rollups reads windows; see store.Rolled.
func (r *Rolled) Rollups(ctx context.Context, q store.RollupQuery, each func(store.RollupSeries) error) error {
	rows, err := r.db.Read().QueryContext(ctx, `SELECT s.measurement, s.tags, w.series, w.start_ms, w.fields FROM series s JOIN windows w ON w.series = s.id
		WHERE w.level = ? AND w.start_ms >= ? AND w.start_ms < ? AND (? = '' OR s.measurement = ?) AND (? = '' OR s.site = ?)
		ORDER BY w.series, w.start_ms`, int(q.Level), ceilMillis(q.From), ceilMillis(q.To), q.Measurement, q.Measurement, q.Tags["site"], q.Tags["site"])
	if err != nil {
		return r.db.Explain(err)
	}
	defer rows.Close()
	var s store.RollupSeries
	last, n := int64(-1), 0
	flush := func() error {
		if err := ctx.Err(); err != nil || len(s.Rows) == 0 {
			return err
		}
		return each(s)
	}
	for rows.Next() {
		var measurement, tags, text string
		var series, start int64
		if err := rows.Scan(&measurement, &tags, &series, &start, &text); err != nil {
			return r.db.Explain(err)
		}
		if series != last {
			if err := flush(); err != nil {
				return err
			}
			last, s = series, store.RollupSeries{Measurement: measurement}
			if err := json.Unmarshal([]byte(tags), &s.Tags); err != nil {
				return err
			}
		}
		if !matches(s.Tags, q.Tags) {
			continue
		}
		if n++; q.MaxRows > 0 && n > q.MaxRows {
			return store.ErrTooMany
		}
		var fields []field
		if err := json.Unmarshal([]byte(text), &fields); err != nil {
			return err
		}
		row := rollup.Row{Measurement: measurement, Tags: s.Tags, Start: start}
		for _, f := range fields {
			if len(q.Fields) > 0 && !slices.Contains(q.Fields, f.Key) {
				continue
			}
			a := rollup.Aggregate{Total: f.Total, Count: f.Count, Sum: f.Sum, Min: f.Min, Max: f.Max}
			if f.HasSketch {
				if a.Sketch, err = rollup.ParseSketch(f.Sketch); err != nil {
					return err
				}
			}
			row.Fields = append(row.Fields, rollup.Field{Key: f.Key, Value: a})
		}
		if len(row.Fields) > 0 {
			s.Rows = append(s.Rows, row)
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return r.db.Explain(err)
	}
	return flush()
}

func matches(tags probes.Tags, want map[string]string) bool {
	for k, v := range want {
		if strings.Compare(tags.Get(k), v) != 0 {
			return false
		}
	}
	return true
}

func ceilMillis(t time.Time) int64 {
	ms := t.UnixMilli()
	if t.Nanosecond()%1e6 != 0 {
		ms++
	}
	return ms
}
