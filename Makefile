# latent: a SQLite extension that reads and writes a latent space.
#   make         builds build/latent.so
#   make clean   removes build/

CC      ?= cc
CFLAGS  ?= -O2
# -ffp-contract=off: only the fmaf() that is written counts, so that every machine gives the same bits.
BUILD   := -std=gnu11 -fPIC -fvisibility=hidden -ffp-contract=off -DNDEBUG -Wall -Wextra -MMD -MP
# nodelete: SQLite closes a library whose entry point failed, while functions that it could not take back may remain registered.
LINK    := -shared -Wl,-z,nodelete -Wl,-z,defs,--as-needed
LIBS    := -lcjson -lm -lpthread -ldl

SOURCES := $(wildcard ext/*.c)
OBJECTS := $(SOURCES:ext/%.c=build/obj/%.o)

all: build/latent.so

build/latent.so: $(OBJECTS)
	$(CC) $(LINK) -o $@ $(OBJECTS) $(LDFLAGS) $(LIBS)

build/obj/%.o: ext/%.c Makefile
	@mkdir -p $(@D)
	$(CC) $(BUILD) $(CFLAGS) -c -o $@ $<

clean:
	rm -rf build

-include $(OBJECTS:.o=.d)

.PHONY: all clean
