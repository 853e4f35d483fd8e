# Everything works from a bare clone with python3 (3.11 or newer, with venv) and make.
#   make demo      three nodes and an etcd of their own; kills the leader, shows the failover
#   make test      the whole suite; as root it runs more; the end says what was left out and why

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# More arguments for pytest: make test ARGS="-k lease -x"
ARGS   ?=
# Where packages are built, and where they end up.
BUILD  ?= build
DIST   ?= dist
# How many: schedules for sim, faults for chaos and outages, takeovers.
N      ?=

.PHONY: demo test sim chaos faults outages takeovers compose-faults http-faults vm bench lint types imports proto
.PHONY: reference man docs deb clean help

help:
	@sed -n 's/^#   //p' Makefile
	@echo 'also: sim N=…, chaos N=…, faults PEERS=1, outages N=…, takeovers N=…,'
	@echo '      compose-faults N=…, http-faults N=…, vm, bench, lint, types, imports, proto, reference, man, docs, deb, clean'

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[demo,dev]'
	@touch $@

demo: $(READY)
	$(BIN)/leaderd demo

test: $(READY)
	$(BIN)/python -m pytest $(ARGS)

sim: $(READY)
	$(BIN)/python -m tests.sim $(N) $(ARGS)

chaos: $(READY)
	$(BIN)/python -m tests.chaos $(if $(N),--faults $(N)) $(ARGS)

# As root. PEERS=1: keepalived and etcdctl lock beside it.
faults: $(READY)
	$(BIN)/python -m tests.net faults $(if $(PEERS),--peers) $(ARGS)

outages: $(READY)
	$(BIN)/python -m tests.net outages $(if $(N),--count $(N)) $(ARGS)

takeovers: $(READY)
	$(BIN)/python -m tests.net takeovers $(if $(N),--count $(N)) $(ARGS)

# Needs root, and docker with compose. Up to ten minutes; N times in a row.
compose-faults: $(READY)
	set -e; for round in $$(seq $(or $(N),1)); do $(BIN)/python -m pytest tests/compose --compose-faults $(ARGS); done

# As root, with QEMU: NFS, watchdog device, SysRq and pauses under Debian's kernel. About five minutes.
vm: $(READY)
	$(BIN)/python -m pytest tests/vm --vm -s $(ARGS)

http-faults: $(READY)
	$(BIN)/python -m tests.api.campaign $(if $(N),--faults $(N)) $(ARGS)

bench: $(READY)
	$(BIN)/python -m bench $(ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	@if command -v shellcheck >/dev/null; then shellcheck .ci/run bench/*.sh examples/*.sh deploy/tls/*.sh leaderd/hooks/*.sh tests/packages/*.sh tests/resources/*.sh; else echo 'shellcheck is not installed: shell scripts were not checked'; fi

types: $(READY)
	$(BIN)/mypy

imports: $(READY)
	$(BIN)/lint-imports

# The file is compiled under the path of the package it goes to, so that the generated modules
# import one another without being edited.
proto: $(READY)
	$(BIN)/python -m grpc_tools.protoc -Ileaderd/api/pb=proto/leaderd/v1 \
		--python_out=. --pyi_out=. --grpc_python_out=. leaderd/api/pb/leaderd.proto

# A manual page for each command, into build/man: `man build/man/leaderd.1`.
man: $(READY)
	$(BIN)/python -m leaderd.cli.man build/man

reference: $(READY)
	$(BIN)/python -m leaderd.config.reference > docs/reference.md

# Broken links and anchors are errors.
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict

# A Debian package, into dist/. Needs debhelper; pip fetches the Python packages that are put into it.
deb:
	rm -rf $(BUILD)/deb
	mkdir -p $(BUILD)/deb/leaderd $(DIST)
	cp -R LICENSE README.md pyproject.toml leaderd docs deploy $(BUILD)/deb/leaderd
	cp -R deploy/debian $(BUILD)/deb/leaderd/debian
	cd $(BUILD)/deb/leaderd && dpkg-buildpackage --build=binary --no-sign
	mv $(BUILD)/deb/leaderd_*.deb $(DIST)

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
