COMPOSE = integration/stack/compose

# The tools that are not in Go's distribution, pinned here and nowhere else. They are built once and kept in the user's
# cache, under the Go version that built them: one built by an older Go refuses newer code.
GOLANGCI_LINT_VERSION = v2.15.0
DEADCODE_VERSION = v0.52.0
GOVULNCHECK_VERSION = v1.9.0
NFPM_VERSION = v2.45.2
FREEZE_VERSION = v0.2.2

# Where Go's own installer puts it, and where Debian has debootstrap, also for a shell that does not look there.
# The last is where integration/setup puts promtool.
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/service_manager
export PATH := $(PATH):/usr/local/go/bin:/usr/sbin:/sbin:$(CACHE)/bin

TOOLS := $(CACHE)/$(firstword $(shell PATH='$(PATH)' go env GOVERSION 2>&1))
GOLANGCI_LINT = $(TOOLS)/golangci-lint-$(GOLANGCI_LINT_VERSION)/golangci-lint
DEADCODE = $(TOOLS)/deadcode-$(DEADCODE_VERSION)/deadcode
NFPM = $(TOOLS)/nfpm-$(NFPM_VERSION)/nfpm
FREEZE = $(TOOLS)/freeze-$(FREEZE_VERSION)/freeze

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null)
# The time of all files in a release.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct)
DIST = dist
ARCHITECTURES = amd64 arm64
RACE = -race
UNIT_TESTS = -shuffle=on ./...
# The first time the stack is built takes minutes. One package after the other, since they measure time.
INTEGRATION_TESTS = -tags=integration -count=1 -timeout=30m -p=1
# How often each of the benchmarks of single packages runs.
COUNT ?= 1
# Its table is what it is run for.
CHAOS_TEST = -v -run '^TestChaos$$' ./integration/chaos
# How long `make chaos` takes, at least.
CHAOS_FOR ?= 1h
# How long or, better, how many runs: with a duration Go 1.26 now and then fails a sound target when the time is up
# (go.dev/issue/75804).
FUZZTIME = 100000x

.PHONY: help
help: ## Show this help
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

.PHONY: up
up: ## Start the test stack: broker, three hosts, collector, consumer
	@# docker-compose 1.29 trips over containers of an earlier start.
	@$(COMPOSE) down --remove-orphans
	$(COMPOSE) up --build --detach

.PHONY: logs
logs: ## Follow what the collector publishes and the consumer receives
	@$(COMPOSE) logs --follow --tail 20 collector consumer

.PHONY: down
down: ## Stop the test stack and remove its containers, networks and volumes
	@$(COMPOSE) down --volumes --remove-orphans

.PHONY: build
build: ## Build ./service_manager, one static binary
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)' -o service_manager ./cmd/service_manager

.PHONY: release
release: $(NFPM) ## Binaries and Debian packages of ARCHITECTURES in DIST; the same bytes for the same commit and Go
	rm -rf $(DIST)
	VERSION=$(VERSION) SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) NFPM=$(NFPM) cmd/service_manager/packaging/release $(DIST) $(ARCHITECTURES)

.PHONY: check-release
check-release: ## Make the release twice, in two places, and compare
	cmd/service_manager/packaging/check-release

# No other make is started here, so that "make -n test" installs nothing.
.PHONY: test
test: ## Unit and integration tests; as root on Debian, install what they lack. STRICT=1: to leave one out is a failure
	@left_out=$$(integration/setup) || exit; \
	is_left_out() { printf %s "$$left_out" | grep -q "^$$1:"; }; \
	run() { echo "$$@"; "$$@"; }; \
	if is_left_out 'race detector'; then race=; else race=$(RACE); fi; \
	run go test $$race $(UNIT_TESTS) || exit; \
	is_left_out 'integration tests' || run go test $$race $(INTEGRATION_TESTS) ./integration || exit; \
	is_left_out 'fault tests' || run go test $$race $(INTEGRATION_TESTS) ./integration/faults || exit; \
	is_left_out 'integration tests' || run go test $$race $(INTEGRATION_TESTS) $(CHAOS_TEST) || exit; \
	if [ "$$left_out" ]; then \
		printf '\nThe tests passed, but this was left out:\n%s\n' "$$left_out"; \
		[ "$(STRICT)" != 1 ]; \
	fi

.PHONY: unit
unit: ## Unit tests with the race detector; RACE= where there is no C compiler
	go test $(RACE) $(UNIT_TESTS)

.PHONY: integration
integration: ## Integration tests: they start the test stack, and stop it; and, as root, real sshd processes
	go test $(RACE) $(INTEGRATION_TESTS) ./integration/...

.PHONY: chaos
chaos: ## Faults for CHAOS_FOR, one after the other, and whether an event is missing; CHAOS_SEED repeats an order
	CHAOS_FOR=$(CHAOS_FOR) go test $(RACE) -tags=integration -count=1 -timeout=0 $(CHAOS_TEST)

.PHONY: captures
captures: $(FREEZE) ## Make the images in the pages anew; needs tmux and asciinema, and BROKER=amqp://… for that of tail
	CAPTURES=write FREEZE=$(FREEZE) BROKER=$(BROKER) go test -count=1 -run '^TestCaptures$$' ./cmd/service_manager

.PHONY: fuzz
fuzz: ## Fuzz each target for FUZZTIME
	@listed=$$(go test -list '^Fuzz' ./...) || { echo "$$listed"; exit 1; }; \
	targets=$$(echo "$$listed" | awk '/^Fuzz/ { target[n++] = $$1 } /^ok/ { while (n) print $$2 "," target[--n] }'); \
	[ "$$targets" ] || { echo "fuzz: there is no target" >&2; exit 1; }; \
	for target in $$targets; do \
		echo "$$target"; \
		go test -run '^$$' -fuzz "^$${target#*,}\$$" -fuzztime $(FUZZTIME) "$${target%,*}" || exit; \
	done

.PHONY: bench
bench: ## Benchmarks, each figure beside its floor; installs as "make test" does, and what they compare with. BENCH="-for 10s commits" chooses; BENCH=-help
	@left_out=$$(integration/setup clustershell pssh ansible-core) || exit; \
	chosen='$(BENCH)'; \
	if printf %s "$$left_out" | grep '^integration tests:' >&2; then \
		chosen=$${chosen:-commits opens}; \
		echo "bench: hence without a broker: $$chosen" >&2; \
	fi; \
	go run -ldflags '-X main.version=$(VERSION)' ./integration/bench/cmd $$chosen

.PHONY: bench-unit
bench-unit: ## Benchmarks of single packages. COUNT=10 before a change and after it, for benchstat to compare
	go test -run '^$$' -bench . -benchmem -count $(COUNT) ./...

.PHONY: fmt
fmt: $(GOLANGCI_LINT) ## Format the code and modernise it
	go fix -tags integration ./...
	$(GOLANGCI_LINT) fmt

.PHONY: lint
lint: lint-go lint-modules lint-dead lint-scripts lint-compose ## All that CI checks beside the tests

.PHONY: lint-go
lint-go: $(GOLANGCI_LINT) ## Go code: vet, golangci-lint, formatting, modernity
	go vet ./...
	go vet -tags integration ./...
	$(GOLANGCI_LINT) run
	$(GOLANGCI_LINT) fmt --diff
	go fix -tags integration -diff ./...

.PHONY: lint-modules
lint-modules: ## go.mod and go.sum
	go mod tidy -diff
	go mod verify

.PHONY: lint-dead
lint-dead: $(DEADCODE) ## Functions that neither a program nor a test can reach
	@unreachable=$$($(DEADCODE) -test -tags integration ./...) || exit; \
	if [ "$$unreachable" ]; then echo "$$unreachable"; exit 1; fi

.PHONY: lint-scripts
lint-scripts: ## Shell (needs shellcheck) and Python
	@git ls-files --cached --others --exclude-standard | \
		xargs awk 'FNR == 1 && /^#!.*sh$$/ { print FILENAME } { nextfile }' | xargs -t shellcheck --severity=warning
	@git ls-files --cached --others --exclude-standard '*.py' | \
		xargs -t python3 -c 'import ast, sys; [ast.parse(open(f).read(), f) for f in sys.argv[1:]]'

.PHONY: lint-compose
lint-compose: ## docker-compose.yml, by each Compose that is installed
	@set -e; seen=; \
	for compose in "docker compose" docker-compose; do \
		if $$compose version >/dev/null 2>&1; then seen=yes; (set -x; $$compose config --quiet); fi; \
	done; \
	[ "$$seen" ] || { echo "lint-compose: no Compose is installed" >&2; exit 1; }

.PHONY: vuln
vuln: ## Known vulnerabilities that the code can reach; asks vuln.go.dev
	go run golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION) -tags integration ./...

.PHONY: clean
clean: ## Remove what was built here
	rm -rf service_manager dist coverage.out

$(GOLANGCI_LINT):
	GOBIN=$(@D) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)

$(DEADCODE):
	GOBIN=$(@D) go install golang.org/x/tools/cmd/deadcode@$(DEADCODE_VERSION)

$(NFPM):
	GOBIN=$(@D) go install github.com/goreleaser/nfpm/v2/cmd/nfpm@$(NFPM_VERSION)

$(FREEZE):
	GOBIN=$(@D) go install github.com/charmbracelet/freeze@$(FREEZE_VERSION)
