package collector

import (
	"context"
	"errors"
	"fmt"

	"communewatch/collector/orders"
	"communewatch/collector/registry"
)

// agentOf says for which agent of which site a token was made, as the order channel asks it.
func (c *Collector) agentOf(ctx context.Context, secret string) (orders.Identity, error) {
	id, err := c.reg.Authenticate(ctx, secret)
	switch {
	case errors.Is(err, registry.ErrUnknownToken), errors.Is(err, registry.ErrRevoked):
		return orders.Identity{}, fmt.Errorf("%w: %w", orders.ErrUnauthorized, err)
	case err != nil:
		return orders.Identity{}, err
	case id.Kind != registry.KindAgent || id.Site == "":
		return orders.Identity{}, fmt.Errorf("%w: this one is of kind %s", orders.ErrForbidden, id.Kind)
	}
	return orders.Identity{Site: id.Site, Agent: id.Agent}, nil
}
