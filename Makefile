# `make` lists the targets. Everything uses the dev profile and all crates at once, so that each dependency is built
# once: the profile is optimised (see Cargo.toml), and a release build of librdkafka and OpenSSL would double the wait.

SHELL := /bin/sh
CARGO ?= cargo
# `make LOCKED=` while dependencies are being changed.
LOCKED ?= --locked
# Scenarios wait for their servers more than they compute: one more than a small machine has cores.
TEST_THREADS ?= 3
# The programs are looked for there, whatever cargo is configured to.
TARGET ?= $(CURDIR)/target
export CARGO_TARGET_DIR = $(TARGET)
STACK = $(TARGET)/debug/stack

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup demo test format-check alerts clippy doc build fuzz-check demo-smoke tests simulate campaign big soak fuzz bench-smoke bench bench-full profile fmt clean-stack

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r target words; do \
		printf '  make %-14s %s\n' "$$target" "$$words"; done

setup: ## install what is missing on Debian (as root) and download Kafka
	@sh deploy/local/setup.sh tests
	$(CARGO) build $(LOCKED) -p outbox-relay-tests --bin stack
	$(STACK) fetch

demo: ## watch it work: rows into PostgreSQL, records out of Kafka; Ctrl-C stops all of it
	@sh deploy/local/setup.sh
	@test -x $(TARGET)/debug/demo || echo "building the relay and its stack; the first time takes ten minutes or more"
	@$(CARGO) build $(LOCKED) -p outbox-relay -p outbox-relay-tests --bin outbox-relay --bin demo
	@$(TARGET)/debug/demo

test: setup format-check alerts clippy doc build fuzz-check demo-smoke tests ## all that CI runs

format-check:
	$(CARGO) fmt --all --check

alerts:
	promtool test rules deploy/prometheus/alerts.test.yaml

clippy:
	$(CARGO) clippy $(LOCKED) --workspace --all-targets -- -D warnings

doc:
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc $(LOCKED) --workspace --no-deps

build:
	$(CARGO) build $(LOCKED) --workspace --all-targets

fuzz-check:
	$(CARGO) check $(LOCKED) -p outbox-relay-fuzz --features libfuzzer

demo-smoke:
	DEMO_SECONDS=15 $(TARGET)/debug/demo </dev/null

# Last, so that the output of `make test` ends with the summaries of the test runners.
tests:
	RUST_TEST_THREADS=$(TEST_THREADS) $(STACK) run -- $(CARGO) test $(LOCKED) --workspace --no-fail-fast

simulate: ## the pure core against models of both servers, SEEDS=100000 of them from FIRST_SEED on
	SEEDS=$(or $(SEEDS),100000) FIRST_SEED=$(or $(FIRST_SEED),1) $(CARGO) test $(LOCKED) -p outbox-relay --lib \
		simulation::whatever -- --nocapture

campaign: ## rounds of faults on real servers until the goals of RELIABILITY.md are reached, for MINUTES=60
	@sh deploy/local/setup.sh tests
	$(CARGO) build $(LOCKED) --workspace
	$(STACK) run -- $(TARGET)/debug/campaign run $(if $(findstring --rounds,$(ARGS)),,--minutes $(or $(MINUTES),60)) $(ARGS)
	$(TARGET)/debug/campaign report

big: ## the largest backlog, transaction, rows and tables; ARGS='--case big-rows' for one
	@sh deploy/local/setup.sh tests
	$(CARGO) build $(LOCKED) --workspace
	$(STACK) run -- $(TARGET)/debug/campaign big $(ARGS)
	$(TARGET)/debug/campaign report

soak: ## a steady load for HOURS=8, with memory, descriptors and threads sampled
	@sh deploy/local/setup.sh tests
	$(CARGO) build $(LOCKED) --workspace
	$(STACK) run -- $(TARGET)/debug/campaign soak --minutes $$(awk 'BEGIN { print int(60 * $(or $(HOURS),8)) }')
	$(TARGET)/debug/campaign report

# What `cargo fuzz` would pass, without the sanitizers that only a nightly compiler has.
COVERAGE = -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
	-Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
	-Cllvm-args=-sanitizer-coverage-pc-table --cfg fuzzing
# With a target of its own, the flags are not for build scripts.
FUZZ_HOST = $(shell rustc -vV | sed -n 's/^host: //p')

fuzz: ## every fuzz target for SECONDS=60; ARGS='--target login' for one
	@sh deploy/local/setup.sh
	$(CARGO) build $(LOCKED) -p outbox-relay-tests --bin campaign
	RUSTFLAGS='$(COVERAGE)' $(CARGO) build $(LOCKED) --profile fuzz -p outbox-relay-fuzz --features libfuzzer \
		--target $(FUZZ_HOST) --target-dir $(TARGET)/fuzzing
	$(TARGET)/debug/campaign fuzz --seconds $(or $(SECONDS),60) $(ARGS) \
		--program $(TARGET)/fuzzing/$(FUZZ_HOST)/fuzz/fuzz

BENCH = $(CARGO) run $(LOCKED) --release --quiet -p outbox-relay-bench --

bench-smoke: ## the quickest benchmark: a backlog, a large transaction, a start
	@sh deploy/local/setup.sh
	$(BENCH) smoke $(ARGS)

bench: ## the short benchmark, about ten minutes once it is built; its numbers last
	@sh deploy/local/setup.sh
	$(BENCH) micro
	$(BENCH) smoke --tls
	$(BENCH) steady --rate 2000 --repetitions 5 --seconds 15 --warm-up-seconds 5
	$(BENCH) goals

bench-full: ## all of it, Debezium Server (780 MB to download) the peak TPS and the matrix of drains included: three quarters of an hour
	@sh deploy/local/setup.sh
	$(BENCH) micro
	$(BENCH) smoke --tls --repetitions 5
	$(BENCH) steady --rate 2000 --repetitions 5 --seconds 30
	$(BENCH) steady --search
	$(BENCH) set-aside
	$(BENCH) drain --matrix
	$(BENCH) compare --repetitions 5 || { $(BENCH) goals; exit 1; }
	$(BENCH) goals

profile: ## a flame graph of the relay while it drains a backlog, with perf; ARGS='--rate 2000' for live rows
	@sh deploy/local/setup.sh
	RUSTFLAGS='-C force-frame-pointers=yes' CFLAGS='-fno-omit-frame-pointer' $(CARGO) build $(LOCKED) --release \
		-p outbox-relay --bin outbox-relay --target-dir $(TARGET)/profiling
	$(BENCH) profile --relay $(TARGET)/profiling/release/outbox-relay $(ARGS)

fmt: ## format the code
	$(CARGO) fmt --all

clean-stack: ## stop what local servers were left running, and remove their data
	$(CARGO) run $(LOCKED) --quiet -p outbox-relay-tests --bin stack -- down
