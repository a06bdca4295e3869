package frame

import "net/http"

// Register adds pages to a server's addresses. All are answered by instead, if that is not nil: a collector may lack what
// they show.
func Register(mux *http.ServeMux, pages map[string]http.HandlerFunc, instead http.HandlerFunc) {
	for pattern, serve := range pages {
		if instead != nil {
			serve = instead
		}
		mux.HandleFunc(pattern, serve)
	}
}
