# latent: a SQLite extension that reads and writes a latent space. `make help` lists what there is to make.

# ---- What a user may set: make CC=clang CFLAGS='-O2 -g' PREFIX=/opt/latent ----
ifeq ($(origin CC),default)
CC      := gcc
endif
CFLAGS  ?= -O2
PREFIX  ?= /usr/local
DATA    ?= ../shared/data
PICTURES ?= build/pictures
PYTHON  ?= build/python/bin/python
export CC

# -ffp-contract=off: only the fmaf() that is written counts, so that every machine gives the same bits. No -march: faster kernels are
# chosen at run time.
BUILD   := -std=gnu11 -fPIC -fvisibility=hidden -ffp-contract=off -Wall -Wextra -Wno-psabi -MMD -MP
# nodelete: SQLite closes a library whose entry point failed, while functions that it could not take back may remain registered.
# exports.map: one symbol; functions compiled for several CPUs would show otherwise, visibility or not.
LINK    := -shared -Wl,-z,nodelete -Wl,-z,defs,--as-needed -Wl,--version-script=ext/exports.map
# OpenBLAS is not among them: kernels_blas.c opens it on CPUs that need it.
LIBS    := -Wl,--as-needed -lcjson -lpng -ljpeg -lm -lpthread -ldl

SOURCES := ext/extension.c $(wildcard ext/*/*.c)

# A layer sees the headers of the layers that it stands on, and no others: an include that points up does not compile.
BELOW_base      := base
BELOW_codec     := base codec
BELOW_kernels   := base kernels
BELOW_model     := base codec kernels model
BELOW_index     := base kernels index
BELOW_call      := base codec kernels model call
BELOW_vtab      := base codec kernels model index call vtab
BELOW_functions := base codec kernels model index call vtab functions
#   $(call seen_by,PATH): the options for a source file, whose first folder under ext/ is its layer
LAYERS  := $(BELOW_functions)
seen_by  = $(patsubst %,-Iext/%,$(or $(BELOW_$(word 2,$(subst /, ,$(1)))),$(LAYERS)))
TESTS   := $(patsubst tests/%.c,%,$(wildcard tests/*.c))

.PHONY: help all static demo check check-programs install bench bench-index score train golden sanitize soak clean
.SECONDARY:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' Makefile

# ---- The product ----
all: build/latent.so  ## builds build/latent.so (the default)

OBJECTS := $(SOURCES:ext/%.c=build/obj/%.o)

# Moved into place: a process that has the old one loaded keeps it.
build/latent.so: $(OBJECTS) ext/exports.map
	$(CC) $(LINK) -o $@.new $(OBJECTS) $(LDFLAGS) $(LIBS)
	@mv -f $@.new $@

build/obj/%.o: ext/%.c Makefile
	@mkdir -p $(@D)
	$(CC) $(BUILD) $(call seen_by,$<) -DNDEBUG $(CFLAGS) -c -o $@ $<

demo:  ## installs what is missing, builds, and runs sql/tour.sql and sql/pictures.sql in the sqlite3 shell: texts to read, pictures in build/demo
	@.ci/need build
	@$(MAKE) --no-print-directory --silent all
	@sqlite3 -batch :memory: '.read sql/tour.sql'
	@sqlite3 -batch :memory: '.read sql/pictures.sql'

# The weights lie in a folder beside the extension: it looks for them there, wherever the pair is put.
install: all  ## copies the extension to PREFIX/lib and the weights to PREFIX/lib/latent; PREFIX is /usr/local, DESTDIR goes before it
	install -d $(DESTDIR)$(PREFIX)/lib/latent
	install -m 755 build/latent.so $(DESTDIR)$(PREFIX)/lib/latent.so
	install -m 644 $(wildcard model/*.safetensors model/*.json) $(DESTDIR)$(PREFIX)/lib/latent

# ---- Tests ----
# Programs are linked with the sources compiled into them (-DSQLITE_CORE), once plainly and once for each sanitizer.
#   $(call variant,NAME,COMPILER,FLAGS)
define variant
build/$(1)/ext/%.o: ext/%.c Makefile
	@mkdir -p $$(@D)
	$(2) $$(BUILD) $$(call seen_by,$$<) -DSQLITE_CORE $(3) -c -o $$@ $$<
build/$(1)/%: tests/%.c $$(SOURCES:ext/%.c=build/$(1)/ext/%.o) Makefile
	@mkdir -p $$(@D)
	$(2) $$(BUILD) -DSQLITE_CORE $(3) $$(LAYERS:%=-Iext/%) -o $$@ $$< $$(filter %.o,$$^) $$(LINK_$$(@F)) -lsqlite3 $$(LIBS)
-include $$(wildcard build/$(1)/ext/*.d build/$(1)/ext/*/*.d build/$(1)/*.d)
programs-$(1): $$(TESTS:%=build/$(1)/%)
.PHONY: programs-$(1)
endef
, := ,
LINK_test_constant := -Wl,--wrap=contents_encode
SANITIZE := -O1 -g -fno-omit-frame-pointer -fno-sanitize-recover=all
$(eval $(call variant,core,$$(CC),-DNDEBUG $$(CFLAGS)))
$(eval $(call variant,asan,gcc,$(SANITIZE) -fsanitize=address$(,)undefined))
$(eval $(call variant,clang,clang,$(SANITIZE) -fsanitize=address$(,)undefined))
$(eval $(call variant,tsan,gcc,$(SANITIZE) -fsanitize=thread))

# What a program links: one object with the one symbol that the extension exports, so that no name in here meets one of the program's.
static: build/latent.o  ## builds build/latent.o, for linking into a program (examples/embed.c)

build/latent.o: $(SOURCES:ext/%.c=build/core/ext/%.o)
	$(CC) -r -nostdlib -o $@.new $^
	objcopy --keep-global-symbol=sqlite3_latent_init $@.new
	@mv -f $@.new $@

build/embed: examples/embed.c build/latent.o Makefile
	$(CC) $(BUILD) -DSQLITE_CORE $(CFLAGS) -o $@ $< build/latent.o -lsqlite3 $(LIBS)

check-programs: all programs-core build/asan/sweep build/asan/flips build/asan/damage $(patsubst %,build/asan/%,$(filter test_%,$(TESTS))) build/tsan/threads build/tsan/beside build/embed

check:  ## installs what is missing, builds, and runs all tests; the last line is "N passed, N failed"
	@.ci/need check
	@.ci/need extras || true
	@$(MAKE) --no-print-directory --silent check-programs
	@tests/run

sanitize:  ## everything once more and at length under the address, undefined behaviour and thread sanitizers (gcc, clang)
	@.ci/need sanitize
	@$(MAKE) --no-print-directory --silent all programs-core programs-asan programs-clang programs-tsan
	@tests/run --sanitize

HOURS ?= 2
soak:  ## the virtual table's random campaigns for HOURS=2, with new seeds; every I/O operation failed, every shadow byte flipped
	@.ci/need check
	@$(MAKE) --no-print-directory --silent all programs-core build/asan/damage build/asan/oracle
	@tests/run --soak $$(($(HOURS)*3600))

golden: $(PYTHON)  ## after a change of the weights: writes every expectation that depends on them anew (look at the diff)
	@.ci/need check
	$(PYTHON) model/golden.py
	@$(MAKE) --no-print-directory --silent all
	@tests/run --golden

# ---- Figures and weights ----
bench:  ## speed, beside ONNX Runtime where it can be installed; the table goes to build/bench.md
	@.ci/need build
	@$(MAKE) --no-print-directory --silent all build/core/bench/bench $(patsubst %,build/core/%,$(filter bench_%,$(TESTS)))
	@python3 tests/bench/bench.py

bench-index:  ## the index beside vec1, sqlite-vec, vectorlite and Faiss: build/bench-index.md, 10 minutes; FULL=1 takes all sizes
	@.ci/need check
	@$(MAKE) --no-print-directory --silent all
	@/usr/bin/python3 tests/bench/index.py $(if $(FULL),--full)

score:  ## the scoreboard of model/README.md, measured in SQL; needs ../shared/data, and for pictures PICTURES=build/pictures
	@.ci/need check
	@$(MAKE) --no-print-directory --silent all
	@/usr/bin/python3 model/score.py --data $(DATA) --report
	@if [ -e $(PICTURES)/pixels.npy ]; then $(or $(wildcard $(PYTHON)),/usr/bin/python3) model/score_pictures.py --data $(PICTURES); else echo "pictures: skipped, no $(PICTURES)/pixels.npy (model/pictures.py prepare --out $(PICTURES))"; fi

# On CPU half of a step goes into page faults unless malloc keeps its memory.
TRAINING := GLIBC_TUNABLES=glibc.malloc.hugetlb=1 MALLOC_ARENA_MAX=1 MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=100000000000 MALLOC_TOP_PAD_=500000000
RUN      := build/train
# For the teacher's vectors: two cores make 60 to 90 a second, some 400,000; a GPU all 3.8 million in two minutes.
VECTOR_MINUTES := 90

$(RUN)/texts: | $(PYTHON)
	@mkdir -p $(@D)
	$(PYTHON) model/prepare.py texts --data $(DATA) --out $(RUN)

$(RUN)/axes.npy: | $(RUN)/texts
	$(PYTHON) model/prepare.py vectors --out $(RUN) --tokenizer model/text.json --minutes $(VECTOR_MINUTES)
	$(PYTHON) model/prepare.py axes --out $(RUN) --model model/text.safetensors

train: $(RUN)/axes.npy  ## trains on from the shipped weights until Ctrl-C, and on from there next time; DECAY=2000 finishes and exports them
	$(TRAINING) $(PYTHON) model/train.py --data $(RUN) --run $(RUN) --init model/text.safetensors $(DECAY:%=--decay %)
	$(if $(DECAY),$(PYTHON) model/export.py --checkpoint $(RUN)/decayed.pt --tokenizer model/text.json --out $(RUN)/text)
	$(if $(DECAY),mv $(RUN)/text.safetensors $(RUN)/text.json model/)

# PyTorch and what the Python side needs besides. PYTHON=... takes one that has it all.
build/python/bin/python: | model/requirements.txt
	@.ci/need check extras
	/usr/bin/python3 -m venv build/python
	$@ -m pip install -q -r model/requirements.txt

clean:  ## removes build/
	rm -rf build

-include $(OBJECTS:.o=.d)
