# latent: a SQLite extension that reads and writes a latent space. `make help` lists what there is.

# ---- What a user may set: make CC=clang CFLAGS='-O2 -g' PREFIX=/opt/latent ----
ifeq ($(origin CC),default)
CC       := gcc
endif
CFLAGS   ?= -O2
PREFIX   ?= /usr/local
DATA     ?= ../shared/data
PICTURES ?= build/pictures
PYTHON   ?= build/python/bin/python
HOURS    ?= 2
export CC CFLAGS

# -ffp-contract=off: a multiplication and an addition become one only where fmaf() is written, so
# that every machine gives the same bits. No -march: faster kernels are chosen at run time.
BUILD := -std=gnu11 -fPIC -fvisibility=hidden -ffp-contract=off -Wall -Wextra -Wno-psabi -MMD -MP
# nodelete: SQLite closes a library whose entry point failed, while functions that it could not take
# back may remain registered.
# exports.map: one symbol. Functions compiled for several CPUs would show otherwise, in spite of
# -fvisibility.
LINK  := -shared -Wl,-z,nodelete -Wl,-z,defs,--as-needed -Wl,--version-script=ext/exports.map
# OpenBLAS is not among them: kernels_blas.c opens it on CPUs that need it.
# libtree-sitter becomes a part of the library, as ext/grammar/grammar.h says.
PARSER := -Wl,--wrap=ts_subtree_balance -l:libtree-sitter.a
LIBS  := -Wl,--as-needed -lcjson -lutf8proc -lpng -ljpeg $(PARSER) -lm -lpthread -ldl

SOURCES := ext/extension.c $(wildcard ext/*/*.c ext/grammar/*/*.c)

# A layer sees its own headers and those of the layers below it, and no others: an include that
# points up does not compile.
BELOW_base      := base
BELOW_codec     := base codec
BELOW_kernels   := base kernels
BELOW_grammar   := base grammar
BELOW_model     := base codec kernels grammar model
BELOW_index     := base kernels index
BELOW_call      := base codec kernels grammar model call
BELOW_vtab      := base codec kernels grammar model index call vtab
BELOW_functions := base codec kernels grammar model index call vtab functions
LAYERS          := $(BELOW_functions)
#   $(call seen_by,PATH): -I for a source file; its layer is its first folder under ext/
seen_by = $(if $(filter ext/grammar/python/%,$(1)),$(GENERATED),$(patsubst \
  %,-Iext/%,$(or $(BELOW_$(word 2,$(subst /, ,$(1)))),$(LAYERS))))
# What others wrote keeps its warnings to itself, and allocates as grammar_heap.c says.
GENERATED := -w $(foreach f,malloc calloc realloc free,-D$(f)=grammar_$(f))

TESTS   := $(patsubst tests/%.c,%,$(wildcard tests/*.c))

.PHONY: help all static demo install npm dist web needed check campaign soak golden
.PHONY: bench bench-index score train clean
.SECONDARY:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' \
	  Makefile bindings/dist/dist.mk
	@echo '  tests/run NAME    one test: sql/path.sql, test_map, README.md (tests/README.md)'

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

demo:  ## installs what is missing, builds, runs the tours in sql/; pictures go to build/demo
	@.ci/need build
	@$(MAKE) --no-print-directory --silent all
	@sqlite3 -batch :memory: '.read sql/tour.sql'
	@sqlite3 -batch :memory: '.read sql/pictures.sql'

web:  ## builds build/web: SQLite with latent in WebAssembly, and a page (bindings/web/README.md)
	@.ci/need web
	@bindings/web/build.py

# The weights lie in a folder beside the extension, which looks for them there.
install: all  ## copies the extension and the weights to PREFIX/lib (/usr/local); DESTDIR too
	install -d $(DESTDIR)$(PREFIX)/lib/latent
	install -m 755 build/latent.so $(DESTDIR)$(PREFIX)/lib/latent.so
	install -m 644 $(wildcard model/*.safetensors model/*.json) $(DESTDIR)$(PREFIX)/lib/latent
	cp -rL model/meaning model/writer $(DESTDIR)$(PREFIX)/lib/latent

npm: all  ## the npm packages, of what build/dist has, or of build/latent.so: build/npm/*.tgz
	node bindings/node/pack.mjs

# ---- Test programs ----
# They are linked with the sources compiled into them (-DSQLITE_CORE): build/core/ plainly, the
# others for a sanitizer, with assertions.
#   $(call variant,NAME,COMPILER,FLAGS)
define variant
build/$(1)/ext/%.o: ext/%.c Makefile
	@mkdir -p $$(@D)
	$(2) $$(BUILD) $$(call seen_by,$$<) -DSQLITE_CORE $(3) -c -o $$@ $$<
build/$(1)/%: tests/%.c $$(SOURCES:ext/%.c=build/$(1)/ext/%.o) Makefile
	@mkdir -p $$(@D)
	$(2) $$(BUILD) -DSQLITE_CORE $(3) $$(LAYERS:%=-Iext/%) -o $$@ $$< $$(filter %.o,$$^) \
	  $$(LINK_$$(@F)) -lsqlite3 $$(LIBS)
-include $$(wildcard build/$(1)/ext/*.d build/$(1)/ext/*/*.d build/$(1)/*.d)
programs-$(1): $$(TESTS:%=build/$(1)/%)
.PHONY: programs-$(1)
endef
, := ,
LINK_test_constant := -Wl,--wrap=contents_encode
# -g1: a report names the lines; more takes a fifth longer to compile.
SANITIZE := -O1 -g1 -fno-omit-frame-pointer -fno-sanitize-recover=all
$(eval $(call variant,core,$$(CC),-DNDEBUG $$(CFLAGS)))
$(eval $(call variant,asan,gcc,$(SANITIZE) -fsanitize=address$(,)undefined))
$(eval $(call variant,clang,clang,$(SANITIZE) -fsanitize=address$(,)undefined))
$(eval $(call variant,tsan,gcc,$(SANITIZE) -fsanitize=thread))

# One object with the one symbol that the extension exports, so that none of its names meets one of
# the program's.
static: build/latent.o  ## builds build/latent.o, for linking into a program (examples/embed.c)

build/latent.o: $(SOURCES:ext/%.c=build/core/ext/%.o)
	$(CC) -r -nostdlib -o $@.new $^ $(PARSER)
	objcopy --keep-global-symbol=sqlite3_latent_init $@.new
	@mv -f $@.new $@

build/embed: examples/embed.c build/latent.o Makefile
	$(CC) $(BUILD) -DSQLITE_CORE $(CFLAGS) -o $@ $< build/latent.o -lsqlite3 $(LIBS)

# ---- Tests: tests/run builds what it runs ----
needed:
	@.ci/need check
	@.ci/need extras || true

check: needed  ## 5 minutes: right answers; installs what is missing, builds, runs all tests once
	@tests/run check

campaign: needed  ## half an hour: right under failure: no memory, bad disks, kills, threads, damage
	@tests/run campaign

soak: needed  ## everything at length, with new seeds; the random campaigns for HOURS=2
	@.ci/need clang
	@tests/run soak --hours $(HOURS)

golden: $(PYTHON)  ## after new weights: writes all expectations that depend on them (read the diff)
	@.ci/need check
	@$(MAKE) --no-print-directory --silent all
	$(PYTHON) model/golden.py
	@tests/golden.py

# ---- Figures and weights ----
bench:  ## speed, beside ONNX Runtime and llama.cpp where they can be installed: build/bench*.md
	@.ci/need build
	@$(MAKE) --no-print-directory --silent all build/core/bench/bench build/core/bench/bert \
	  build/core/bench/writer \
	  $(patsubst %,build/core/%,$(filter bench_%,$(TESTS)))
	@python3 tests/bench/bench.py
	@python3 tests/bench/bert.py
	@python3 tests/bench/writer.py

bench-index:  ## the index beside vec1, sqlite-vec, vectorlite, Faiss: build/bench-index.md; FULL=1
	@.ci/need check
	@$(MAKE) --no-print-directory --silent all
	@/usr/bin/python3 tests/bench/index.py $(if $(FULL),--full)

score:  ## the scoreboard of model/, measured in SQL; needs DATA=../shared/data and PICTURES
	@.ci/need check
	@$(MAKE) --no-print-directory --silent all
	@/usr/bin/python3 model/score.py --data $(DATA) --report
	@$(or $(wildcard $(PYTHON)),/usr/bin/python3) model/score_writer.py
	@if [ -e $(PICTURES)/pixels.npy ]; then \
	  $(or $(wildcard $(PYTHON)),/usr/bin/python3) model/score_pictures.py --data $(PICTURES); \
	else \
	  echo "pictures: skipped, no $(PICTURES)/pixels.npy" \
	       "(model/pictures.py prepare --out $(PICTURES))"; \
	fi

# On CPU half of a step goes into page faults unless malloc keeps its memory.
TRAINING := GLIBC_TUNABLES=glibc.malloc.hugetlb=1 MALLOC_ARENA_MAX=1 MALLOC_MMAP_MAX_=0 \
            MALLOC_TRIM_THRESHOLD_=100000000000 MALLOC_TOP_PAD_=500000000
RUN      := build/train
# For the points of texts, and for what the present weights write between two.
POINT_MINUTES := 60
MIDDLE_MINUTES := 20

$(RUN)/texts: | $(PYTHON)
	@mkdir -p $(@D)
	$(PYTHON) model/prepare.py texts --data $(DATA) --out $(RUN)

$(RUN)/points: | all $(RUN)/texts
	$(PYTHON) model/prepare.py points --out $(RUN) --model model/text.safetensors \
	  --minutes $(POINT_MINUTES)
	@touch $@

$(RUN)/middles: | $(RUN)/points
	$(PYTHON) model/prepare.py middles --out $(RUN) --model model/text.safetensors \
	  --minutes $(MIDDLE_MINUTES)

train: $(RUN)/middles  ## trains on until Ctrl-C, next time from there; DECAY=2000 ends and exports
	$(TRAINING) $(PYTHON) model/train.py --data $(RUN) --run $(RUN) \
	  --init model/text.safetensors $(DECAY:%=--decay %)
	$(if $(DECAY),$(PYTHON) model/export.py --checkpoint $(RUN)/decayed.pt \
	  --tokenizer model/text.json --out $(RUN)/text)
	$(if $(DECAY),mv $(RUN)/text.safetensors $(RUN)/text.json model/)

# PyTorch and what the Python side needs besides. PYTHON=... takes one that has it all.
build/python/bin/python: | model/requirements.txt
	@.ci/need check extras
	/usr/bin/python3 -m venv build/python
	$@ -m pip install -q -r model/requirements.txt

clean:  ## removes build/
	rm -rf build

# Portable binaries: make dist.
include bindings/dist/dist.mk

-include $(OBJECTS:.o=.d)
