package config

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/clerkproxy/clerkproxy/internal/forwarded"
)

// WriteYAML writes the configuration as a file that says the same, defaults
// included. It holds no secret: of a secret key, a comment says what kind it is.
func (l Loaded) WriteYAML(w io.Writer) error {
	c := l.Config.clone()
	if len(c.TrustedProxies) == 0 {
		for _, prefix := range forwarded.DefaultTrustedProxies() {
			c.TrustedProxies = append(c.TrustedProxies, prefix.String())
		}
	}
	document := structNode(reflect.ValueOf(c))
	for i, site := range l.Server.Sites {
		noteSecretKey(document, i, site.Proxy.SecretKey)
	}
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(document); err != nil {
		return fmt.Errorf("write the configuration as YAML: %w", err)
	}
	_, err := w.Write(out.Bytes())
	return err
}

// structNode leaves out what is empty.
func structNode(v reflect.Value) *yaml.Node {
	node := &yaml.Node{Kind: yaml.MappingNode}
	for _, f := range fieldsOf(v) {
		if value := valueNode(f.value); value != nil {
			node.Content = append(node.Content, textNode(f.key), value)
		}
	}
	return node
}

// valueNode returns nil for what is empty.
func valueNode(v reflect.Value) *yaml.Node {
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		return textNode(durationText(time.Duration(v.Int())))
	case v.Kind() == reflect.Bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: fmt.Sprint(v.Bool())}
	case v.Kind() == reflect.Struct:
		return structNode(v)
	case v.Len() == 0:
		return nil
	case v.Kind() == reflect.String:
		return textNode(v.String())
	}
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for i := range v.Len() {
		list.Content = append(list.Content, valueNode(v.Index(i)))
	}
	if v.Type().Elem().Kind() == reflect.String {
		list.Style = yaml.FlowStyle
	}
	return list
}

func textNode(s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
}

// durationText is 1m rather than 1m0s.
func durationText(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// noteSecretKey says beside the key that leads to a secret what was found there.
func noteSecretKey(document *yaml.Node, site int, secret string) {
	kind := secret[:min(len("sk_live_"), len(secret))]
	for _, n := range document.Content[len(document.Content)-1].Content[site].Content {
		if strings.HasPrefix(n.Value, "secret_key_") {
			n.LineComment = "# set, " + kind + "…"
		}
	}
}
