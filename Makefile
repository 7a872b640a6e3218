# Everything works on a machine that has Rust and Python 3.11 or newer; the rest goes into .venv.

PYTHON   ?= $(shell for p in python3 python3.15 python3.14 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
version_of = $(shell $(1) -c 'import sys; print("%d.%d" % sys.version_info[:2])')

# The Python that a clone was set up with lives in .venv. Another one that PYTHON names has an environment of its own.
NAMED    := $(if $(filter file,$(origin PYTHON)),,$(wildcard .venv/bin/python))
OTHER    := $(if $(NAMED),$(filter-out $(call version_of,$(NAMED)),$(or $(call version_of,$(PYTHON)),$(error PYTHON=$(PYTHON) does not run))))
VENV     := .venv$(addprefix -,$(OTHER))
BIN      := $(VENV)/bin
PY       := $(BIN)/python

CARGO    ?= cargo
NIGHTLY  ?= nightly
# The versions of Python that are tested and released; tests hold classifiers and workflows to it.
PYTHONS  := 3.11 3.12 3.13 3.14 3.15
MSRV      = $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

RUST_SOURCES := Cargo.toml Cargo.lock pyproject.toml $(shell find rust -name target -prune -o \( -name '*.rs' -o -name '*.toml' -o -name '*.md' \) -print)
PY_SOURCES   := pybridge tests $(wildcard bench examples website)

# cargo's own test binaries embed the interpreter of .venv: they link its libpython and find it at run time.
export PYO3_PYTHON := $(abspath $(PY))
PYTHON_LIBDIR = $(shell $(PY) -c 'import sysconfig; print(sysconfig.get_config_var("LIBDIR"))')
HAS_LIBPYTHON = $(shell $(PY) -c 'import pathlib, sysconfig as s; \
	print((pathlib.Path(s.get_config_var("LIBDIR")) / s.get_config_var("LDLIBRARY")).exists() or "")')
EMBED = PATH="$(abspath $(BIN)):$$PATH" LD_LIBRARY_PATH="$(PYTHON_LIBDIR):$$LD_LIBRARY_PATH"
RUST_FEATURES := pybridge/fault pybridge/tracing pybridge-http/axum pybridge-http/server pybridge-http/tower
RUST_SCOPE = $(if $(HAS_LIBPYTHON),--workspace --features "$(RUST_FEATURES)",-p pybridge-pool)
# Workspaces of their own, as programs elsewhere would be. pytest builds and runs the gateway.
RUST_HOST := examples/rust_host/Cargo.toml
GATEWAY   := examples/axum_gateway/Cargo.toml
SERVERS   := bench/http/Cargo.toml
RUST_TEST := $(if $(shell command -v cargo-nextest),$(CARGO) nextest run --no-tests=pass,$(CARGO) test --lib --bins --tests)

.DEFAULT_GOAL := help
.PHONY: help setup build quick bench test test-rust test-python matrix lint lint-workflows fmt types docs docs-serve loom miri asan tsan memcheck fuzz soak figures
.PHONY: http-soak mutants mutants-rust mutants-python mutation-tools scale-out
.PHONY: msrv crates semver deny locks system-deps clean sdist wheels dist

help: ## Shows the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.setup ## Makes .venv with everything that builds, tests and lints
$(VENV)/.setup: pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name it with PYTHON=…"; exit 1; }
	@command -v $(CARGO) >/dev/null || { echo "Rust is needed: https://rustup.rs"; exit 1; }
	test -x $(PY) || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "python -m venv failed; see: make system-deps"; exit 1; }
	$(PY) -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(PY) -m pip install --quiet --group dev
	@touch $@

DEVELOP = VIRTUAL_ENV=$(abspath $(VENV)) PIP_QUIET=1 $(BIN)/maturin develop --group build --quiet
build: $(VENV)/.build ## Builds the extension into .venv (optimised); does nothing when no source changed
# A clone that was cleaned, or copied, may have the stamp and no extension.
SUFFIX   := $(if $(wildcard $(PY)),$(shell $(PY) -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))'))
$(VENV)/.build: $(VENV)/.setup $(RUST_SOURCES) $(if $(wildcard pybridge/_pybridge$(SUFFIX)),,FORCE)
	$(DEVELOP) --release
	@touch $@
FORCE:

quick: $(VENV)/.setup ## Builds it in a third of the time, less optimised, for everyday work
	@rm -f $(VENV)/.build
	$(DEVELOP) --profile quick

bench: build ## Measures all lanes on the demo handler: table, bench/out/bench.json, bench/out/bench.png
	@mkdir -p bench/out
	$(BIN)/pybridge bench --json bench/out/bench.json --plot bench/out/bench.png

figures: build ## Measures every figure the project holds itself to; writes bench/results
	$(PY) -m bench.figures
	$(PY) -m bench.gateway
	$(PY) -m bench.asgi
	$(PY) -m bench.serve
	$(PY) -m bench.serve_memory
	$(CARGO) bench -p pybridge-pool

http-soak: build ## Lets thousands of bad clients, and such that leave, loose on servers; the protocol's tests in their long form
	$(PY) -m bench.hostile
	$(PY) -m bench.disconnects
	$(BIN)/pytest tests/protocol tests/serve --disconnects 1000

# Ray is large and holds other packages to its versions: it has an environment of its own, which sees this clone's package.
RAY := $(VENV)-ray
scale-out: build $(RAY)/.setup ## Installs Ray into an environment of its own, runs docs/scale-out.md on it and measures; writes bench/results
	PYTHONPATH="$(CURDIR):$(CURDIR)/bench/http" $(RAY)/bin/python -m bench.scale_out

$(RAY)/.setup: $(VENV)/.setup
	test -x $(RAY)/bin/python || $(PY) -m venv $(RAY)
	$(RAY)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(RAY)/bin/python -m pip install --quiet --disable-pip-version-check --group scale-out
	@touch $@

test: lint types test-rust loom test-python ## Everything that must be green

test-rust: build ## cargo tests; those of the bridge embed the interpreter of .venv
	$(if $(HAS_LIBPYTHON),,@echo "No libpython to link: testing the pool only. For the rest: make system-deps, or a Python built with --enable-shared.")
	$(EMBED) $(RUST_TEST) $(RUST_SCOPE)
	$(EMBED) $(CARGO) test --quiet --doc $(RUST_SCOPE)
	$(if $(HAS_LIBPYTHON),$(EMBED) $(CARGO) test --quiet --manifest-path $(RUST_HOST) --target-dir target)

# Each process takes whole files: most of a file's tests share what they start.
PYTEST_PROCESSES ?= auto
test-python: build ## pytest, on asyncio and uvloop; in PYTEST_PROCESSES processes, 4 at most, else one for each processor
	$(BIN)/pytest --numprocesses $(PYTEST_PROCESSES) --maxprocesses 4 --max-worker-restart 0 --dist loadfile

matrix: ## test-python with each of PYTHONS that is on PATH or, by its path, in PYTHONS_AT; a line for each at the end
	@$(PYTHON) tests/matrix.py $(PYTHONS) $(addprefix --at ,$(PYTHONS_AT))

lint: lint-workflows ## rustfmt, clippy, ruff, what each crate may depend on, and the workflows
	$(CARGO) fmt --all --check
	for host in $(RUST_HOST) $(GATEWAY) $(SERVERS); do $(CARGO) fmt --manifest-path $$host --check -- --config-path rustfmt.toml || exit 1; done
	$(CARGO) clippy --workspace --all-targets --all-features --quiet -- -D warnings
	for host in $(RUST_HOST) $(GATEWAY) $(SERVERS); do \
		$(CARGO) clippy --manifest-path $$host --target-dir target --all-targets --quiet -- -D warnings || exit 1; done
	@! $(CARGO) tree -p pybridge-pool -e normal --prefix none | grep -E '^(pyo3|tokio) ' || { echo "the pool knows no Python and no tokio"; exit 1; }
	@! $(CARGO) tree -p pybridge-codec -e normal --prefix none | grep '^tokio ' || { echo "the codec knows no tokio"; exit 1; }
	@! $(CARGO) tree -p pybridge-http --all-features -e normal --depth 1 --prefix none | grep '^pyo3' || { echo "pybridge-http names no pyo3"; exit 1; }
	$(PY) tests/support/rust_layers.py
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --check --quiet .

lint-workflows: setup ## zizmor and the published schemas over .github
	$(BIN)/zizmor --quiet --pedantic $(if $(GH_TOKEN),,--offline) .github
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-actions .github/actions/*/action.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-issue-forms $(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml

types: build ## mypy strict over everything, and the stub against the extension
	$(BIN)/mypy
	$(BIN)/stubtest pybridge._pybridge --allowlist tests/typing/stubtest_allowlist.txt

# Material for MkDocs prints a notice about its successor, which is no warning of the build.
MKDOCS = NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs
docs: build ## Builds the documentation site into target/site; every warning is an error
	$(MKDOCS) build --strict

docs-serve: build ## Serves the site on http://127.0.0.1:8001 and builds it again when a page changes
	$(MKDOCS) serve --dev-addr 127.0.0.1:8001 --watch website --watch pybridge --watch bench/results

fmt: setup ## Formats Rust and Python
	$(CARGO) fmt --all
	for host in $(RUST_HOST) $(GATEWAY) $(SERVERS); do $(CARGO) fmt --manifest-path $$host -- --config-path rustfmt.toml || exit 1; done
	$(BIN)/ruff check --quiet --fix .
	$(BIN)/ruff format --quiet .

loom: ## Model-checks what the pool and the workers hand between threads
	RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=3 $(CARGO) test --release --target-dir target/loom -p pybridge-pool -p pybridge-models --lib models

MIRI := -Zmiri-strict-provenance -Zmiri-isolation-error=hide
miri: ## Runs the pool's tests under Miri, by both models of borrowing; adds Miri to a nightly toolchain
	@$(CARGO) +$(NIGHTLY) miri --version >/dev/null 2>&1 || rustup component add miri rust-src --toolchain $(NIGHTLY) || \
		{ echo "Miri is needed: rustup toolchain install $(NIGHTLY) --component miri,rust-src"; exit 1; }
	for model in -Zmiri-tree-borrows ""; do MIRIFLAGS="$(MIRI) $$model" \
		$(CARGO) +$(NIGHTLY) miri test --target-dir target/miri -p pybridge-pool || exit 1; done

HOST = $(shell rustc -vV | sed -n 's/^host: //p')
asan: ## Runs the pool's tests under AddressSanitizer; needs a nightly toolchain
	RUSTFLAGS="-Zsanitizer=address" $(CARGO) +$(NIGHTLY) test --quiet --target $(HOST) --target-dir target/asan -p pybridge-pool --tests

tsan: ## Runs the pool's tests between threads under ThreadSanitizer, std instrumented as well; needs a nightly toolchain with rust-src
	RUSTFLAGS="-Zsanitizer=thread" $(CARGO) +$(NIGHTLY) test -Zbuild-std --quiet --target $(HOST) --target-dir target/tsan -p pybridge-pool --test threads

MEMCHECK := valgrind --quiet --leak-check=no --error-exitcode=9
memcheck: build ## Valgrind: the pool's tests between threads, and hostile objects against the codec
	CARGO_TARGET_$(shell echo $(HOST) | tr a-z- A-Z_)_RUNNER="$(MEMCHECK)" \
		$(CARGO) test --quiet --target $(HOST) --target-dir target/valgrind -p pybridge-pool --test writer --test fork
	PYTHONMALLOC=malloc $(MEMCHECK) --undef-value-errors=no --suppressions=tests/memcheck.supp \
		$(PY) -m pytest tests/codec -q --timeout=0 -p no:cacheprovider \
		-k "(hostile_objects or limits or values_out or twice or surrogate or broken_text or nothing_may) \
		and not (threads or lie or stack or endless or byte_longer)"

FUZZ_SECONDS ?= 60
FUZZ_CRATES = rust/pool/fuzz $(if $(HAS_LIBPYTHON),rust/codec/fuzz)
fuzz: setup ## Runs every fuzz target for FUZZ_SECONDS (60) from its seeds; needs a nightly toolchain and cargo-fuzz
	$(if $(HAS_LIBPYTHON),,@echo "No libpython to link: fuzzing the pool only. For the codec: a Python built with --enable-shared.")
	@for dir in $(FUZZ_CRATES); do (cd $$dir && for target in $$($(CARGO) +$(NIGHTLY) fuzz list); do \
		mkdir -p corpus/$$target && $(EMBED) $(CARGO) +$(NIGHTLY) fuzz run $$target corpus/$$target $$(ls -d seeds 2>/dev/null) -- \
		-max_total_time=$(FUZZ_SECONDS) || exit 1; done) || exit 1; done

# A part of them: make mutants-rust ONLY=queue,ending or SHARD=0/8, make mutants-python ONLY=sizes
MUTANTS = $(EMBED) $(PY) -m bench.mutants $(if $(ONLY),--only $(ONLY)) $(if $(SHARD),--shard $(SHARD))
MUTANTS_OF_RUST = pool $(if $(HAS_LIBPYTHON),codec bridge)
mutants: mutation-tools ## Changes one place at a time and counts what no test sees; takes hours; writes bench/results/mutants.md
	$(PY) -m pip install --quiet --disable-pip-version-check --group mutants
	$(MUTANTS) $(MUTANTS_OF_RUST) python report

mutants-rust: mutation-tools ## The same for the pool and parts of codec and bridge, without the page
	$(MUTANTS) $(MUTANTS_OF_RUST)

mutants-python: build ## The same for settings, handlers and options of the package
	$(PY) -m pip install --quiet --disable-pip-version-check --group mutants
	$(MUTANTS) python

mutation-tools: build
	@command -v cargo-mutants >/dev/null && command -v cargo-nextest >/dev/null || \
		{ echo "They are needed: cargo install --locked cargo-mutants cargo-nextest"; exit 1; }

soak: build ## Twenty cycles of 1,000 requests of 1 MB, text and trees, also with two arenas and with jemalloc; judged
	$(PY) -m bench.soak

msrv: ## Checks that everything compiles with the least Rust version; adds that toolchain
	@$(CARGO) +$(MSRV) --version >/dev/null 2>&1 || rustup toolchain install $(MSRV) --profile minimal --no-self-update
	PYO3_PYTHON=$(PYTHON) $(CARGO) +$(MSRV) check --locked --workspace --all-features --target-dir target/msrv

crates: ## Packages the crates that are published into target/package, and compiles each from there
	PYO3_PYTHON=$(THIS_PYTHON) $(CARGO) package --locked --workspace --exclude pybridge-extension --exclude pybridge-models

RUST_APIS := pybridge-pool pybridge-codec pybridge pybridge-http
semver: ## Compares the public Rust API with that of the commit in release/api_baseline; needs cargo-semver-checks
	@command -v cargo-semver-checks >/dev/null || { echo "It is needed: cargo install cargo-semver-checks --locked"; exit 1; }
	PYO3_PYTHON=$(THIS_PYTHON) $(CARGO) semver-checks --baseline-rev "$$(cat release/api_baseline)" $(RUST_APIS:%=--package %)

deny: ## Licences, advisories and sources of what is compiled in; needs cargo-deny
	@command -v cargo-deny >/dev/null || { echo "cargo-deny is needed: cargo install cargo-deny --locked"; exit 1; }
	$(CARGO) deny --locked check
	for host in $(RUST_HOST) $(GATEWAY) $(SERVERS); do $(CARGO) deny --locked --manifest-path $$host --config deny.toml check || exit 1; done

LOCKED := Cargo.toml $(RUST_HOST) $(GATEWAY) $(SERVERS) rust/codec/fuzz/Cargo.toml rust/pool/fuzz/Cargo.toml
locks: ## Writes the versions of the manifests into every Cargo.lock
	for manifest in $(LOCKED); do $(CARGO) metadata --format-version 1 --manifest-path $$manifest >/dev/null || exit 1; done

DEBIAN_PACKAGES := build-essential python3-dev python3-venv
DEBIAN_OPTIONAL := curl libjemalloc2 valgrind
system-deps: ## Names and installs the Debian packages that building and testing may need
	@echo "needed: $(DEBIAN_PACKAGES); some tests need: $(DEBIAN_OPTIONAL)"
	$(if $(filter 0,$(shell id -u)),,sudo) apt-get install --yes $(DEBIAN_PACKAGES) $(DEBIAN_OPTIONAL)

# Packages are built by tools of their own, pinned by hash, away from .venv. Zig links against the oldest C library that
# the platform's tag allows, on any machine.
TOOLS     := target/release-tools
TARGET    ?= $(HOST)
PLATFORM   = $(if $(findstring -musl,$(TARGET)),musllinux_1_2,manylinux_2_28)
THIS_PYTHON = $(if $(filter file,$(origin PYTHON)),$(or $(abspath $(wildcard $(PY))),$(PYTHON)),$(PYTHON))
MATURIN    = PATH="$(abspath $(TOOLS)/bin):$$PATH" $(TOOLS)/bin/maturin
WHEEL      = $(MATURIN) build --release --locked --zig --target $(TARGET) --compatibility $(PLATFORM) --out dist --interpreter

$(TOOLS)/.ready: release/requirements.txt
	test -x $(TOOLS)/bin/python || $(THIS_PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes -r $<
	@touch $@

sdist: $(TOOLS)/.ready ## Builds the source distribution into dist/
	$(MATURIN) sdist --out dist

wheels: $(TOOLS)/.ready ## Builds a wheel for each of PYTHONS into dist/, for the C library and processor that TARGET names
	$(WHEEL) $(PYTHONS)

dist: sdist ## Builds the source distribution and a wheel for this Python into dist/; needs no .venv
	$(WHEEL) $(THIS_PYTHON)

clean: ## Removes what was built
	rm -rf .venv .venv-* target dist bench/out pybridge/*.so .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
