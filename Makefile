# Two targets do everything: `make image` sets up and builds the real example,
# `make test` checks all that forge promises. CI calls only targets of this file.

GO        ?= go
# The toolchain is pinned: forge-init's bytes are in every lock.
export GOTOOLCHAIN := go1.26.8
export CGO_ENABLED := 0
# No path of this machine is in what is compiled, and no DWARF, which is a tenth of the compiler's
# work and is stripped in any case. make test compiles with the same flags, so nothing twice.
export GOFLAGS := $(filter-out -trimpath -gcflags=all=-dwarf=false,$(GOFLAGS)) -trimpath -gcflags=all=-dwarf=false
# Where dockerd and others are; Debian leaves it out of an ordinary user's PATH.
export PATH := $(PATH):/usr/sbin

VERSION   := $(shell git describe --tags --always 2>/dev/null || echo unknown)
COMMIT    := $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
LDFLAGS   := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)
INITFLAGS := -trimpath -buildvcs=false -ldflags='-s -w -buildid='
EXAMPLE   ?= pytorch-cuda

.PHONY: image build build-forge build-init setup test cross fuzz stack test-consumers lint bench bench-network bench-sbom bench-trust clean

image: build setup
	examples/build $(EXAMPLE)

# forge, forge-init for each platform that an image can have, and on Linux the
# daemon that `--builder embedded` starts, all from this go.mod.
build: build-forge
	@if [ "$$($(GO) env GOOS)" = linux ]; then set -x; $(GO) build -ldflags="-s -w -X github.com/moby/buildkit/version.Version=$$($(GO) list -m -f '{{.Version}}' github.com/moby/buildkit)" -o bin/buildkitd github.com/moby/buildkit/cmd/buildkitd; fi

build-forge: build-init
	$(GO) build -ldflags='$(LDFLAGS)' -o bin/forge ./cmd/forge

build-init:
	@mkdir -p bin
	GOFLAGS= GOOS=linux GOARCH=amd64 GOAMD64=v1 $(GO) build $(INITFLAGS) -o bin/forge-init-linux-amd64 ./cmd/forge-init
	GOFLAGS= GOOS=linux GOARCH=arm64 GOARM64=v8.0 $(GO) build $(INITFLAGS) -o bin/forge-init-linux-arm64 ./cmd/forge-init

# What a build needs from the distribution. An ordinary user can do without:
# images in which nothing is executed need no runc.
setup:
	@.ci/setup runc pip || { [ "$$(id -u)" != 0 ] && echo "setup: going on without; what must be executed in a sandbox cannot be built on this host" >&2; }

# PARTS='a|b': only the parts whose names match.
test:
	@.ci/test '$(PARTS)'

# Compiles forge for the platforms that nobody runs here, and its tests for the other system. Nothing
# is optimised.
cross: export GOFLAGS += '-gcflags=all=-N -l -dwarf=false'
cross: export GOARCH := arm64
cross:
	GOOS=linux $(GO) build -ldflags='-s -w' -o /dev/null ./cmd/forge
	GOOS=darwin $(GO) build -ldflags='-s -w' -o /dev/null ./cmd/forge
	GOOS=darwin $(GO) vet ./...

# Each fuzz target for a minute; `make test` runs them for five seconds.
fuzz:
	@.ci/fuzz 60s

# The private Sigstore and the cosign command that tests of signing/ run against.
stack:
	@.ci/tools signing/testdata/stack .cache/stack

# What forge policy export writes, tried with the admission controllers' own programs.
# Slow: they take minutes to compile.
test-consumers:
	@.ci/consumers

lint:
	@.ci/lint

bench: build
	@.ci/setup runc podman
	@.ci/bench
	@.ci/bench-network

# A first build beside its download, at 1 Gbit/s.
bench-network: build
	@.ci/setup time
	@.ci/bench-network

# forge sbom against the syft command, into docs/benchmarks.md.
bench-sbom: build
	@.ci/bench-sbom

# Publishing against skopeo, verifying against cosign, and 1,000 images at once.
bench-trust: build stack
	@.ci/setup skopeo time >/dev/null
	@.ci/tools signing/push/testdata/tools bin/tools
	@.ci/bench-trust

clean:
	rm -rf bin dist
