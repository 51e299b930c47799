# Portable binaries (`make dist`): a compiler of PyPI (ziglang) builds ext/ and the libraries that
# it needs, for every platform, into build/dist/PLATFORM/. sources.py says where all of that comes
# from.
#
# The libraries become a part of the binary: what it needs at run time is the C library alone, on
# glibc 2.17 (manylinux2014) or newer, on musl, and on Windows 10 (its ucrt). OpenBLAS is left out:
# it is for x86-64 CPUs without fused multiply-add, which run the plain kernel here.

DIST   := build/dist
HERE   := bindings/dist
ZIG    := $(DIST)/venv/lib/python3*/site-packages/ziglang/zig
SRC    := $(DIST)/src
export ZIG_GLOBAL_CACHE_DIR := $(abspath $(DIST)/cache)
export ZIG_LOCAL_CACHE_DIR  := $(abspath $(DIST)/cache)

# What zig calls them, and what the file is called.
TARGET_linux-x86_64       := x86_64-linux-gnu.2.17
TARGET_linux-aarch64      := aarch64-linux-gnu.2.17
TARGET_linux-musl-x86_64  := x86_64-linux-musl
TARGET_linux-musl-aarch64 := aarch64-linux-musl
TARGET_macos-aarch64      := aarch64-macos.11.0
TARGET_macos-x86_64       := x86_64-macos.11.0
TARGET_windows-x86_64     := x86_64-windows-gnu
TARGET_windows-aarch64    := aarch64-windows-gnu
PLATFORMS ?= linux-x86_64 linux-aarch64 linux-musl-x86_64 linux-musl-aarch64 \
             macos-aarch64 macos-x86_64 windows-x86_64 windows-aarch64
system_of = $(firstword $(subst -, ,$(1)))
ENDING_linux   := so
ENDING_macos   := dylib
ENDING_windows := dll
binary_of = $(DIST)/$(1)/latent.$(ENDING_$(call system_of,$(1)))
host_of   = $(DIST)/$(1)/host$(if $(filter windows-%,$(1)),.exe)

# ---- The libraries: only what is used of them ----
LIBRARY_zlib          := adler32 compress crc32 deflate inffast inflate inftrees trees zutil
LIBRARY_libpng1.6     := png pngerror pngget pngmem pngpread pngread pngrio pngrtran pngrutil \
                         pngset pngtrans pngwio pngwrite pngwtran pngwutil
LIBRARY_libjpeg-turbo := jcomapi jdapimin jdapistd jdarith jaricom jdatasrc jdcoefct jdcolor \
                         jddctmgr jdhuff jdicc jdinput jdmainct jdmarker jdmaster jdmerge jdphuff \
                         jdpostct jdsample jerror jidctflt jidctfst jidctint jidctred jquant1 \
                         jquant2 jutils jmemmgr jmemnobs jsimd_none
LIBRARY_cjson         := cJSON
LIBRARY_utf8proc      := utf8proc
LIBRARY_tree-sitter   := lib/src/alloc lib/src/get_changed_ranges lib/src/language lib/src/lexer \
                         lib/src/node lib/src/parser lib/src/query lib/src/stack lib/src/subtree \
                         lib/src/tree lib/src/tree_cursor
LIBRARIES := zlib libpng1.6 libjpeg-turbo cjson utf8proc tree-sitter
FROM_LIBRARIES := $(foreach l,$(LIBRARIES),$(LIBRARY_$(l):%=$(l)/%.o))
FOLDERS := $(HERE)/config $(SRC)/zlib $(SRC)/libpng1.6 $(SRC)/libjpeg-turbo $(SRC)/utf8proc \
           $(SRC)/tree-sitter/lib/include $(DIST)/include $(SRC)/better-sqlite3/deps/sqlite3

# Vectors by hand are left out of libpng (no table of its assembly is linked); of libjpeg-turbo they
# give the same bytes. ts_subtree_balance: as the linker does it in the Makefile.
LIBRARY_FLAGS := -std=gnu11 -O2 -g0 -fPIC -fvisibility=hidden -ffp-contract=off -w -DNDEBUG \
  -DHAVE_UNISTD_H -DZ_HAVE_UNISTD_H -DUTF8PROC_STATIC -DCJSON_HIDE_SYMBOLS \
  -DPNG_INTEL_SSE_OPT=0 -DPNG_ARM_NEON_OPT=0 -I$(SRC)/tree-sitter/lib/src
# Newer compilers for macOS define this; libpng and zlib take it for the one before OS X.
$(DIST)/macos-aarch64/library/%.o $(DIST)/macos-x86_64/library/%.o: LIBRARY_FLAGS += -UTARGET_OS_MAC
$(DIST)/%/library/tree-sitter/lib/src/parser.o: \
  LIBRARY_FLAGS += -Dts_subtree_balance=__wrap_ts_subtree_balance

# ---- Rules of a platform ----
PORTABLE = $(ZIG) cc -target $(TARGET_$(1)) $(FOLDERS:%=-isystem %)
define platform
$(DIST)/$(1)/ext/%.o: ext/%.c $(SRC)/fetched
	@mkdir -p $$(@D)
	@$$(call PORTABLE,$(1)) $$(BUILD) $$(call seen_by,$$<) -DNDEBUG -O2 -g0 -DUTF8PROC_STATIC \
	  -DCJSON_HIDE_SYMBOLS -DTREE_SITTER_HIDE_SYMBOLS -c -o $$@ $$<
$(DIST)/$(1)/library/%.o: $(SRC)/fetched
	@mkdir -p $$(@D)
	@$$(call PORTABLE,$(1)) $$(LIBRARY_FLAGS) -c -o $$@ $(SRC)/$$*.c
$(call binary_of,$(1)): $$(SOURCES:ext/%.c=$(DIST)/$(1)/ext/%.o) \
                       $$(FROM_LIBRARIES:%=$(DIST)/$(1)/library/%)
	@mkdir -p $$(@D)/new                            # a .dll knows itself by its file's name
	@$$(call PORTABLE,$(1)) -shared -s -o $$(@D)/new/$$(@F) $$^ $$(LINK_$(call system_of,$(1)))
	@mv -f $$(@D)/new/$$(@F) $$@
$(DIST)/$(1)/sqlite3.o: $(SRC)/fetched
	@mkdir -p $$(@D)
	@$$(call PORTABLE,$(1)) -O1 -g0 -w -DSQLITE_ENABLE_FTS5 -c -o $$@ \
	  $(SRC)/better-sqlite3/deps/sqlite3/sqlite3.c
$(call host_of,$(1)): $(HERE)/host.c $(DIST)/$(1)/sqlite3.o
	@$$(call PORTABLE,$(1)) -O1 -g0 -o $$@ $$^ \
	  $$(if $$(findstring musl,$(1)),-dynamic) $$(LIBS_$(call system_of,$(1)))
-include $$(wildcard $(DIST)/$(1)/ext/*.d $(DIST)/$(1)/ext/*/*.d $(DIST)/$(1)/ext/*/*/*.d)
endef
LIBS_linux   := -lm -lpthread -ldl
LIBS_windows := -lpthread
LINK_linux   := -Wl,-z,nodelete -Wl,-z,defs -Wl,--version-script=ext/exports.map $(LIBS_linux)
LINK_macos   := -Wl,-dead_strip -install_name @rpath/latent.dylib
LINK_windows := $(LIBS_windows)
$(foreach p,$(PLATFORMS),$(eval $(call platform,$(p))))

# ---- Test programs for Windows, with assertions: tests/checks/windows.py runs them in Wine ----
WINDOWS := $(DIST)/windows-x86_64
# Not test_constant, which needs ld's --wrap, nor those that call fork().
WINDOWS_TESTS := $(filter-out bench_% test_constant io kill,$(TESTS))
# Tests write JPEG files. latent itself only reads them.
JPEG_WRITER := jcapimin jcapistd jcarith jccoefct jccolor jcdctmgr jchuff jcinit jcmainct jcmarker \
               jcmaster jcparam jcphuff jcprepct jcsample jdatadst jfdctflt jfdctfst jfdctint
WINDOWS_PARTS := $(SOURCES:ext/%.c=$(WINDOWS)/core/ext/%.o) $(WINDOWS)/sqlite3.o \
  $(FROM_LIBRARIES:%=$(WINDOWS)/library/%) $(JPEG_WRITER:%=$(WINDOWS)/library/libjpeg-turbo/%.o)
WINDOWS_TEST = $(call PORTABLE,windows-x86_64) $(BUILD) -DSQLITE_CORE -O2 -g0 -DUTF8PROC_STATIC \
  -DCJSON_HIDE_SYMBOLS -DTREE_SITTER_HIDE_SYMBOLS
$(WINDOWS)/core/ext/%.o: ext/%.c $(SRC)/fetched
	@mkdir -p $(@D)
	@$(WINDOWS_TEST) $(call seen_by,$<) -c -o $@ $<
$(WINDOWS)/core/%.exe: tests/%.c $(wildcard tests/*.h) $(wildcard tests/windows/*) $(WINDOWS_PARTS)
	@$(WINDOWS_TEST) -include tests/windows/posix.h $(LAYERS:%=-Iext/%) -o $@ $< \
	  tests/windows/posix.c $(filter %.o,$^) $(LIBS_windows)
windows-tests: $(WINDOWS_TESTS:%=$(WINDOWS)/core/%.exe)
.PHONY: windows-tests
-include $(wildcard $(WINDOWS)/core/ext/*.d $(WINDOWS)/core/ext/*/*.d)

# The headers as the sources of ext/ name them.
$(SRC)/fetched: $(HERE)/sources.tsv
	@/usr/bin/python3 $(HERE)/sources.py
	@mkdir -p $(DIST)/include/cjson
	@cp $(SRC)/cjson/cJSON.h $(DIST)/include/cjson/
	@cp $(SRC)/libpng1.6/scripts/pnglibconf.h.prebuilt $(DIST)/include/pnglibconf.h
	@cp $(SRC)/libjpeg-turbo/jversion.h.in $(DIST)/include/jversion.h
	@touch $@

HOSTS := $(foreach p,$(filter-out macos-% windows-aarch64,$(PLATFORMS)),$(call host_of,$(p)))
binaries: $(foreach p,$(PLATFORMS),$(call binary_of,$(p)))
dist: all binaries $(HOSTS)  ## portable binaries for all platforms, and what each gives here
	@$(HERE)/verify.py $(PLATFORMS)
.PHONY: binaries
