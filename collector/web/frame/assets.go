package frame

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"time"
)

// assetPath is where the bundle is served.
const assetPath = "/static/"

// assets serves the bundled scripts and styles. Their names carry a hash, so browsers keep them for ever.
type assets struct {
	names map[string]string // "map.js" -> "map-ABCD1234.js"; empty when nothing was bundled
	files map[string]asset  // by the hashed name
}

type asset struct {
	mime          string
	plain, zipped []byte
}

// mimeTypes are fixed here, since those of the system differ (on Windows they come from the registry).
var mimeTypes = map[string]string{
	".js":  "text/javascript; charset=utf-8",
	".css": "text/css; charset=utf-8",
	".svg": "image/svg+xml",
}

func loadAssets(files fs.FS) (*assets, error) {
	a := &assets{names: map[string]string{}, files: map[string]asset{}}
	manifest, err := fs.ReadFile(files, "manifest.json")
	if errors.Is(err, fs.ErrNotExist) {
		return a, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(manifest, &a.names); err != nil {
		return nil, fmt.Errorf("dist/manifest.json: %w; bundle the user interface again", err)
	}
	for _, name := range a.names {
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("%w; bundle the user interface again", err)
		}
		a.files[name] = asset{mime: mimeTypes[path.Ext(name)], plain: data, zipped: Zip(data, gzip.BestCompression)}
	}
	return a, nil
}

// built tells whether there is a bundle.
func (a *assets) built() bool { return len(a.names) > 0 }

// path returns the address of the asset called name, or "" when it was not bundled.
func (a *assets) path(name string) string {
	if hashed, ok := a.names[name]; ok {
		return assetPath + hashed
	}
	return ""
}

func (a *assets) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	file, ok := a.files[r.URL.Path]
	if !ok {
		http.NotFound(rw, r)
		return
	}
	h := rw.Header()
	h.Set("Content-Type", file.mime)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Vary", "Accept-Encoding")
	body := file.plain
	if AcceptsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		body = file.zipped
	}
	http.ServeContent(rw, r, "", time.Time{}, bytes.NewReader(body))
}
