package plans

import (
	"context"
	"time"
)

const (
	// watchEvery is how soon a change is noticed that another process made: the command line works on the same file.
	watchEvery = 2 * time.Second
	// compareEvery is how often everything is worked out again without a sign: sites move to other districts, agents come.
	compareEvery = time.Minute
)

// poke has Run look at once.
func (s *Service) poke() {
	select {
	case s.look <- struct{}{}:
	default:
	}
}

// Run watches the plan, the secrets and the sites until ctx ends, and tells Changed whose work becomes another one, also
// where another process made the change. What agents had when it began it does not tell: they ask by themselves when they
// connect.
func (s *Service) Run(ctx context.Context) error {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	var before map[Agent]string
	var plan, secrets int64
	var compared time.Time
	failing := false
	for {
		err := func() error {
			p, c, err := s.o.Store.Marks(ctx)
			if err != nil || p == plan && c == secrets && before != nil && time.Since(compared) < compareEvery {
				return err
			}
			now, err := s.tags(ctx)
			if err != nil {
				return err
			}
			s.tell(before, now)
			before, plan, secrets, compared = now, p, c, time.Now()
			return nil
		}()
		if ctx.Err() != nil {
			return nil
		}
		if (err != nil) != failing {
			if failing = err != nil; failing {
				s.o.Log.Warn("can't look whose work has changed; agents find out within minutes by themselves", "error", err)
			} else {
				s.o.Log.Info("looking whose work has changed works again")
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-s.look:
		}
	}
}

// tags are the ETags of the whole fleet's work; those to whom nothing is assigned have none.
func (s *Service) tags(ctx context.Context) (map[Agent]string, error) {
	c, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	out := map[Agent]string{}
	if c.plan == nil {
		return out, nil
	}
	fleet, err := s.fleet(ctx, c.values)
	if err != nil {
		return nil, err
	}
	kept, err := s.o.Store.Secrets(ctx)
	if err != nil {
		return nil, err
	}
	ids := make(map[string]int64, len(kept))
	for _, k := range kept {
		ids[k.Name] = k.ID
	}
	all := c.plan.All(fleet)
	for i := range all.Agents {
		if g := &all.Agents[i]; g.Assigned {
			out[Agent{g.Site, g.Agent}] = etagOf(g.Document, g.Secrets, ids)
		}
	}
	return out, nil
}

// tell tells Changed about the agents that have another ETag.
func (s *Service) tell(before, now map[Agent]string) {
	if before == nil || s.o.Changed == nil {
		return
	}
	var list []Agent
	for a, tag := range now {
		if before[a] != tag {
			list = append(list, a)
		}
	}
	for a := range before {
		if _, still := now[a]; !still {
			list = append(list, a)
		}
	}
	if len(list) > 0 {
		s.o.Changed(list)
	}
}
