# Two commands: `make release` (a release bundle of the reference product) and `make test` (everything that must pass).
# Both do all set-up themselves, first use included.

VERSION ?= 0.1.0
PRODUCT := infusion-pump
SECONDS ?= 60
POINTS ?= 200
BIN := .venv/bin

.PHONY: release test host-tests fuzz defects powercut kills faults tuf-conformance bench setup lock clean help

release: setup  ## Build, test, document and seal a release bundle in dist/, then verify it
	@$(BIN)/devicepipe release $(VERSION)
	@$(BIN)/devicepipe verify dist/$(PRODUCT)-$(VERSION) --key .devicepipe/keys/release.pub.pem

test: setup  ## Linters, types, import contracts, unit tests and the device suites on emulated devices
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --quiet --check
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-cache >/dev/null || $(BIN)/lint-imports --no-cache
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

host-tests: setup  ## The firmware's unit tests on this computer under sanitizers, and the gate on their branch coverage
	@$(BIN)/python tools/host_tests.py

fuzz:  ## The firmware's readers of console, plant link and SMP under libFuzzer, SECONDS each (default 60), from the kept corpus
	@tools/setup.sh fuzz
	@$(BIN)/python firmware/fuzz/run.py --seconds $(SECONDS)

defects: setup  ## Each known-bad variant of the firmware must be caught by a device test or a campaign (firmware/defects)
	@$(BIN)/python tools/defects.py

powercut: setup  ## Power cuts over a whole update, at and inside every flash operation, on all boards
	@$(BIN)/devicepipe campaign powercut

kills: setup  ## kill -9 at POINTS random points (default 200) of each of append, approve, seal, publish, unpublish and pull
	@DEVICEPIPE_KILL_POINTS=$(POINTS) $(BIN)/python -m pytest -q -n 2 --dist load tests/cli/test_killed.py \
		tests/publication/test_killed.py tests/evidence/ledger/test_crashes.py::test_kill_9_at_200_random_points

faults: setup  ## The adversarial suite on devicepipe, stock pytest-embedded and `pio test`: writes docs/reference/bench-faults.md
	@$(BIN)/python -m tests.bench_faults --write docs/reference/bench-faults.md

tuf-conformance: setup  ## TUF's conformance suite, fetched, against the client of `devicepipe pull` (needs faketime)
	@tools/tuf_conformance.sh

bench: setup  ## The measured comparisons; each ends with one JSON line
	@missed=0; for bench in benchmarks/bench_*.py; do echo "== $$bench"; $(BIN)/python $$bench || missed=1; done; exit $$missed

setup:  ## System packages, .venv, C libraries (the other targets call it)
	@tools/setup.sh

lock:  ## Resolve requirements.lock anew from pyproject.toml (needs uv)
	@uv pip compile pyproject.toml --group dev --generate-hashes --universal --python-version 3.11 --no-header --no-annotate \
	    --quiet --upgrade --output-file requirements.lock

clean:  ## Remove what the targets made, but neither keys nor releases
	@rm -rf .venv firmware/.pio firmware/lib .devicepipe/work .devicepipe/dev .devicepipe/cache .devicepipe/soup-done

help:
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12
