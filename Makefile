# Everything a user or developer of Holdfast runs. `make help` lists it.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Targets named together run one after the other, in the order given (`make -j docker-build docker-push` too); what
# takes long, cargo and go, uses all cores by itself.
.NOTPARALLEL:
MAKEFLAGS += --no-builtin-rules

VERSION := $(shell sed -n '/^version = /{s/.*"\(.*\)".*/\1/p;q}' Cargo.toml)
# An image that no registry has, so that nobody pulls a stranger's; nodes get it by `ctr images import`.
IMG ?= localhost/holdfast:$(VERSION)
OVERLAY ?= default
RELEASE ?= holdfast
# What generate-certs makes a certificate for.
ifeq ($(OVERLAY),flexdaemonsets)
NAMESPACE ?= flexdaemonsets-system
SERVICE ?= flexdaemonsets-webhook-svc
SECRET ?= flexdaemonsets-webhook-tls
else
NAMESPACE ?= holdfast-system
SERVICE ?= $(RELEASE)
SECRET ?= $(RELEASE)-tls
endif
CERTS := certs/_certs
# More for the program (`make run ARGS=…`) or for Helm (`make deploy ARGS=…`).
ARGS ?=

# Caches live outside the checkout. Whoever sets CARGO_TARGET_DIR keeps it.
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/holdfast
export CARGO_TARGET_DIR ?= $(CACHE)/target
TARGET ?= $(shell uname -m)-unknown-linux-gnu
RELEASE_DIR = $(CARGO_TARGET_DIR)/$(TARGET)/release
# The image's programs; the first is its entry point.
PROGRAMS := holdfast holdfast-runtime
ARCHIVE := dist/holdfast.tar

# Looked for when a recipe first needs them, not before: the PATH, else the test world, which builds them once.
found = $(or $(shell tools/find-tool $(1)),$(error no $(1)))
ifeq ($(origin KUBECTL),undefined)
KUBECTL = $(eval KUBECTL := $$(call found,kubectl))$(KUBECTL)
endif
ifeq ($(origin HELM),undefined)
HELM = $(eval HELM := $$(call found,helm))$(HELM)
endif
ifeq ($(origin KUBECONFORM),undefined)
KUBECONFORM = $(eval KUBECONFORM := $$(call found,kubeconform))$(KUBECONFORM)
endif
# The program, to be asked for its CRDs and completions.
HOLDFAST ?= cargo run --quiet --bin holdfast --
PYTHON ?= python3

# Static: the image has no C library. --target keeps the flags away from build scripts and procedural macros. Relocations are packed:
# half a megabyte less that every start reads. The Dockerfile says the same.
STATIC = -C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs
build_programs = RUSTFLAGS="$(STATIC) $${RUSTFLAGS:-}" \
	cargo build --release --locked --target $(TARGET) $(PROGRAMS:%=--bin %)
# The baseline is built with the product, in one go, so that both are made of the very same libraries; the driver apart, for
# it needs the tests' dependencies.
define build_benches
$(build_programs) --bin bench-bare
RUSTFLAGS="$(STATIC) $${RUSTFLAGS:-}" cargo build --release --locked --target $(TARGET) --example bench-driver
endef
# What the image brings to nodes without runc 1.2 or CRIU 4.2, if `make node-parts` has built it (NODE_PARTS= for an image without).
NODE_PARTS ?= $(shell $(PYTHON) tools/node_parts.py find 2>/dev/null)
pack_archive = $(PYTHON) tools/pack_image.py --name '$(IMG)' --target $(TARGET) --output $(ARCHIVE) \
	$(if $(NODE_PARTS),--node-parts '$(NODE_PARTS)') $(PROGRAMS:%=$(RELEASE_DIR)/%)

# The manifests with IMG in the place of the image they name, as a kustomization in dist/.
define kustomization_with_image
mkdir -p dist/with-image
{ printf '%s\n' 'apiVersion: kustomize.config.k8s.io/v1beta1' 'kind: Kustomization' 'resources: [../../manifests/$(OVERLAY)]'; \
  $(PYTHON) tools/image_reference.py kustomize '$(IMG)'; } > dist/with-image/kustomization.yaml
endef

still_held := It did not end. If a finalizer of ours holds something and no manager runs to release it: holdfast teardown --yes
# Of the manifests all but CRDs and namespace: these are no component's. What a release of Helm has under the same names is not ours.
no_crds := -k manifests/$(OVERLAY) -l app.kubernetes.io/component
define undeploy_applied
found=$$($(KUBECTL) get --ignore-not-found $(no_crds) -o yaml) || \
	    { echo 'Whose they are cannot be seen (above), so nothing was removed. Where they are yours: kubectl delete --ignore-not-found $(no_crds)' >&2; exit 1; }; \
	  if grep -q 'app.kubernetes.io/managed-by: Helm' <<<"$$found"; then \
	    echo 'They belong to a release of Helm by another name: make undeploy RELEASE=NAME NAMESPACE=… (helm list --all-namespaces)' >&2; exit 1; \
	  fi; \
	  $(KUBECTL) delete --ignore-not-found --timeout=5m $(no_crds) || { echo '$(still_held)' >&2; exit 1; }
endef

# Fuzzing needs a nightly toolchain, for its instrumentation of the code; cargo-fuzz itself is installed below the cache.
SECONDS = 60
TARGETS ?= admission quantity peers tree request records
FUZZ_TOOLCHAIN ?= nightly
CARGO_FUZZ_VERSION := 0.13.2
CARGO_FUZZ := $(CACHE)/cargo-fuzz/bin/cargo-fuzz

##@ Look around

.PHONY: help
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  %-24s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@printf '\nVariables: IMG=%s NAMESPACE=%s RELEASE=%s OVERLAY=%s ARGS= KUBECTL= HELM=\n' '$(IMG)' '$(NAMESPACE)' '$(RELEASE)' '$(OVERLAY)'

.PHONY: demo
demo: ## Bring a real cluster up on this machine, install Holdfast, show what it does
	tests/demo/run

##@ Build

.PHONY: build
build: ## Build the program, static and optimised, and print where it is
	$(build_programs)
	@printf '%s\n' $(PROGRAMS:%=$(RELEASE_DIR)/%)

.PHONY: manager
manager: build ## The same, and leave it as bin/holdfast and bin/manager
	mkdir -p bin
	cp -f $(PROGRAMS:%=$(RELEASE_DIR)/%) bin/
	ln -sf holdfast bin/manager
	@printf '%s\n' bin/manager $(PROGRAMS:%=bin/%)

.PHONY: completions
completions: ## Write shell completions to dist/completions
	mkdir -p dist/completions
	for shell in bash zsh fish; do $(HOLDFAST) completions $$shell > dist/completions/holdfast.$$shell; done
	@printf '%s\n' dist/completions/*

.PHONY: run
run: ## Run the manager here, on the cluster that kubectl talks to (ARGS= for more flags), with certificates of generate-certs if there are any
	cargo run --bin holdfast -- serve --leader-elect=false --log-format text --shutdown-delay 0s \
	  $(if $(wildcard $(CERTS)/tls.crt),--cert-dir $(CERTS)) $(ARGS)

# The certificate is good for the other overlay and for this host too.
.PHONY: generate-certs
generate-certs: ## Write ca.crt, tls.crt and tls.key for SERVICE= in NAMESPACE= to certs/_certs, and print how to make SECRET= of them
	$(HOLDFAST) certs --force --out $(CERTS) --service '$(SERVICE)' --namespace '$(NAMESPACE)' --secret '$(SECRET)' \
	  --name flexdaemonsets-webhook-svc.flexdaemonsets-system.svc --name localhost
	ln -sfn $(CERTS) _certs

.PHONY: clean-certs
clean-certs: ## Remove what generate-certs wrote
	rm -rf $(CERTS) _certs

.PHONY: clean
clean: clean-certs ## Remove what make wrote into the checkout (bin/, dist/, certificates); caches stay
	rm -rf bin dist

##@ Test

.PHONY: test
test: ## Run every check and test, on a real cluster; ends with a SUMMARY line
	tests/run

.PHONY: test-full
test-full: ## What is too heavy for every day: fault matrices, second runtime, scale (FOR=150m: so long for deaths in moves)
	tests/run --full $(if $(FOR),--for '$(FOR)')

.PHONY: test-tools
test-tools: ## Unit tests of the scripts in tools/ and benches/, and of the judge of what was witnessed
	$(PYTHON) -m unittest discover --start-directory tools
	$(PYTHON) -m unittest discover --start-directory benches
	$(PYTHON) -m unittest discover --start-directory tests/world --pattern test_witness.py

.PHONY: check-chart
check-chart: ## Lint the chart, render it in many ways, hold the results against Kubernetes' own schemas
	$(PYTHON) tools/check_chart.py --helm $(HELM) --kubectl $(KUBECTL) --kubeconform $(KUBECONFORM) --holdfast '$(HOLDFAST)'

.PHONY: fuzz
fuzz: ## Throw bytes at the decoders: each target for SECONDS= seconds (60), from the committed corpus (TARGETS= for some)
	@test -x $(CARGO_FUZZ) || \
	  CARGO_TARGET_DIR=$(CACHE)/cargo-fuzz/build cargo install --locked --root $(CACHE)/cargo-fuzz --version $(CARGO_FUZZ_VERSION) cargo-fuzz
	@for target in $(TARGETS); do \
	  mkdir -p $(CACHE)/fuzz/$$target; \
	  printf 'fuzz: %s, %s s, corpus of %s files\n' $$target $(SECONDS) "$$(ls fuzz/corpus/$$target | wc -l)"; \
	  RUSTUP_TOOLCHAIN=$(FUZZ_TOOLCHAIN) CARGO_TARGET_DIR=$(CARGO_TARGET_DIR)/fuzz $(CARGO_FUZZ) run --sanitizer none $$target \
	    $(CACHE)/fuzz/$$target fuzz/corpus/$$target -- \
	    -max_total_time=$(SECONDS) -timeout=10 -rss_limit_mb=2048 -max_len=65536 -dict=fuzz/$$target.dict -print_final_stats=1 2>&1 | \
	    grep -E '^(error|INFO: seed|Done|stat::(number|average|peak)|thread|assertion|  left:|  right:|==|artifact_prefix)'; \
	done
	@echo 'fuzz: nothing was found'

.PHONY: lint
lint: ## Check formatting, and clippy without warnings
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets --all-features -- -D warnings

##@ Measure

.PHONY: bench-admission
bench-admission: ## Measure the sizing webhook beside a bare server, through an API server, and in a storm (ARGS=--quick for a few minutes)
	$(build_benches)
	$(pack_archive)
	$(PYTHON) benches/run_admission.py --programs $(RELEASE_DIR) --archive $(ARCHIVE) --image '$(IMG)' $(ARGS)

.PHONY: bench-admission-cluster
bench-admission-cluster: ## Only the parts of it that go through an API server
	$(build_benches)
	$(pack_archive)
	$(PYTHON) benches/run_admission.py --programs $(RELEASE_DIR) --only cluster $(ARGS)
	$(PYTHON) benches/run_admission.py --only storm --archive $(ARCHIVE) --image '$(IMG)' $(ARGS)

.PHONY: bench-migration
bench-migration: ## Measure how long a pod stands still that goes to another node, beside what is quickest on one (ARGS=--quick for a few minutes)
	$(build_programs)
	RUSTFLAGS="$(STATIC) $${RUSTFLAGS:-}" cargo build --release --locked --target $(TARGET) --example bench-ticker
	$(pack_archive)
	$(PYTHON) benches/run_migration.py --programs $(RELEASE_DIR) --archive $(ARCHIVE) --image '$(IMG)' $(ARGS)

.PHONY: bench-runtime
bench-runtime: ## Measure what holdfast-runtime adds to the start of a container (ARGS='--containers 50' for fewer)
	$(build_programs)
	$(PYTHON) benches/run_runtime.py --program $(RELEASE_DIR)/holdfast-runtime $(ARGS)

##@ Keep in step

.PHONY: fmt
fmt: ## Format the Rust code
	cargo fmt

.PHONY: manifests
manifests: ## Write CRDs, manifests/ and the chart's table of values anew, from the program and the chart
	$(HOLDFAST) crds | $(PYTHON) tools/render_manifests.py write --helm $(HELM)

.PHONY: check-manifests
check-manifests: ## Fail, with a diff, if they are not current
	$(HOLDFAST) crds | $(PYTHON) tools/render_manifests.py check --helm $(HELM)

.PHONY: cases
cases: ## Write the table of cases in docs/shares.md anew, from the names of the tests
	$(PYTHON) tools/case_table.py write

.PHONY: check-cases
check-cases: ## Fail, with a diff, if it is not current
	$(PYTHON) tools/case_table.py check

##@ Image

.PHONY: node-parts
node-parts: ## Build what the image brings to nodes that lack it: runc, and CRIU with its libraries (as root, some minutes once)
	$(PYTHON) tools/node_parts.py build

.PHONY: image
image: build ## Pack an OCI archive and its bill of materials into dist/, without Docker (IMG= names it)
	$(pack_archive)

.PHONY: docker-build
docker-build: ## Build the image IMG= with Docker; without Docker, pack the archive instead
	if docker info >/dev/null 2>&1; then \
	  DOCKER_BUILDKIT=1 docker build -t '$(IMG)' --build-arg VERSION=$(VERSION) \
	    --build-arg REVISION="$$(git rev-parse HEAD)" --build-arg SOURCE_DATE_EPOCH="$$(git log -1 --format=%ct)" .; \
	else \
	  echo 'Docker does not answer here (docker info): packing the archive $(ARCHIVE) instead.'; \
	  $(build_programs); \
	  $(pack_archive); \
	fi

.PHONY: docker-push
docker-push: ## Push the image IMG= with Docker; without Docker, push the archive
ifeq ($(origin IMG),file)
	@echo 'Say where to: make docker-push IMG=registry.example.com/team/holdfast:$(VERSION)' >&2; exit 1
endif
	if docker info >/dev/null 2>&1; then \
	  docker push '$(IMG)'; \
	else \
	  echo 'Docker does not answer here (docker info): pushing the archive $(ARCHIVE) instead.'; \
	  $(PYTHON) tools/push_image.py --name '$(IMG)' $(ARCHIVE); \
	fi

##@ Install on the cluster that kubectl talks to

.PHONY: install
install: ## Install the CRDs
	$(KUBECTL) apply --server-side --force-conflicts -k manifests/crds

.PHONY: uninstall
uninstall: ## Delete the CRDs, and with them every object of these kinds
	@$(KUBECTL) delete --ignore-not-found --timeout=5m -k manifests/crds || \
	  { echo '$(still_held)' >&2; exit 1; }

.PHONY: deploy
deploy: ## Install or upgrade the chart, with the image IMG= (ARGS= for more Helm flags)
	@$(HELM) upgrade --help | grep -- --take-ownership >/dev/null || \
	  { echo '$(HELM) is older than 3.17 and cannot take over CRDs that make install brought; upgrade Helm' >&2; exit 1; }
	$(HELM) upgrade --install $(RELEASE) charts/holdfast --namespace $(NAMESPACE) --create-namespace --take-ownership \
	  $$($(PYTHON) tools/image_reference.py helm '$(IMG)') $(ARGS)

.PHONY: undeploy
undeploy: ## Remove what deploy or deploy-manifests installed; the CRDs, their objects and the namespace stay
	@if $(HELM) status $(RELEASE) --namespace $(NAMESPACE) >/dev/null 2>&1; then \
	  $(HELM) uninstall $(RELEASE) --namespace $(NAMESPACE) --ignore-not-found --wait --timeout 5m || \
	    { echo '$(still_held)' >&2; exit 1; }; \
	elif [ '$(origin RELEASE) $(origin NAMESPACE)' != 'file file' ]; then \
	  echo 'There is no release $(RELEASE) of Helm in the namespace $(NAMESPACE): nothing was removed.'; exit 0; \
	else \
	  $(undeploy_applied); \
	fi
	@echo 'The CRDs and all objects of these kinds are still there. This deletes them:'
	@echo '  kubectl delete crd -l app.kubernetes.io/part-of=holdfast'
	@echo 'The namespace $(NAMESPACE) is still there too. This deletes it:'
	@echo '  kubectl delete namespace $(NAMESPACE)'

.PHONY: deploy-manifests
deploy-manifests: ## Install with plain kubectl: manifests/default, or OVERLAY=; IMG= for another image
ifeq ($(origin IMG),file)
	$(KUBECTL) apply -k manifests/$(OVERLAY)
else
	@$(kustomization_with_image)
	$(KUBECTL) apply -k dist/with-image
endif

.PHONY: undeploy-manifests
undeploy-manifests: ## Remove what deploy-manifests installed: namespace, CRDs and all objects of these kinds
	@$(KUBECTL) delete --ignore-not-found --timeout=5m -k manifests/$(OVERLAY) || \
	  { echo '$(still_held)' >&2; exit 1; }

.PHONY: deploy-samples
deploy-samples: ## Apply samples/: a template, and a DaemonSet whose pods get a share by it
	$(KUBECTL) apply -k samples

.PHONY: undeploy-samples
undeploy-samples: ## Delete what deploy-samples applied
	$(KUBECTL) delete --ignore-not-found -k samples

.PHONY: build-installer
build-installer: ## Write dist/install.yaml, all of OVERLAY= in one file, with the image IMG=
	@$(kustomization_with_image)
	$(KUBECTL) kustomize dist/with-image > dist/install.yaml
	@echo 'dist/install.yaml  (kubectl apply -f dist/install.yaml)'
