// Command gostructs prints, for every Go struct behind the built-in Kubernetes API, what OpenAPI does not say:
// the members in struct order, whether each is a pointer, and its omitempty/omitzero/inline tags.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"sort"
	"strings"

	apiext "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	apireg "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

type field struct {
	Name string `json:"n"`
	Go   string `json:"g"`
	Flag string `json:"f,omitempty"`
}

var seen = map[string][]field{}

func name(t reflect.Type) string {
	p := strings.Split(t.PkgPath(), "/")
	host := strings.Split(p[0], ".")
	for i, j := 0, len(host)-1; i < j; i, j = i+1, j-1 {
		host[i], host[j] = host[j], host[i]
	}
	return strings.Join(append(host, p[1:]...), ".") + "." + t.Name()
}

func members(t reflect.Type) []field {
	var out []field
	for i := 0; i < t.NumField(); i++ {
		f := t.Field(i)
		if f.PkgPath != "" {
			continue
		}
		tag, ok := f.Tag.Lookup("json")
		parts := strings.Split(tag, ",")
		if parts[0] == "-" {
			continue
		}
		opts := map[string]bool{}
		for _, o := range parts[1:] {
			opts[o] = true
		}
		ft := f.Type
		if f.Anonymous && (parts[0] == "" || !ok) && ft.Kind() == reflect.Struct {
			out = append(out, members(ft)...)
			continue
		}
		n := parts[0]
		if n == "" {
			n = f.Name
		}
		flag := ""
		if ft.Kind() == reflect.Pointer {
			flag += "p"
		}
		if opts["omitempty"] {
			flag += "e"
		}
		if opts["omitzero"] {
			flag += "z"
		}
		out = append(out, field{n, ft.String(), flag})
		walk(ft)
	}
	return out
}

func walk(t reflect.Type) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t.PkgPath() == "" || !strings.HasPrefix(t.PkgPath(), "k8s.io/") {
		return
	}
	n := name(t)
	if _, ok := seen[n]; ok {
		return
	}
	seen[n] = nil
	seen[n] = members(t)
}

func main() {
	s := runtime.NewScheme()
	scheme.AddToScheme(s)
	apiext.AddToScheme(s)
	apireg.AddToScheme(s)
	for gvk, t := range s.AllKnownTypes() {
		_ = gvk
		walk(t)
	}
	for _, v := range []any{metav1.Status{}, metav1.Table{}, metav1.PartialObjectMetadata{}, metav1.PartialObjectMetadataList{}} {
		walk(reflect.TypeOf(v))
	}
	// keep only what the catalogue of types knows
	var types map[string]any
	b, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	if err := json.Unmarshal(b, &types); err != nil {
		panic(err)
	}
	var names []string
	for n := range seen {
		if _, ok := types[n]; ok {
			names = append(names, n)
		}
	}
	sort.Strings(names)
	fmt.Println("{")
	for i, n := range names {
		b, _ := json.Marshal(seen[n])
		if seen[n] == nil {
			b = []byte("[]")
		}
		c := ","
		if i == len(names)-1 {
			c = ""
		}
		fmt.Printf("%q: %s%s\n", n, b, c)
	}
	fmt.Println("}")
	miss := 0
	for n := range types {
		if _, ok := seen[n]; !ok {
			fmt.Fprintln(os.Stderr, "no Go struct for", n)
			miss++
		}
	}
	fmt.Fprintln(os.Stderr, len(names), "types,", miss, "missing")
}
