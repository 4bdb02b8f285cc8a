# Two commands for a newcomer: `make demo` and `make test`. Both set up what they need.

PYTHON ?= python3
RUNTIME ?= local
TASK ?= image-classification
JOBS ?= 1
WORKERS ?= 2
VENV := .venv
RUN := $(VENV)/bin/python
HERE := PYTHONPATH=$(CURDIR)/hooks $(RUN) -m

.PHONY: demo test test-all test-quick lint docker-images coverage coverage-all coverage-sizes benchmark throughput clean

demo: $(VENV)/ready  ## take a small Hugging Face model through the whole chain on real images (TASK=… for another task's)
	$(HERE) demo.demo --runtime $(RUNTIME) --task $(TASK)

test: $(VENV)/ready  ## run the test suite, with a few cases of what has very many (WORKERS=1: in one process)
	$(RUN) -m ruff check
	$(RUN) -m pytest -n $(WORKERS)

test-all: $(VENV)/ready  ## run every case there is: 300 random merges, kill -9 at every point (half an hour)
	$(RUN) -m ruff check
	$(RUN) -m pytest -n $(WORKERS) -m "exhaustive or not exhaustive" --hypothesis-profile=all

test-quick: $(VENV)/ready  ## run the tests that need no PyTorch
	$(RUN) -m pytest -m "not runtime and not slow and not exhaustive"

lint: $(VENV)/ready  ## check the project's own code
	$(RUN) -m ruff check

docker-images: $(VENV)/ready  ## make the images that the tests of the containers use (as root; the tests make them too)
	$(HERE) tests.support.docker_images

coverage: $(VENV)/ready  ## take a tiny model of every architecture of TASK through the template (ONLY="vit swin" for some, VERSIONS=tao-7.0.1 for an image's versions); writes docs/coverage
	TAO_HF_VERSIONS=$(VERSIONS) $(HERE) benchmarks.coverage --tao-source auto --jobs $(JOBS) --task $(TASK) $(if $(ONLY),--only $(ONLY))

coverage-all: $(VENV)/ready  ## the same for every task (about two hours on two cores; JOBS=8: so many models at a time)
	TAO_HF_VERSIONS=$(VERSIONS) $(HERE) benchmarks.coverage --tao-source auto --jobs $(JOBS)

coverage-sizes: $(VENV)/ready  ## export and build one published configuration of every architecture at its own size; writes docs/coverage/published-sizes.md
	$(HERE) benchmarks.published_sizes --jobs $(JOBS)

throughput: $(VENV)/ready  ## measure the generated ViT against the Hugging Face model, on the GPU if there is one
	PYTHONPATH=hooks:networks/backbone:standins/tao_pytorch:standins/modules $(RUN) -m benchmarks.throughput

benchmark: $(VENV)/ready  ## measure the inspection against the hand procedure, and the rendering
	$(HERE) benchmarks.inspection
	$(HERE) benchmarks.rendering

clean:  ## remove what the commands above made here (the shared cache stays)
	rm -rf $(VENV) build .pytest_cache .ruff_cache

$(VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --upgrade "pip>=25.1"
	$(RUN) -m pip install --quiet --group dev
	touch $@
