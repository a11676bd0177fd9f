package config

import (
	"fmt"
	"reflect"
	"strings"
)

// otherNames are what keys are called elsewhere: as flags, as variables, in other
// programs.
var otherNames = map[string]string{
	"address":         "listen",
	"bind":            "listen",
	"port":            "listen",
	"domain":          "hosts",
	"domains":         "hosts",
	"fapi_ca":         "frontend_api_ca",
	"fapi_url":        "frontend_api_url",
	"api_url":         "backend_api_url",
	"bapi_url":        "backend_api_url",
	"is_satellite":    "satellite",
	"server_name":     "hosts",
	"upstream":        "app",
	"authorized_azps": "authorized_parties",
	"cert":            "certificates",
	"certificate":     "certificates",
	"chain":           "cert",
	"redirect":        "http_listen",
}

// unknownKey says what to write instead of a key that a struct does not have.
func unknownKey(key string, t reflect.Type) string {
	plain := strings.ToLower(strings.ReplaceAll(key, "-", "_"))
	switch plain {
	case "secret_key", "clerk_secret_key":
		return "the secret key itself has no place in this file, which is read and copied more freely than a secret; " +
			"write secret_key_file with the name of a file that holds it, or secret_key_env with that of an environment variable"
	case "<<":
		return "merging is not supported; write the keys out"
	}
	own, global, site, tls := keysOf(t), keysOf(reflect.TypeFor[Config]()), keysOf(reflect.TypeFor[Site]()), keysOf(reflect.TypeFor[TLS]())
	switch near := Nearest(plain, own); {
	case near != "":
		return fmt.Sprintf("there is no such key; did you mean %s?", near)
	case t == reflect.TypeFor[Config]() && Nearest(plain, site) != "":
		return fmt.Sprintf("there is no such key here; write %s below sites, for one of them", Nearest(plain, site))
	case t == reflect.TypeFor[Config]() && Nearest(plain, tls) != "":
		return fmt.Sprintf("there is no such key here; write %s below tls", Nearest(plain, tls))
	case Nearest(plain, global) != "":
		return fmt.Sprintf("there is no such key here; write %s at the top, for all sites", Nearest(plain, global))
	}
	return "there is no such key; there are " + strings.Join(own, ", ")
}

// Nearest returns the one of the keys that was meant by another one, or nothing if
// that cannot be told. It knows what keys are called elsewhere.
func Nearest(key string, keys []string) string {
	best, closest := "", len(key)/3+1 // a third of it wrong is another word
	for _, k := range keys {
		if k == strings.TrimPrefix(key, "clerk_") || k == otherNames[key] {
			return k
		}
		if d := distance(key, k); d < closest {
			best, closest = k, d
		}
	}
	return best
}

// distance is how many letters have to be put in, left out or replaced to make b
// of a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := diagonal
			if a[i] != b[j] {
				d = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], d
		}
	}
	return row[len(b)]
}

// keysOf are the keys of a struct.
func keysOf(t reflect.Type) (keys []string) {
	for _, f := range fieldsOf(reflect.New(t).Elem()) {
		keys = append(keys, f.key)
	}
	return keys
}
