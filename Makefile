TOOLS_DIR ?= $(HOME)/.cache/invitation-service/tools
export TOOLS_DIR
with_tools := PATH="$(TOOLS_DIR)/bin:$$PATH"
# Tests wait half of their time for processes that they start, and for databases.
threads = $(shell expr 2 \* $$(getconf _NPROCESSORS_ONLN))

.DEFAULT_GOAL := help
.PHONY: help run test pooled walled drill instructions planted mutants lint image bench

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: ## Serve on 127.0.0.1:50051 with a SQLite file under ./data
	cargo run --locked

test: ## Every test on SQLite and PostgreSQL, installing what is missing
	.ci/tools test
	$(with_tools) REQUIRE_POSTGRES=1 REQUIRE_E2E=1 RUST_TEST_THREADS=$(threads) cargo test --locked

pooled: ## The tests on PostgreSQL again, through PgBouncer, serializable, with refusals now and then
	.ci/tools test
	$(with_tools) REQUIRE_POSTGRES=1 REQUIRE_E2E=1 RUST_TEST_THREADS=$(threads) TEST_POOLER=1 cargo test --locked --test it -- --skip on_sqlite --skip tidy:: --skip mail::

walled: ## The tests on PostgreSQL again, with the reader role of store.reader_role
	.ci/tools test
	$(with_tools) REQUIRE_POSTGRES=1 REQUIRE_E2E=1 RUST_TEST_THREADS=$(threads) TEST_READER_ROLE=1 cargo test --locked --test it -- --skip on_sqlite --skip tidy:: --skip mail::

drill: ## Two replicas through a roll-out, outages and rotations of secrets: no call fails, and no write is lost
	.ci/tools test
	cargo build --locked --profile test
	$(with_tools) .ci/drill "$${CARGO_TARGET_DIR:-target}/debug/invitation-service" --seconds 5

instructions: ## Count the instructions of the benchmark's cases; none may take 5 % more than is recorded
	.ci/tools instructions
	$(with_tools) .ci/instructions

planted: ## Plant the bugs of tests/planted.toml; each must be found by a test
	.ci/tools test
	$(with_tools) .ci/planted

mutants: ## Change each expression of src/domain that differs from BASE (main); a unit test must fail
	.ci/tools mutants
	$(with_tools) .ci/mutants $(BASE)

lint: ## Format, clippy, proto, docs, dependencies, chart
	.ci/tools lint
	cargo fmt --check
	cargo clippy --all-targets --locked -- -D warnings
	cargo check --lib --no-default-features --locked
	$(with_tools) buf lint proto
	$(with_tools) .ci/breaking
	$(with_tools) .ci/documents
	RUSTDOCFLAGS='-D warnings -A rustdoc::private-intra-doc-links' cargo doc --no-deps --locked --document-private-items
	$(with_tools) cargo-deny --locked check bans licenses sources
	$(with_tools) .ci/advisories
	helm/lint

image: ## Run the binary in the empty root of the image, and list what it is made of (docs/image.md)
	cargo build --locked --profile test
	.ci/image "$${CARGO_TARGET_DIR:-target}/debug/invitation-service"
	.ci/sbom "$${CARGO_TARGET_DIR:-target}/sbom"

bench: ## Load benchmark on SQLite and PostgreSQL, with pgbench beside it: medians of three runs
	.ci/tools test
	$(with_tools) cargo bench --locked --bench load -- --runs 3
