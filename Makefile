# The two commands: `make demo` and `make test`. `make help` lists the rest.
PYTHON ?= $(shell command -v python3.11 || echo python3)
BIN := .venv/bin
UV := $(BIN)/uv
COMPILE := $(UV) pip compile -q --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --python-version 3.11
GITLEAKS := 8.30.1
OSV_SCANNER := 1.9.2
DEBIAN := chromium kcat prometheus prometheus-alertmanager prometheus-pushgateway
GO_INSTALL := GOBIN=$(CURDIR)/.cache/tools go install -ldflags
INSTALL := $(UV) pip install -q --python $(BIN)/python

TARGETS := $(shell sed -nE 's/^([a-z-]+):.*/\1/p' Makefile)
.PHONY: $(TARGETS)

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 18

demo: install ## score real and synthetic patients on an embedded broker, live
	@$(BIN)/cardiosentry demo

install: .venv/installed ## set up .venv to run CardioSentry
dev: .venv/installed-dev ## set up .venv to work on CardioSentry
tools: .cache/tools/.gitleaks-$(GITLEAKS) .cache/tools/.osv-scanner-$(OSV_SCANNER) ## build the scanners of Gate 1; needs Go, some minutes

test: dev check .cache/debian ## all tests, on a real Kafka where Java 17 and Maven are there, and a real S3 and scanners where Go is
	$(BIN)/python -m pytest

check: dev ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

chaos: dev ## kill workers and broker under load on a real Kafka, and count every event
	$(BIN)/python -m tests.chaos.chaos

chaos-releases: dev ## release fifty models under load while workers are killed, and ask of each prediction whose it is
	$(BIN)/python -m tests.chaos.chaos --events 1500000 --rate 20000 --releases 50 --kills 3 --broker-restarts 0 --supervisor-kills 0 --malformed 0

chaos-ship: dev ## ship 100,000 documents over a day's change while the shipper and Elasticsearch are killed, and count each
	$(BIN)/python -m tests.chaos.shipping

bench: $(filter bench-%,$(TARGETS)) ## every benchmark, some hours

bench-throughput: dev ## beside a plain loop, Quix Streams, Bytewax and Faust as it ships
	$(BIN)/python -m benchmarks.throughput
bench-latency: dev ## under open-loop load
	$(BIN)/python -m benchmarks.latency
bench-memory: dev ## ten minutes at full rate
	$(BIN)/python -m benchmarks.memory
bench-restore: dev ## what a worker reads again when it takes a partition over
	$(BIN)/python -m benchmarks.restore
bench-signing: dev ## sign and verify 100 MB, beside the model_signing command
	$(BIN)/python -m benchmarks.signing
bench-shadows: dev ## scoring with 0, 1 and 3 models on trial
	$(BIN)/python -m benchmarks.shadows
bench-detection: dev ## attacks and drift: what is seen, how soon, beside which others, at how many false alarms
	$(BIN)/python -m benchmarks.detection_attacks
	$(BIN)/python -m benchmarks.detection_drift
	$(BIN)/python -m benchmarks.detection_baselines
	$(BIN)/python -m benchmarks.anomaly_scores
	$(BIN)/python -m benchmarks.detection_outcomes
bench-compliance: dev ## what is found of what must not be in training data
	$(BIN)/python -m benchmarks.compliance_planted --times 5 --seed 21
bench-collection: dev ## a million events with their outcomes into a snapshot: time and memory
	$(BIN)/python -m benchmarks.collection
bench-metrics: dev ## what counting a batch and answering a scrape cost a worker
	$(BIN)/python -m benchmarks.metrics

bench-watched: dev ## what a console of ten viewers and a scrape a second cost a worker
	$(BIN)/python -m benchmarks.watched

bench-pipeline: dev ## poisoned snapshots, backdoors, new sites, fair and unfair comparisons: what the gates see; writes docs/pipeline-attacks.md
	$(BIN)/python -m benchmarks.pipeline_attacks
	$(BIN)/python -m benchmarks.champion_comparison

bench-paging: dev ## from an alert's record to the call that pages
	$(BIN)/python -m benchmarks.paging

bench-alerts: dev ## from an attack in the stream to its alert on the console and in Elasticsearch, also behind a backlog
	$(BIN)/python -m benchmarks.attack_to_alert

bench-console: dev ## what viewers of the console cost
	$(BIN)/python -m benchmarks.console

console-pictures: dev ## photograph the console of a demo under attack, for docs/console.md; needs Chromium
	$(BIN)/python -m docs.console.write

bench-retrain: dev ## a retrain of the 920 patients, step by step, beside scikit-learn's own fit
	$(BIN)/python -m benchmarks.retrain

bench-ship: dev ## documents a second beside elasticsearch-py's own helpers
	$(BIN)/python -m benchmarks.shipping

kibana-pictures: dev ## draw panels of a system under attack, for docs/kibana.md; needs Java and Maven
	$(BIN)/python -m docs.kibana.write

model-card: dev ## evaluate the model and write docs/model-card.md
	$(BIN)/cardiosentry card

schemas: dev ## write docs, dashboards and monitoring/advice.toml from the contracts, rules and runbooks they rest on
	$(BIN)/python docs/schemas/write.py
	$(BIN)/python docs/write_detection.py
	$(BIN)/python docs/write_advice.py
	$(BIN)/python docs/write_metrics.py
	$(BIN)/python docs/write_access.py
	$(BIN)/python -m monitoring.grafana.write
	$(BIN)/python docs/write_shipping.py
	$(BIN)/python docs/write_kibana.py

vectors: dev ## keep what this version signs as test vectors
	$(BIN)/python -m tests.vectors.write

lock: dev ## pin the dependencies again, with hashes
	$(COMPILE) requirements-uv.in -o requirements-uv.lock
	$(COMPILE) pyproject.toml --extra train --extra build -o requirements.lock
	$(COMPILE) pyproject.toml --extra train --extra plots --extra operate --extra scan --extra build -c requirements.lock -o requirements-image.lock
	$(COMPILE) pyproject.toml --all-extras -c requirements-image.lock -o requirements-dev.lock

clean: ## remove what make made
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info

# pip checks the hash of uv, uv the hashes of the rest, at a tenth of pip's time
$(UV): requirements-uv.lock
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements-uv.lock
	@touch $@

.venv/installed: $(UV) requirements.lock pyproject.toml
	$(INSTALL) --require-hashes -r requirements.lock
	$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

.venv/installed-dev: .venv/installed requirements-dev.lock
	$(INSTALL) --require-hashes -r requirements-dev.lock
	@touch $@

# One file a version, so that another version is built anew.
.cache/tools/.gitleaks-$(GITLEAKS):
	$(GO_INSTALL) "-s -w -X github.com/zricethezav/gitleaks/v8/version.Version=$(GITLEAKS)" github.com/zricethezav/gitleaks/v8@v$(GITLEAKS)
	@touch $@

# Servers, kcat and the browser of the tests. Where they are missing and we may not install them, their tests say so and skip.
.cache/debian: Makefile
	@if ! (command -v chromium && command -v kcat && command -v promtool && command -v prometheus-alertmanager && \
	  command -v prometheus-pushgateway) >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $(DEBIAN) >/dev/null; fi
	@mkdir -p .cache && touch $@

.cache/tools/.osv-scanner-$(OSV_SCANNER):
	$(GO_INSTALL) "-s -w" github.com/google/osv-scanner/cmd/osv-scanner@v$(OSV_SCANNER)
	@touch $@
