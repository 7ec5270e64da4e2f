# Everything needs only Python (3.10 or newer, with venv) and make; a C compiler makes it fast.
PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin/python

.PHONY: example test bench lint clean

# A run to look at: MER on MNIST Rotations, built from the images in data/.
example: $(VENV)/installed
	$(RUN) main.py --model meralg1 --data_file mnist_rotations.pt --samples_per_task 100 --memories 500 --lr 0.1 \
	  --beta 0.01 --gamma 1.0 --replay_batch_size 10 --batches_per_example 5 --log_every 500

test: $(VENV)/installed-dev lint
	$(RUN) -m pytest -q tests

lint: $(VENV)/installed-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

$(VENV)/installed: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install -q -r requirements.txt
	touch $@

$(VENV)/installed-dev: $(VENV)/installed requirements-dev.txt
	$(RUN) -m pip install -q -r requirements-dev.txt
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
