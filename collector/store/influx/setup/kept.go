package setup

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"communewatch/collector/rollup"
	"communewatch/collector/store/influx/setup/ask"
)

// Kept returns how long each level's database keeps rows, 0 for ever. 3.x does not tell: there it is what o.Keep says.
// A database that is not there, or that the token may not read, has no entry: Check says what to do about those.
func Kept(ctx context.Context, o Options) (map[rollup.Level]time.Duration, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	token, err := readToken(o.Config.TokenFile)
	if err != nil {
		return nil, err
	}
	link, err := ask.New(o.Config, token)
	if err != nil {
		return nil, err
	}
	server, err := link.Identify(ctx, o.Now)
	if err != nil {
		return nil, err
	}
	if server.Generation > 2 {
		return maps.Clone(o.Keep), nil
	}
	var have []string
	if server.Generation == 1 {
		if have, err = link.List(ctx, "", "SHOW DATABASES", "name"); err != nil && !ask.Denied(err) {
			return nil, err
		}
	}
	kept := map[rollup.Level]time.Duration{}
	for _, l := range levels() {
		name := o.Config.DatabaseOf(l)
		if server.Generation == 1 {
			if !slices.Contains(have, name) {
				continue
			}
			p, err := defaultPolicy(ctx, link, name)
			if ask.Denied(err) {
				continue
			}
			if err != nil { // not to be taken for "keeps for ever"
				return nil, fmt.Errorf("database %s: %w", name, err)
			}
			kept[l] = p.keep
			continue
		}
		b, err := findBucket(ctx, link, o.Config.Org, name)
		if err != nil {
			return nil, fmt.Errorf("bucket %s: %w", name, err)
		}
		if b != nil {
			kept[l] = b.keep()
		}
	}
	return kept, nil
}
