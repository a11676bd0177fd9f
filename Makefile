# clerkproxy: `make demo` shows it, `make test` tests it.

GO       ?= go
BIN      := bin/clerk-proxy
FUZZTIME ?= 30s

.DEFAULT_GOAL := help
.PHONY: help demo test unit lint build bench fuzz vuln npm chromium nginx clean

# Modules of their own, as they need what the library does not: the examples of
# the guides, and the tests with an ACME server.
MODULES := docs/examples test/acme

help: ## Say what there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: npm ## Sign in through the proxy, on http://localhost:8080, without an account or a network
	@$(GO) run ./cmd/clerk-proxy demo

test: lint npm chromium nginx ## Run every test: lint, unit, conformance with Clerk's SDK, real ClerkJS in Chromium
	$(GO) test -race -count=1 -timeout 10m ./...
	@for module in $(MODULES); do (cd $$module && $(GO) test -race -count=1 -timeout 10m ./...) || exit 1; done

unit: ## Run the tests that need neither npm, Chromium nor nginx
	$(GO) test -race $$($(GO) list ./... | grep -v /test/)
	@for module in $(MODULES); do (cd $$module && $(GO) test -race ./...) || exit 1; done

lint: ## Check formatting, go.mod and the code
	@test -z "$$(gofmt -l .)" || { echo "Not gofmt'ed:"; gofmt -l .; exit 1; }
	@$(GO) mod tidy -diff
	@$(GO) vet ./...
	@$(GO) tool staticcheck ./...
	@staticcheck=$$($(GO) tool -n staticcheck) && for module in $(MODULES); do \
		(cd $$module && $(GO) mod tidy -diff && $(GO) vet ./... && $$staticcheck ./...) || exit 1; \
	done

build: ## Build bin/clerk-proxy, static and reproducible
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o $(BIN) ./cmd/clerk-proxy

bench: npm chromium ## Measure this proxy and its peers side by side, about 20 minutes on a quiet machine
	$(GO) run ./bench -install

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
	rm -rf bin npm/node_modules

# What the demo and the tests need, installed once.

npm: npm/node_modules/.package-lock.json ## Install Clerk's npm packages
npm/node_modules/.package-lock.json: npm/package-lock.json
	@command -v npm >/dev/null || { echo "npm is missing: install Node.js 20 or later"; exit 1; }
	@echo "Installing Clerk's npm packages (once)"
	@cd npm && npm ci --silent --no-progress
	@touch $@

chromium: ## Install Debian's Chromium
	@command -v chromium >/dev/null || { \
		echo "Installing Chromium (once)"; \
		SUDO=$$(test "$$(id -u)" = 0 || echo sudo); \
		$$SUDO apt-get update -qq >/dev/null && $$SUDO env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; }

nginx: ## Install Debian's nginx
	@command -v nginx >/dev/null || test -x /usr/sbin/nginx || { \
		echo "Installing nginx (once)"; \
		SUDO=$$(test "$$(id -u)" = 0 || echo sudo); \
		$$SUDO apt-get update -qq >/dev/null && $$SUDO env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends nginx >/dev/null; }
