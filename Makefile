# communewatch. `make` alone explains the targets; `make demo` and `make test` do all their set-up themselves.

SHELL   := /bin/sh
# Without a tag 0.0.0-COMMITS.gHASH: a version as agents compare them, older than any release.
VERSION := $(shell git describe --tags --dirty 2>/dev/null || \
	{ n=$$(git rev-list --count HEAD 2>/dev/null) && echo "0.0.0-$$n.g$$(git describe --always --dirty --exclude '*')"; } || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
GO      := CGO_ENABLED=0 go
UI      := collector/web/ui
DIST    := collector/web/dist
ARGS    ?=

.PHONY: help
help: ## explain the targets (this text)
	@echo "communewatch $(VERSION)"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  make demo ARGS='--sites 20 --listen 127.0.0.1:9000' hands arguments on to communewatch-lab demo."

.PHONY: build
build: web ## build the programs into bin/
	@echo "build: programs into bin/"
	@$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./agent/cmd/... ./collector/cmd/... ./deploy/cmd/...

.PHONY: demo
demo: build ## a whole province on this machine: 136 sites, a collector, a map to open (Ctrl-C stops it)
	@exec bin/communewatch-lab demo $(ARGS)

# The screens: npm packages are fetched once per lock file, the bundle is built when a source is newer.
$(UI)/node_modules/.done: $(UI)/package-lock.json
	@echo "setup: fetching npm packages"
	@cd $(UI) && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

$(DIST)/.done: $(UI)/node_modules/.done $(shell find $(UI) collector/web/i18n -path '*/node_modules' -prune -o -type f -print)
	@echo "build: screens"
	@cd $(UI) && npm run --silent build
	@touch $@

.PHONY: web
web: $(DIST)/.done ## build the screens (TypeScript and CSS)

# A real InfluxDB 1.8 for tests, from a module of its own.
bin/influxd: deploy/influxdb/go.mod deploy/influxdb/go.sum
	@echo "setup: building InfluxDB 1.8 for tests"
	@$(GO) -C deploy/influxdb build -trimpath -o $(CURDIR)/$@ github.com/influxdata/influxdb/cmd/influxd
	@touch $@

.PHONY: needs
needs:
	@deploy/setup/need.sh gcc ip:iproute2 nft:nftables snmpd snmpbulkwalk:snmp chromium janus unshare:util-linux \
		kamailio '/usr/lib/*/kamailio/modules/tls.so:kamailio-tls-modules' sipp:sip-tester turnserver:coturn tshark text2pcap:wireshark-common promtool:prometheus \
		systemd-analyze:systemd systemd-nspawn:systemd-container curl rpm ansible-playbook:ansible-core

# Runs go test, and searches all that the tests said for secrets.
TESTS := go run ./deploy/cmd/communewatch-tests

.PHONY: test
test: needs web bin/influxd ## set up and run every test: unit, race, fuzz seeds, conformance, layout, end-to-end, screens, packages under systemd
	@echo "test: formatting, vet, types"
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "not gofmt'ed:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	@go vet ./...
	@GOOS=windows $(GO) vet ./agent/... ./probes/... ./deploy/cmd/communewatch-lab
	@cd $(UI) && npm run --silent check
	@echo "test: the rooms, and the screens in a browser"
	@$(TESTS) -timeout 20m . ./probes/... ./inventory/... ./agent/... ./collector/...
	@echo "test: lines between network namespaces, the lab end to end, kills (one after the other: they measure)"
	@$(TESTS) -timeout 40m -p 1 ./deploy/...
	@echo "test: the rooms under the race detector"
	@$(TESTS) -race -short -timeout 20m ./probes/... ./inventory/... ./agent/... ./collector/...

.PHONY: test-store
test-store: bin/influxd ## the suite that every store must pass, on the embedded engine and on a real InfluxDB 1.8
	@go test -timeout 20m ./collector/store/...

# Aimed at a server that is not ours: URL=https://..., TOKEN_FILE=..., ORG=... for 2.x. It makes databases whose names
# begin with communewatch_test_ and drops them.
.PHONY: test-influx
test-influx: ## the same suite on the server at URL=..., InfluxDB 1.8, 2.x or 3.x (TOKEN_FILE=, ORG=)
	@test -n "$(URL)" || { echo "test-influx: give URL=http://server:8086"; exit 1; }
	@COMMUNEWATCH_INFLUX_URL='$(URL)' COMMUNEWATCH_INFLUX_TOKEN_FILE='$(TOKEN_FILE)' COMMUNEWATCH_INFLUX_ORG='$(ORG)' \
		go test -count=1 -timeout 30m -run TestServerAtURL -v ./collector/store/influx

.PHONY: bench
bench: build bin/influxd ## measure, beside peers where there are any, and write docs/BENCHMARKS.md (some 35 minutes)
	@deploy/setup/need.sh fping snmpbulkwalk:snmp victoria-metrics
	@$(GO) build -trimpath -o bin/ ./deploy/cmd/communewatch-bench
	@bin/communewatch-bench $(ARGS)

# Recordings of real devices with expected answers live beside the project, not in it.
SHARED ?= ../shared

.PHONY: identify-score
identify-score: ## score identification against recordings of real devices (needs the folder SHARED, ../shared)
	@test -d $(SHARED)/tools/identify-bench || { echo "identify-score: $(SHARED)/tools/identify-bench is not there; set SHARED=FOLDER"; exit 1; }
	@deploy/setup/need.sh python3
	@$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./agent/cmd/communewatch-agent
	@$(GO) -C $(SHARED)/tools/identify-bench/snmprecd build -o $(CURDIR)/bin/snmprecd .
	@python3 $(SHARED)/tools/identify-bench/score.py --manifest $(SHARED)/data/snmp-dev/manifest.jsonl --detail --responder bin/snmprecd $(ARGS) \
		--cmd 'bin/communewatch-agent identify --json --community {community} {target}'

.PHONY: pictures
pictures: build ## take the pictures in docs/images from a demo that has run for four minutes and held a rehearsal
	@deploy/setup/need.sh chromium
	@mkdir -p docs/images
	@data=$$(mktemp -d); bin/communewatch-lab demo --listen 127.0.0.1:8797 --local=false --block 60 --data $$data $(ARGS) & demo=$$!; \
	sleep 120; bin/communewatch-collector rehearsal start --config $$data/collector/collector.yaml --meeting 'Giao ban tuần' --profile low --step-seconds 8; \
	sleep 60; (cd $(UI) && node pictures.mjs http://127.0.0.1:8797 ../../../docs/images s08878); done=$$?; \
	kill -INT $$demo; wait $$demo; exit $$done

# nfpm and cyclonedx-gomod are built once into bin/tools, at the versions that deploy/packages names.
.PHONY: packages
packages: web ## build deb, rpm, the zip for Windows, the container image, checksums and lists of contents into dist/
	@$(GO) run ./deploy/cmd/communewatch-packages $(ARGS)

.PHONY: clean
clean: ## remove what was built
	@rm -rf bin dist $(UI)/node_modules
	@find $(DIST) -mindepth 1 ! -name .gitkeep -delete
