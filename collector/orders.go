package collector

import (
	"errors"
	"fmt"
	"net/http"

	"communewatch/collector/callers"
	"communewatch/collector/orders"
)

// agentOf says which agent of which site sends a request, as the order channel asks it.
func (c *Collector) agentOf(r *http.Request) (orders.Identity, error) {
	id, err := c.callers.Agent(r)
	switch {
	case errors.Is(err, callers.ErrUnauthorized):
		return orders.Identity{}, fmt.Errorf("%w: %w", orders.ErrUnauthorized, err)
	case errors.Is(err, callers.ErrForbidden):
		return orders.Identity{}, fmt.Errorf("%w: %w", orders.ErrForbidden, err)
	}
	return orders.Identity{Site: id.Site, Agent: id.Agent}, err
}
