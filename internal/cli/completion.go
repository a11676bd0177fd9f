package cli

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// valuesOf are what shells offer for a flag, where there are only so many values,
// or where some are usual.
var valuesOf = map[string][]cobra.Completion{
	"log-format": {
		cobra.CompletionWithDesc("text", "for people"),
		cobra.CompletionWithDesc("json", "for programs"),
	},
	"log-level": {
		cobra.CompletionWithDesc("debug", "everything"),
		cobra.CompletionWithDesc("info", "requests, and all below"),
		cobra.CompletionWithDesc("warn", "what may need attention"),
		cobra.CompletionWithDesc("error", "what failed"),
	},
	"client-ip-header": {
		cobra.CompletionWithDesc("CF-Connecting-IP", "Cloudflare"),
		cobra.CompletionWithDesc("CloudFront-Viewer-Address", "CloudFront"),
		cobra.CompletionWithDesc("Fastly-Client-IP", "Fastly"),
		cobra.CompletionWithDesc("Fly-Client-IP", "Fly.io"),
		cobra.CompletionWithDesc("True-Client-IP", "Akamai"),
		cobra.CompletionWithDesc("X-Real-IP", "an nginx that sets it"),
	},
	"trusted-proxies": {cobra.CompletionWithDesc("none", "believe nobody"), "127.0.0.1", "10.0.0.0/8"},
	"listen": {
		cobra.CompletionWithDesc(":443", "on all interfaces, with certificates"),
		cobra.CompletionWithDesc(":8080", "on all interfaces"),
		cobra.CompletionWithDesc("127.0.0.1:8080", "on this machine only"),
		cobra.CompletionWithDesc("systemd", "the sockets that systemd passes"),
	},
	"http-listen":    {cobra.CompletionWithDesc(":80", "on all interfaces"), "systemd:http"},
	"acme-directory": {cobra.CompletionWithDesc("staging", "Let's Encrypt's, for trying it out")},
	"hsts":           {cobra.CompletionWithDesc("8760h", "a year"), cobra.CompletionWithDesc("1s", "to take it back")},
	"reason": {
		cobra.CompletionWithDesc("key-compromise", "somebody else has the key"),
		cobra.CompletionWithDesc("superseded", "there is a better one"),
		"unspecified",
	},
	"acme-challenges": {cobra.CompletionWithDesc("http-01", "port 80"), cobra.CompletionWithDesc("tls-alpn-01", "port 443")},
	"admin-listen": {
		cobra.CompletionWithDesc("127.0.0.1:25375", "on this machine only"),
		cobra.CompletionWithDesc(":25375", "on all interfaces"),
		cobra.CompletionWithDesc("off", "nowhere"),
	},
	"asset-cache": {cobra.CompletionWithDesc("0", "none"), "64MiB"},
	"proxy-url":   {"/__clerk"},
}

// completeFlags has shells offer what is useful after each flag: names of files
// after those that take one, and nothing where only the user knows.
func completeFlags(cmd *cobra.Command) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		values, known := valuesOf[f.Name]
		complete := cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)
		switch takes, _ := pflag.UnquoteUsage(f); {
		case known:
		case f.Name == "config":
			complete = cobra.FixedCompletions([]cobra.Completion{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt)
		case takes == "directory":
			complete = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs)
		case takes == "file", takes == "path":
			complete = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault)
		}
		if err := cmd.RegisterFlagCompletionFunc(f.Name, complete); err != nil {
			panic(err) // a flag that is there once
		}
	})
	if cmd.ValidArgsFunction == nil && !cmd.HasSubCommands() {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
}
