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
.PHONY: help setup demo test format-check clippy doc build fuzz-check demo-smoke tests simulate bench-smoke fmt clean-stack

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r target words; do \
		printf '  make %-14s %s\n' "$$target" "$$words"; done

setup: ## install what is missing on Debian (as root) and download Kafka
	@sh deploy/local/setup.sh tests
	$(CARGO) build $(LOCKED) -p outbox-relay-tests --bin stack
	$(STACK) fetch

demo: ## watch it work: rows into PostgreSQL, records out of Kafka; Ctrl-C stops all of it
	@sh deploy/local/setup.sh
	@test -x $(TARGET)/debug/demo || echo "building the relay and its stack; the first time takes some minutes"
	@$(CARGO) build $(LOCKED) -p outbox-relay -p outbox-relay-tests --bin outbox-relay --bin demo
	@$(TARGET)/debug/demo

test: setup format-check clippy doc build fuzz-check demo-smoke tests ## all that CI runs

format-check:
	$(CARGO) fmt --all --check

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

bench-smoke: ## a short benchmark, in the release profile
	@sh deploy/local/setup.sh
	$(CARGO) run $(LOCKED) --release -p outbox-relay-bench -- smoke $(ARGS)

fmt: ## format the code
	$(CARGO) fmt --all

clean-stack: ## stop what local servers were left running, and remove their data
	$(CARGO) run $(LOCKED) --quiet -p outbox-relay-tests --bin stack -- down
