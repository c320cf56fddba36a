# One way in for people, CI and scripts: `make help`. Everything that is built lands outside the checkout.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

export CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/soak-operator/target
CRD := soaktests.soak-operator.io.yaml

.PHONY: help
help: ## Show this
	@awk -F ':.*## ' '/^##@ / { print "\n" substr($$0, 5) } /^[a-z0-9-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' \
	  $(firstword $(MAKEFILE_LIST))

##@ The two that matter

.PHONY: demo
demo: ## From nothing to two soaks: one leaks and fails, its twin does not and passes
	@$(MAKE) --no-print-directory -j2 cluster-up binaries
	@$(MAKE) --no-print-directory images deploy
	@hack/demo.sh

.PHONY: test
test: ## Every check: lint, unit, crds-check, chart-test, cluster-test, e2e on a real cluster
	@hack/test.sh

##@ Parts of test, without a cluster

.PHONY: lint
lint: ## Format, clippy without a warning, shell scripts
	@hack/lint.sh

# The same inputs on every machine: what turns red is what changed. `make properties` looks for new ones.
.PHONY: unit
unit: export PROPTEST_RNG_SEED ?= 20261127
unit: ## Unit and property tests
	@hack/tools nats-server >/dev/null
	@cargo test --workspace --exclude soak-e2e --locked
	@cargo test --package soak-e2e --lib --locked

.PHONY: crds
crds: ## Write crds/ from the Rust types, and the chart's copy
	@cargo run --quiet --locked --package soak-api --bin crds > crds/$(CRD).new
	@mv crds/$(CRD).new crds/$(CRD)
	@mkdir -p charts/soak-operator/crd-files
	@cp crds/$(CRD) charts/soak-operator/crd-files/

.PHONY: crds-check
crds-check: ## Fail if crds/ or the chart's copy are not what the Rust types say
	@new=$$(mktemp); trap 'rm -f "$$new"' EXIT; \
	cargo run --quiet --locked --package soak-api --bin crds > "$$new"; \
	for file in crds/$(CRD) charts/soak-operator/crd-files/$(CRD); do \
	  diff -u "$$file" "$$new" || { echo "$$file is stale: run make crds" >&2; exit 1; }; \
	done

.PHONY: chart-test
chart-test: ## Lint and test the chart
	@HELM=$$(hack/tools helm) charts/test.sh

.PHONY: deny
deny: ## Licences, advisories, duplicates and sources of dependencies (builds cargo-deny: minutes)
	@hack/cargo-tool cargo-deny --all-features check

.PHONY: machete
machete: ## Dependencies that nothing uses (builds cargo-machete: a minute)
	@hack/cargo-tool cargo-machete --with-metadata

##@ The judges

LAB_SEED ?= 424242
LAB_RUNS ?= 40
.PHONY: lab
lab: ## How often the judges err on labelled runs, beside what people do today (minutes)
	@cargo run --quiet --release --locked --package soak-verdict-lab --bin lab -- --follow-advice --runs $(LAB_RUNS) --seed $(LAB_SEED)

.PHONY: bench
bench: bench-sim ## What judging costs against reading the same file, and how that grows; bench-sim
	@cargo bench --quiet --locked --package soak-verdict

CASES ?= 1000

.PHONY: properties
properties: ## The judges' properties on CASES (1000) inputs each that no run before has seen
	@PROPTEST_CASES=$(CASES) cargo test --quiet --release --locked --package soak-verdict --lib -- invariants

FUZZ_MINUTES ?= 60

.PHONY: fuzz
fuzz: ## Input that makes no sense, for FUZZ_MINUTES (60): the judges neither panic nor hang
	@mkdir -p $(CARGO_TARGET_DIR)/fuzz
	@cargo run --quiet --locked --profile fuzz --package soak-verdict-lab -- fuzz --minutes $(FUZZ_MINUTES) --keep $(CARGO_TARGET_DIR)/fuzz

##@ The operator in a simulated cluster

SEEDS ?= 100000

.PHONY: sim
sim: ## SEEDS (100000) soaks under every fault, each promise checked; SEED=N repeats one and tells its history
	@SEEDS=$(SEEDS) SEED=$(SEED) cargo test --quiet --release --locked --package soak-operator --lib -- --nocapture simulation::runs::whatever

.PHONY: sim-mutants
sim-mutants: ## Deliberate faults in the operator, one at a time: which promise each breaks
	@cargo test --quiet --locked --package soak-operator --lib -- --nocapture simulation::runs::every_deliberate

##@ The workload that comes along

.PHONY: bench-sim
bench-sim: ## Messages a second of one producer and one worker, beside nats bench on the same server
	@hack/tools nats-server nats >/dev/null
	@cargo bench --quiet --locked --package soak-sim-worker --bench throughput

MINUTES ?= 5

.PHONY: sim-crash
sim-crash: ## Workers, producers and NATS killed at random for MINUTES (5): the ledger equals the stream; SEED=N repeats one
	@hack/tools nats-server >/dev/null
	@MINUTES=$(MINUTES) SEED=$(SEED) cargo test --locked --package soak-sim-worker --test crash -- --nocapture killed_at_random

.PHONY: sim-hour
sim-hour: ## The whole simulation in one process for an hour: its tasks are back within 5 afterwards
	@hack/tools nats-server >/dev/null
	@cargo test --locked --package soak-sim --test lifecycle -- --ignored --nocapture an_hour

.PHONY: sim-design-size
sim-design-size: ## 1500 partitions, 100 workers, 10 producers in one process: crashes are taken over, nothing is lost (a minute)
	@hack/tools nats-server >/dev/null
	@cargo test --locked --package soak-sim --test design_size -- --ignored --nocapture

##@ The cluster

.PHONY: cluster-up
cluster-up: ## A kind cluster with three nodes; seconds when it is there
	@hack/cluster.sh up

.PHONY: cluster-down
cluster-down: ## Remove the cluster; what it was built of stays
	@hack/cluster.sh down

.PHONY: cluster-status
cluster-status: ## What there is of the cluster
	@hack/cluster.sh status

.PHONY: soak-kills
soak-kills: ## The operator killed thirty times and cut off while events overlap: each accounted for, none done twice (10 minutes)
	@hack/e2e.sh interrupted

.PHONY: leak-modes
leak-modes: ## Each leak of the simulation in turn: the operator fails it and names the component, the clean twin passes (20 minutes)
	@hack/e2e.sh leak_modes

.PHONY: soak-sim
soak-sim: ## Half an hour of chaos on the simulation, NATS included: nothing lost, taken over in time, back to base (35 minutes)
	@hack/e2e.sh soak_sim

.PHONY: bench-chaos
bench-chaos: ## What a kill takes beside a bare DELETE, and how exactly fifteen soaks at once keep their plans
	@hack/e2e.sh bench_chaos

.PHONY: bench-thousand
bench-thousand: ## What a thousand soaks at once take of the operator, and whether it keeps its paces (15 minutes)
	@hack/e2e.sh bench_thousand

.PHONY: cluster-test
cluster-test: ## Do Services answer across nodes
	@hack/cluster-test.sh

.PHONY: shell
shell: ## A shell within reach of the cluster, with kubectl, kubectl soak and helm
	@hack/in-cluster-net $${SHELL:-bash}

.PHONY: binaries
binaries: ## Compile the three static programs that go into images, and kubectl soak
	@hack/images.sh binaries

.PHONY: images
images: cluster-up ## Make all images and load those that changed onto the nodes
	@hack/images.sh

.PHONY: deploy
deploy: ## Install or upgrade the chart, with its Prometheus, in namespace soak-system
	@hack/deploy.sh

.PHONY: undeploy
undeploy: ## Uninstall the chart; the CRD and SoakTests stay
	@hack/in-cluster-net helm uninstall soak-operator --namespace soak-system --ignore-not-found --wait

.PHONY: e2e
e2e: ## Soaks on the cluster, where images and deploy have been run
	@hack/e2e.sh

.PHONY: clean-all
clean-all: ## Remove the cluster, the engine it ran on, and everything that was built
	@hack/clean-all.sh
