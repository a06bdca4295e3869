package door

import (
	"net/http"

	"communewatch/collector/people"
)

// need is what a request takes.
type need struct {
	act  people.Act
	open bool // for everybody, signed in or not
	bare bool // its form needs no proof: it does nothing in the name of a session
	own  bool // for who is signed in, whatever their role
	// code: whoever shows an operator's code may do it too; who takes the request looks at the code.
	code bool
	// whole: it tells about all sites at once, so that who sees some districts only may not.
	whole bool
}

// addresses is what requests take, by patterns as http.ServeMux reads them; the most exact one counts. What is not listed
// may be read by viewers, and changed by administrators alone.
func addresses() map[string]need {
	view, inventory := need{act: people.ActView}, need{act: people.ActInventory}
	operate := need{act: people.ActOperate, code: true, whole: true}
	open, own := need{open: true}, need{own: true}
	fleet, work, revoke := need{act: people.ActFleet}, need{act: people.ActWork}, need{act: people.ActRevoke, whole: true}
	persons, release := need{act: people.ActPeople, whole: true}, need{act: people.ActRelease, whole: true}
	return map[string]need{
		"GET /":    view,
		"/":        {act: people.ActPeople, whole: true},
		"GET /{$}": view,

		"GET /static/":               open,
		"GET /favicon.ico":           open,
		"GET /sign-in":               open,
		"POST /sign-in":              {open: true, bare: true},
		"GET /sign-in/oidc":          open,
		"GET /sign-in/oidc/callback": open,
		"GET /first/{secret}":        open,
		"POST /first/{secret}":       open,
		"POST /sign-out":             open, // with the session's proof, as any form
		"GET /account":               own,
		"POST /account":              own,

		"GET /sites/{id}":         view,
		"POST /sites/{id}/check":  {act: people.ActOperate},
		"GET /boundaries.geojson": view,
		"GET /reports":            view,
		"GET /reports/":           view,
		"GET /reports.csv":        view,
		"GET /reports.xlsx":       view,

		"GET /rehearsals":            view,
		"GET /rehearsals/":           view,
		"GET /rehearsals/new":        {act: people.ActView, whole: true},
		"POST /rehearsals":           operate,
		"POST /rehearsals/{id}/stop": operate,

		"GET /inventory":          inventory,
		"GET /inventory/":         inventory,
		"GET /inventory.csv":      inventory,
		"GET /inventory.xlsx":     inventory,
		"POST /inventory/":        {act: people.ActState},
		"GET /api/v1/inventory/":  inventory,
		"POST /api/v1/inventory/": {act: people.ActState},

		"GET /api/v1/sites":                 view,
		"GET /api/v1/sites/":                view,
		"GET /api/v1/series":                view,
		"GET /api/v1/events":                view,
		"GET /api/v1/status":                view,
		"GET /api/v1/openapi.json":          view,
		"GET /api/v1/reports/":              view,
		"GET /api/v1/rehearsals":            view,
		"GET /api/v1/rehearsals/":           view,
		"GET /api/v1/rehearsals/plan":       {act: people.ActView, whole: true},
		"POST /api/v1/rehearsals":           operate,
		"POST /api/v1/rehearsals/{id}/stop": operate,
		"POST /api/v1/rehearsals/hold":      operate,
		"GET /metrics":                      {act: people.ActView, whole: true},

		"GET /fleet":         fleet,
		"GET /fleet/":        fleet,
		"POST /fleet/codes":  fleet,
		"POST /fleet/codes/": fleet,
		"POST /fleet/agents/{site}/{agent}/approve": fleet,
		"POST /fleet/agents/{site}/{agent}/check":   {act: people.ActOperate},
		"POST /fleet/agents/{site}/{agent}/revoke":  revoke,
		"POST /fleet/agents/{site}/{agent}/cleared": revoke,
		"POST /fleet/":          work,
		"POST /fleet/work/":     {act: people.ActWork, whole: true},
		"POST /fleet/releases":  release,
		"POST /fleet/releases/": release,
		"GET /fleet/people":     persons,
		"POST /fleet/people":    persons,
		"GET /fleet/people/":    persons,
		"POST /fleet/people/":   persons,
		"GET /fleet/audit":      persons,
		"POST /fleet/audit":     persons,
		"GET /fleet/audit/":     persons,
		"POST /fleet/audit/":    persons,
		"GET /api/v1/fleet":     fleet,
		"GET /api/v1/fleet/":    fleet,
		"GET /api/v1/people":    persons,
		"GET /api/v1/people/":   persons,
		"GET /api/v1/audit":     persons,
	}
}

// table finds what a request takes. It is a ServeMux that serves nothing, so that addresses are read here exactly as they
// are by who answers.
type table struct {
	mux   *http.ServeMux
	needs map[string]need
}

func newTable(needs map[string]need) *table {
	t := &table{mux: http.NewServeMux(), needs: needs}
	for pattern := range needs {
		t.mux.HandleFunc(pattern, func(http.ResponseWriter, *http.Request) {})
	}
	return t
}

// of returns what a request takes. What no pattern fits, such as an address that a ServeMux first redirects, takes what
// its method does at large.
func (t *table) of(r *http.Request) need {
	_, pattern := t.mux.Handler(r)
	if n, ok := t.needs[pattern]; ok {
		return n
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return need{act: people.ActView}
	}
	return t.needs["/"]
}
