package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/text/unicode/norm"

	"communewatch/collector/api"
	"communewatch/collector/web/frame"
)

// Bounds of a boundaries file. A province at full detail of the national survey is about 10 MB; these keep a mistaken
// file (the whole country at full detail, a file that is no map at all) from taking the collector's memory.
const (
	maxBoundaryBytes    = 32 << 20
	maxBoundaryFeatures = 50_000
	maxBoundaryPoints   = 2_000_000
)

// boundaries are areas from a GeoJSON file (RFC 7946), each of which may belong to a site. Which site that is depends
// on the site list, which changes while the collector runs; so the match is made anew when the list has changed.
type boundaries struct {
	file  string
	areas []area

	mu      sync.Mutex // guards the fields below
	sites   string     // fingerprint of the site list that the rest was made for
	etag    string
	plain   []byte
	zipped  []byte
	matched int
}

// area is one feature of the file.
type area struct {
	id, code, name, parent string
	polygons               [][][][2]float64 // polygons of rings of points; longitude first
}

// The properties in which a feature may say which site it is, by what it says. They are compared without regard to
// case; name_2 and name_3 are what the GADM atlas calls district and commune.
var areaProperties = map[string][]string{
	"id":     {"id", "site", "site_id"},
	"code":   {"code", "ma", "ma_xa", "maxa"},
	"name":   {"name", "ten", "ten_xa", "tenxa", "name_3"},
	"parent": {"district", "parent", "huyen", "ten_huyen", "tenhuyen", "name_2"},
}

func loadBoundaries(file string) (*boundaries, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("boundaries: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxBoundaryBytes+1))
	if err != nil {
		return nil, fmt.Errorf("boundaries %s: %w", file, err)
	}
	if len(data) > maxBoundaryBytes {
		return nil, fmt.Errorf("boundaries %s: larger than %d MiB; simplify it, for example with mapshaper", file, maxBoundaryBytes>>20)
	}
	areas, err := parseBoundaries(data)
	if err != nil {
		return nil, fmt.Errorf("boundaries %s: %w", file, err)
	}
	return &boundaries{file: file, areas: areas}, nil
}

// parseBoundaries reads a FeatureCollection of polygons and checks that a map can be drawn from it.
func parseBoundaries(data []byte) ([]area, error) {
	var collection struct {
		Type     string
		Features []struct {
			ID         any
			Properties map[string]any
			Geometry   *struct {
				Type        string
				Coordinates json.RawMessage
			}
		}
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if err := json.Unmarshal(data, &collection); err != nil {
		return nil, fmt.Errorf("not GeoJSON: %w", err)
	}
	if collection.Type != "FeatureCollection" {
		return nil, fmt.Errorf("its type is %q; export a FeatureCollection", collection.Type)
	}
	if n := len(collection.Features); n == 0 {
		return nil, errors.New("it has no features")
	} else if n > maxBoundaryFeatures {
		return nil, fmt.Errorf("it has %d features, at most %d are read; export the province only", n, maxBoundaryFeatures)
	}
	areas := make([]area, 0, len(collection.Features))
	points := 0
	for i, feature := range collection.Features {
		at := func(format string, args ...any) error {
			return fmt.Errorf("feature %d: %s", i+1, fmt.Sprintf(format, args...))
		}
		a := area{}
		for key, value := range feature.Properties {
			text := propertyText(value)
			if text == "" {
				continue
			}
			for what, keys := range areaProperties {
				for _, k := range keys {
					if strings.EqualFold(k, key) {
						switch what {
						case "id":
							a.id = text
						case "code":
							a.code = text
						case "name":
							a.name = text
						case "parent":
							a.parent = text
						}
					}
				}
			}
		}
		if a.id == "" {
			a.id = propertyText(feature.ID)
		}
		g := feature.Geometry
		if g == nil {
			return nil, at("it has no geometry")
		}
		switch g.Type {
		case "Polygon":
			a.polygons = make([][][][2]float64, 1)
			if err := decodeCoordinates(g.Coordinates, &a.polygons[0]); err != nil {
				return nil, at("%v", err)
			}
		case "MultiPolygon":
			if err := decodeCoordinates(g.Coordinates, &a.polygons); err != nil {
				return nil, at("%v", err)
			}
		default:
			return nil, at("its geometry is a %s; areas must be Polygon or MultiPolygon", g.Type)
		}
		for _, polygon := range a.polygons {
			for r, ring := range polygon {
				if points += len(ring); points > maxBoundaryPoints {
					return nil, fmt.Errorf("it has more than %d points; simplify it, for example with mapshaper", maxBoundaryPoints)
				}
				if len(ring) > 0 && ring[0] != ring[len(ring)-1] {
					return nil, at("ring %d is not closed; its last point must be its first", r+1)
				}
				if len(ring) < 4 {
					return nil, at("ring %d has %d points; a closed ring has at least 4", r+1, len(ring))
				}
				for _, p := range ring {
					if problem := positionProblem(p); problem != "" {
						return nil, at("ring %d: [%v, %v] %s", r+1, p[0], p[1], problem)
					}
				}
			}
		}
		areas = append(areas, a)
	}
	return areas, nil
}

// decodeCoordinates reads nested arrays; a third number (height) in a point is dropped, fewer than two is an error.
func decodeCoordinates[T any](data json.RawMessage, into *T) error {
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("its coordinates are not those of its geometry type: %w", err)
	}
	return nil
}

// positionProblem says what is wrong with a point, or "".
func positionProblem(p [2]float64) string {
	lon, lat := p[0], p[1]
	switch {
	case math.Abs(lon) > 180 || math.Abs(lat) > 90:
		if math.Abs(lat) <= 180 && math.Abs(lon) <= 90 {
			return "has latitude first; GeoJSON wants longitude first"
		}
		return "is not in degrees; export the file in WGS 84 (EPSG:4326), not in VN-2000 metres"
	case lon == 0 || lat == 0:
		return "is not a place in Vietnam; a coordinate is missing"
	}
	return ""
}

func propertyText(v any) string {
	switch v := v.(type) {
	case string:
		return norm.NFC.String(strings.TrimSpace(v))
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return ""
}

// plainName drops the type that some sources write before a commune's name.
func plainName(name string) string {
	lower := strings.ToLower(norm.NFC.String(strings.TrimSpace(name)))
	for _, kind := range []string{"xã ", "phường ", "thị trấn ", "huyện ", "thành phố ", "thị xã ", "quận "} {
		if rest, ok := strings.CutPrefix(lower, kind); ok {
			return strings.TrimSpace(rest)
		}
	}
	return lower
}

// matchAreas finds the site of each area: by id, else by code, else by name and parent, else by a name that only one
// site and one area have. The result is parallel to areas; "" where none was found.
func matchAreas(areas []area, sites []api.Site) []string {
	ids, codes := map[string]string{}, map[string]string{}
	full, names := map[string][]string{}, map[string][]string{}
	bare := func(code string) string { return strings.TrimLeft(code, "0") }
	for _, s := range sites {
		ids[s.ID] = s.ID
		if c := bare(s.Code); c != "" {
			codes[c] = s.ID
		}
		full[plainName(s.Name)+"\x00"+plainName(s.Parent)] = append(full[plainName(s.Name)+"\x00"+plainName(s.Parent)], s.ID)
		names[plainName(s.Name)] = append(names[plainName(s.Name)], s.ID)
	}
	areasNamed := map[string]int{}
	for _, a := range areas {
		areasNamed[plainName(a.name)]++
	}
	found := make([]string, len(areas))
	for i, a := range areas {
		name := plainName(a.name)
		switch {
		case ids[a.id] != "":
			found[i] = ids[a.id]
		case codes[bare(a.code)] != "":
			found[i] = codes[bare(a.code)]
		case name == "":
		case len(full[name+"\x00"+plainName(a.parent)]) == 1:
			found[i] = full[name+"\x00"+plainName(a.parent)][0]
		case len(names[name]) == 1 && areasNamed[name] == 1:
			found[i] = names[name][0]
		}
	}
	return found
}

// prepare makes the answer for this list of sites, and reports once per list what did not match.
func (b *boundaries) prepare(sites []api.Site) (report string) {
	sum := sha256.New()
	for _, s := range sites {
		fmt.Fprintf(sum, "%q %q %q %q\n", s.ID, s.Code, s.Name, s.Parent)
	}
	fingerprint := hex.EncodeToString(sum.Sum(nil))
	if fingerprint == b.sites {
		return ""
	}
	found := matchAreas(b.areas, sites)
	var out bytes.Buffer
	out.WriteString(`{"type":"FeatureCollection","features":[`)
	has := map[string]bool{}
	var strays []string
	b.matched = 0
	for i, a := range b.areas {
		if i > 0 {
			out.WriteByte(',')
		}
		id, _ := json.Marshal(found[i])
		out.WriteString("\n" + `{"type":"Feature","properties":{"site":` + string(id) + `},"geometry":{"type":"MultiPolygon","coordinates":`)
		writePolygons(&out, a.polygons)
		out.WriteString("}}")
		if found[i] == "" {
			strays = append(strays, strings.TrimSpace(a.code+" "+a.name))
			continue
		}
		has[found[i]] = true
		b.matched++
	}
	out.WriteString("\n]}\n")
	var without []string
	for _, s := range sites {
		if !has[s.ID] {
			without = append(without, s.ID+" "+s.Name)
		}
	}
	b.plain = out.Bytes()
	b.zipped = frame.Zip(b.plain, gzip.BestSpeed)
	digest := sha256.Sum256(b.plain)
	b.etag = `"` + hex.EncodeToString(digest[:8]) + `"`
	b.sites = fingerprint
	if len(strays)+len(without) == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d areas belong to a site; areas without one: %s; sites without an area: %s",
		b.matched, len(b.areas), some(strays), some(without))
}

// some lists the first few of what may be thousands.
func some(items []string) string {
	const few = 10
	switch {
	case len(items) == 0:
		return "none"
	case len(items) > few:
		return fmt.Sprintf("%s and %d more", strings.Join(items[:few], ", "), len(items)-few)
	}
	return strings.Join(items, ", ")
}

// writePolygons writes coordinates with 5 decimals, which is a metre: finer only makes the file larger.
func writePolygons(out *bytes.Buffer, polygons [][][][2]float64) {
	number := func(v float64) {
		out.Write(strconv.AppendFloat(out.AvailableBuffer(), math.Round(v*1e5)/1e5, 'f', -1, 64))
	}
	separate := func(i int) {
		if i > 0 {
			out.WriteByte(',')
		}
	}
	out.WriteByte('[')
	for i, polygon := range polygons {
		separate(i)
		out.WriteByte('[')
		for j, ring := range polygon {
			separate(j)
			out.WriteByte('[')
			for k, p := range ring {
				separate(k)
				out.WriteByte('[')
				number(p[0])
				out.WriteByte(',')
				number(p[1])
				out.WriteByte(']')
			}
			out.WriteByte(']')
		}
		out.WriteByte(']')
	}
	out.WriteByte(']')
}

func (w *Web) boundariesFile(rw http.ResponseWriter, r *http.Request) {
	b := w.boundaries
	if b == nil {
		http.Error(rw, "no boundaries file is configured; areas are computed from the sites' positions", http.StatusNotFound)
		return
	}
	sites, err := w.source.Sites(r.Context(), w.house.DefaultLang())
	if err != nil {
		w.log.Error("sites not read", "error", err)
		http.Error(rw, "the sites could not be read", http.StatusInternalServerError)
		return
	}
	b.mu.Lock()
	if report := b.prepare(sites); report != "" {
		w.log.Warn("boundaries do not match the sites", "file", b.file, "report", report)
	}
	etag, plain, packed := b.etag, b.plain, b.zipped
	b.mu.Unlock()

	h := rw.Header()
	h.Set("Content-Type", "application/geo+json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-cache") // may be kept, but must be asked for: sites are imported while this runs
	h.Set("Vary", "Accept-Encoding")
	h.Set("ETag", etag)
	if r.Header.Get("If-None-Match") == etag {
		rw.WriteHeader(http.StatusNotModified)
		return
	}
	if frame.AcceptsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		plain = packed
	}
	_, _ = rw.Write(plain) // the reader has gone; there is nobody to tell
}
