// Package api serves the JSON API of the collector: the sites and their states, histories, measurements, live
// events, metrics, and the OpenAPI description of all that (openapi.json).
//
// States come from the judge, names from the registry, numbers from the store. The list of sites is asked for by
// every open map all the time, so each site's JSON is kept ready in every language and made anew only when that site
// changed; a list is then a concatenation, and answers 304 to a client that has it.
//
// Rooms below: ask reads queries, live fans events out, and the others hold the parts that are about one thing.
package api
