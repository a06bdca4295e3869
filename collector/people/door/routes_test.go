package door

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// No address of the pages and of the API is missing from the table: what is written as a pattern anywhere behind the door
// is looked up, and has to be met by a line of its own, not by the one for all that nobody thought of.
func TestNoAddressIsMissing(t *testing.T) {
	pattern := regexp.MustCompile(`^((GET|POST|PUT|DELETE|PATCH) )?/[a-z{][^ ]*$`)
	found := 0
	for _, dir := range []string{"../../web", "../../api"} {
		err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() && (d.Name() == "node_modules" || d.Name() == "ui") {
				return filepath.SkipDir
			}
			if !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
				return nil
			}
			f, err := parser.ParseFile(token.NewFileSet(), p, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(f, func(n ast.Node) bool {
				lit, ok := n.(*ast.BasicLit)
				if !ok || lit.Kind != token.STRING {
					return true
				}
				text, _ := strconv.Unquote(lit.Value)
				m := pattern.FindStringSubmatch(text)
				if m == nil || m[2] == "" { // paths without a method are links, or get theirs where they are registered
					return true
				}
				found++
				if how := methodsOf(text); how == "" {
					t.Errorf("%s: %q is in no line of the table of addresses", p, text)
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found < 25 {
		t.Errorf("found only %d patterns: is this where they are?", found)
	}
}

// methodsOf returns the line of the table that a pattern is met by; "" for the lines that are for everything.
func methodsOf(pattern string) string {
	method, path, _ := strings.Cut(pattern, " ")
	path = regexp.MustCompile(`\{[^}]*\}`).ReplaceAllStringFunc(path, func(s string) string {
		if s == "{$}" {
			return ""
		}
		return "x1"
	})
	r, err := http.NewRequest(method, path, nil)
	if err != nil {
		return ""
	}
	_, met := newTable(addresses()).mux.Handler(r)
	if met == "/" || met == "GET /" && path != "/" {
		return ""
	}
	return met
}
