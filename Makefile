# clerkproxy: `make demo` shows it, `make test` tests it.

GO       ?= go
BIN      := bin/clerk-proxy
FUZZTIME ?= 30s

.DEFAULT_GOAL := help
.PHONY: help demo test unit lint build release soak bench profile microbench fuzz vuln installed npm chromium nginx fronts systemd clean

# Modules of their own, as they need what the library does not: the examples of
# the guides, the tests with an ACME server, those of what is deployed, and h2spec.
MODULES := docs/examples test/acme test/deploy test/h2spec

# Tests of what is built, from outside: there is little that the race detector could
# find in the tests themselves, and it takes them four times as long.
OUTSIDE := $(addprefix github.com/clerkproxy/clerkproxy/test/,browser check fronts release restart streaming)

help: ## Say what there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Not by go run, which calls Ctrl-C an error.
demo: npm ## Sign in through the proxy, on http://localhost:8080, without an account or a network
	@$(GO) build -o bin/demo ./cmd/clerk-proxy
	@bin/demo demo

# What has to be installed is, while lint compiles. Lint has vetted all there is:
# go test would do so again, and what depends on the race detector from the ground up.
# Tests wait more than they work: three packages at a time keep two cores busy.
test: ## Run every test: lint, unit, conformance with Clerk's SDK, real ClerkJS in Chromium
	@$(MAKE) --no-print-directory -j2 lint installed
	$(GO) test -vet=off -race -count=1 -p 3 -timeout 10m $(filter-out $(OUTSIDE),$(shell $(GO) list ./...))
	$(GO) test -vet=off -count=1 -timeout 10m $(OUTSIDE)
	cd test/acme && $(GO) test -vet=off -race -count=1 -timeout 10m ./...
	@for module in $(filter-out test/acme,$(MODULES)); do (cd $$module && $(GO) test -vet=off -count=1 -timeout 10m ./...) || exit 1; done

unit: ## Run the tests that need neither npm, Chromium nor fronts
	$(GO) test -race $$($(GO) list ./... | grep -v /test/)
	@for module in $(filter-out test/deploy,$(MODULES)); do (cd $$module && $(GO) test ./...) || exit 1; done

lint: ## Check formatting, go.mod and the code
	@test -z "$$(gofmt -l .)" || { echo "Not gofmt'ed:"; gofmt -l .; exit 1; }
	@$(GO) mod tidy -diff
	@$(GO) vet ./...
	@$(GO) tool staticcheck ./...
	@staticcheck=$$($(GO) tool -n staticcheck) && for module in $(MODULES); do \
		(cd $$module && $(GO) mod tidy -diff && $(GO) vet ./... && $$staticcheck ./...) || exit 1; \
	done

build: ## Build bin/clerk-proxy, static and reproducible
	$(GO) run ./internal/release -binary $(BIN)

release: ## Build what is published, into dist/: an archive a platform, and their checksums
	$(GO) run ./internal/release -out dist

bench: npm chromium ## Measure this proxy and its peers side by side, about 20 minutes on a quiet machine
	$(GO) run ./bench -install

profile: npm ## Renew the profile that the binary is optimised with, on a quiet machine
	$(GO) run ./bench -profile cmd/clerk-proxy/profile.pgo -measure 10s

# What a plain request, a hit in the cache and a waiting client cost, and their parts.
HOT := . ./internal/front ./internal/upstream ./internal/assets ./internal/wire ./internal/metrics

microbench: ## Measure the hot functions into bin/bench.txt, and compare with OLD=file from before a change
	@mkdir -p bin
	$(GO) test -run '^$$' -bench . -count 6 $(HOT) | tee bin/bench.txt
	@test -z "$(OLD)" || $(GO) run golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da $(OLD) bin/bench.txt

soak: ## Change and restart a server under half a million requests, some minutes
	$(GO) test -count=1 -timeout 2h -run NoRequestFails -v ./test/restart -requests 250000

fuzz: ## Fuzz whatever parses bytes from outside, FUZZTIME each (default 30s)
	@for pkg in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "$$pkg $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
		done; \
	done

vuln: ## Look for known vulnerabilities in what is called
	$(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./...

clean: ## Remove what was built and installed here
	rm -rf bin dist npm/node_modules

# What the demo and the tests need, installed once.

# One after another, as apt does one thing at a time.
installed: npm
	$(call install,chromium)
	$(call install,nginx haproxy caddy systemd-analyze,--no-install-recommends)

npm: npm/node_modules/.package-lock.json ## Install Clerk's npm packages
npm/node_modules/.package-lock.json: npm/package-lock.json
	@command -v npm >/dev/null || { echo "npm is missing: install Node.js 20 or later"; exit 1; }
	@echo "Installing Clerk's npm packages (once)"
	@cd npm && npm ci --silent --no-progress
	@touch $@

chromium: ## Install Debian's Chromium
	$(call install,chromium)

nginx: ## Install Debian's nginx
	$(call install,nginx,--no-install-recommends)

fronts: ## Install what the documented fronts are tested with: nginx, HAProxy and Caddy
	$(call install,nginx haproxy caddy,--no-install-recommends)

systemd: ## Install what looks at systemd's units
	$(call install,systemd-analyze,--no-install-recommends)

# Those of some programs that are missing, by apt, from the packages of the same names.
# A service in one does not start.
define install
@missing=$$(PATH=$$PATH:/usr/sbin; for program in $(1); do command -v $$program >/dev/null || echo $${program%-analyze}; done); \
test -z "$$missing" || { \
	echo "Installing" $$missing "(once)"; \
	SUDO=$$(test "$$(id -u)" = 0 || echo sudo); \
	$$SUDO apt-get update -qq >/dev/null && $$SUDO env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq $(2) $$missing >/dev/null; }
endef
