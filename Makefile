PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8501
ADDRESS ?= 127.0.0.1

.PHONY: app test test-slow test-browser lint

app: $(VENV)/app
	$(BIN)/python -m streamlit run app/main.py --server.port $(PORT) --server.address $(ADDRESS) --server.headless true

test: $(VENV)/dev
	$(BIN)/python -m pytest -m "not browser"

test-slow: $(VENV)/dev
	VAESCOPE_FUZZ_CASES=10000 $(BIN)/python -m pytest tests/test_foreign_files.py

test-browser: $(VENV)/dev
	$(BIN)/python -m pytest -m browser

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Each stamp is written only after its installation went through, so that an interrupted one is done again.
$(VENV)/app: requirements.txt constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -r requirements.txt
	touch $@

$(VENV)/dev: requirements-dev.txt $(VENV)/app
	$(BIN)/python -m pip install --quiet -c constraints.txt -r requirements-dev.txt
	touch $@
