package collector

import (
	"context"
	"encoding/json"

	"communewatch/collector/api"
	"communewatch/collector/web"
)

type source struct{ api *api.API }

func (s source) Sites(ctx context.Context, lang string) ([]web.Site, error) {
	a, err := s.api.Sites(ctx, lang)
	if err != nil {
		return nil, err
	}
	b, _ := json.Marshal(a)
	var out []web.Site
	return out, json.Unmarshal(b, &out)
}

func (s source) Site(ctx context.Context, id, lang string) (web.SiteDetail, error) {
	a, err := s.api.Site(ctx, id, lang)
	if err != nil {
		return web.SiteDetail{}, err
	}
	b, _ := json.Marshal(a)
	var out web.SiteDetail
	return out, json.Unmarshal(b, &out)
}
