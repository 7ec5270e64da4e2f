# Everything here needs make and Python 3.10 or newer with venv; a C compiler makes it fast.
PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin/python

# The paper's flagship run where the native engine is there, with uniform draws; a small one where it is not.
FLAGSHIP = --samples_per_task 1000 --memories 5120 --lr 0.03 --beta 0.03 --gamma 1.0 --replay_batch_size 100 \
  --batches_per_example 10 --replay_draws uniform
SMALL = --samples_per_task 100 --memories 500 --lr 0.1 --beta 0.01 --gamma 1.0 --replay_batch_size 10 \
  --batches_per_example 2 --log_every 1000 --replay_draws uniform

.PHONY: example test fuzz lint bench bench-scaling bench-sweep soak clean

example: $(VENV)/installed
	@options="$(FLAGSHIP)"; \
	if ! $(RUN) -c "from model.engine import compiled; raise SystemExit(compiled.unavailable())"; then \
	  echo "so this is a small run: install a C compiler and Python's headers, then make clean example"; \
	  options="$(SMALL)"; \
	fi; \
	$(RUN) main.py --model meralg1 --data_file mnist_rotations.pt $$options
	@tail -n 4 "$$(ls -t results/meralg1_*.txt | head -n 1)"

test: lint
	$(RUN) -m pytest -q tests

# Hostile input, drawn anew each time; `make test` has a few hundred cases that are always the same.
CASES ?= 21000
fuzz: $(VENV)/installed-dev
	FUZZ_CASES=$(CASES) $(RUN) -m pytest -q tests/fuzz

lint: $(VENV)/installed-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

bench: $(VENV)/installed-dev
	$(RUN) -m pip install -q -r benchmarks/requirements.txt
	PYTHONPATH=. $(RUN) benchmarks/bench.py

bench-scaling: $(VENV)/installed-dev
	PYTHONPATH=. $(RUN) benchmarks/scaling.py

bench-sweep: $(VENV)/installed-dev
	PYTHONPATH=.:tests $(RUN) benchmarks/sweeps.py

soak: $(VENV)/installed-dev
	PYTHONPATH=. $(RUN) benchmarks/soak.py

$(VENV)/installed: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install -q -r requirements.txt
	touch $@

$(VENV)/installed-dev: $(VENV)/installed requirements-dev.txt requirements-report.txt requirements-sweep.txt
	$(RUN) -m pip install -q -r requirements-dev.txt
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info model/engine/_native*.so
