# The contributor's interface. Every target sets up what it needs in .venv.
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test hard check format docs bench clean

demo: $(READY)  ## answer with the real model, and ask twice about one text, which is read once
	$(BIN)/erllama run demo "Why do llamas hum?" --max-tokens 60
	$(BIN)/erllama run demo "Who may copy this?" --max-tokens 30 < LICENSE
	$(BIN)/erllama run demo "May I sell it?" --max-tokens 30 < LICENSE
	$(BIN)/erllama cache stats
	$(BIN)/erllama daemon stop

test: $(READY)  ## every test, the real model's included
	$(BIN)/pytest -n 2 --dist worksteal

hard: export PYTHONPATH := $(CURDIR):$(CURDIR)/daemon:$(CURDIR)/cache:$(CURDIR)/tests
hard: $(READY)  ## the long proofs: an agent, schemathesis, mutations and a load; about half an hour
	$(BIN)/python -m hard.agent
	$(BIN)/python -m hard.schemas
	$(BIN)/python -m hard.mutations
	$(BIN)/python -m hard.load

check: $(READY)  ## format, lint, types, import rules, drift of what is generated
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/generate_docs.py --check

format: $(READY)  ## put the code in order
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(READY)  ## write what is generated from the code anew
	$(BIN)/python scripts/generate_docs.py

bench: $(READY)  ## start-up (needs hyperfine), cold and warm, llama.cpp beside erllama, and the cache at scale, each in one run
	$(BIN)/pip install --quiet --editable '.[bench]'
	$(BIN)/python bench/startup.py
	$(BIN)/python bench/reuse.py
	$(BIN)/python bench/speed.py
	$(BIN)/python bench/scale.py --svg docs/bytes-written.svg

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache

$(READY): pyproject.toml
	python3 -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable '.[demo,dev]'
	touch $@
