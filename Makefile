# SPDX-License-Identifier: BSD-2-Clause
# Sluice, all of it: `make help` lists what there is to make. Everything that
# is made lands in build/, so `rm -rf build` undoes all of this.

DRIVERS ?= nvme
INTERCEPTORS ?= gate trace overlay fault crypt $(PLUGIN)
# The path of one more, from outside the tree: see tools/plugin.mk.
PLUGIN :=
B := build
PYTHON ?= /usr/bin/python3
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || \
	echo unknown)

# Quiet lines ("  CC    core/log.c"); `make V=1` shows the commands.
say = @printf '  %-7s %s\n' $(1) $(2)
V ?= 0
ifeq ($(V),0)
.SILENT:
endif
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif
.SUFFIXES:
.SECONDEXPANSION:
.DELETE_ON_ERROR:

.PHONY: all run test unit fuzz system test-bochs guests bench deps format lint \
	clean plugin-test help FORCE
all: $(B)/sluice.efi $(B)/sluicectl

help:
	echo 'make            build/sluice.efi, ready to be signed or copied, and'
	echo '                build/sluicectl for Linux'
	echo 'make run        install what is missing, build, boot a demo machine'
	echo 'make test       install what is missing, build, run every test'
	echo 'make unit       tests on the host, with ASan, UBSan and TSan'
	echo 'make fuzz       each fuzz target for FUZZ_SECONDS (60); FUZZ=name: one'
	echo 'make system     tests in QEMU'
	echo 'make test-bochs those of them that run in Bochs: VMX'
	echo 'make bench      with Sluice beside without: build/bench/bench.txt'
	echo 'make deps       install what is missing'
	echo 'make format     clang-format everything'
	echo 'make lint       includes, headers, formatting, scripts'
	echo 'make clean      remove what was built; newlib and kernels stay'
	echo 'INTERCEPTORS="gate trace ../mine.c"  the plug-ins compiled in; to'
	echo '                write one, see tests/example and tools/plugin.mk'
	echo 'V=1             show the commands'

# ---- C, for the hypervisor, plug-ins, the loader and the host -----------

WARN = -Wall -Wextra -Werror -Wno-unused-parameter
CC = gcc
DEPS = -MMD -MP
# The hypervisor never touches the guest's FPU and SSE registers.
BARE = -std=gnu11 -g -ffreestanding -mgeneral-regs-only -mno-red-zone \
	-ffunction-sections -fdata-sections -fno-stack-protector \
	-fno-asynchronous-unwind-tables -fcf-protection=none \
	-fno-strict-aliasing -fno-jump-tables
LIBC_INCLUDE = -nostdinc -isystem $(abspath $(B)/newlib/targ-include) \
	-isystem $(abspath $(B)/newlib/src/newlib/libc/include) \
	-isystem $(shell $(CC) -print-file-name=include)
# It is optimized as a whole: what an exit passes through is many small
# functions. A memcpy() of a few bytes is no call there, newlib or not.
HV_CFLAGS = $(BARE) -O2 -flto=auto -fbuiltin $(LIBC_INCLUDE) $(WARN) -fPIE \
	-fvisibility=hidden
# gnu-efi's linker script takes .bss into the file, but not .bss.name.
EFI_CFLAGS = $(BARE) -Os $(LIBC_INCLUDE) $(WARN) -fPIC -fshort-wchar \
	-fvisibility=hidden -fno-data-sections -DGNU_EFI_USE_MS_ABI \
	-maccumulate-outgoing-args -isystem /usr/include/efi \
	-isystem /usr/include/efi/x86_64 -idirafter /usr/include
HOST = -std=gnu11 -g -O1 $(WARN) -fno-omit-frame-pointer
HOST_CFLAGS = $(HOST) -fsanitize=address,undefined \
	-fno-sanitize-recover=undefined
TSAN_CFLAGS = $(HOST) -fsanitize=thread
HOST_INCLUDE = -Iinclude -Icore -Itests/unit

define compile
	$(call say,$(1),$<)
	mkdir -p $(@D)
	$(CC) $(2) $(DEPS) -c $< -o $@
endef

# ---- newlib: only libc, built once --------------------------------------
# Functions that pass floating point do not compile without SSE; make -k
# leaves them out, and the link of sluice.elf tells if we ever need one.

NEWLIB := $(B)/newlib/libc.a
NEWLIB_CFLAGS = -Os -fPIC -fvisibility=hidden -mgeneral-regs-only \
	-mno-red-zone -ffreestanding -fno-builtin -ffunction-sections \
	-fdata-sections -fno-stack-protector -fcf-protection=none \
	-fno-asynchronous-unwind-tables -DNO_FLOATING_POINT
NEWLIB_OPTIONS = --host=x86_64-elf --disable-multilib \
	--disable-newlib-supplied-syscalls --disable-newlib-multithread \
	--disable-newlib-mb --disable-newlib-wide-orient \
	--disable-newlib-unbuf-stream-opt --enable-newlib-reent-small \
	--enable-newlib-nano-malloc --enable-newlib-io-long-long \
	--enable-newlib-io-c99-formats --enable-lite-exit

$(NEWLIB): FLAGS = $(NEWLIB_CFLAGS) $(LIBC_INCLUDE) -I$(abspath $(@D))
$(NEWLIB):
	test -d /usr/src/newlib -a -d /usr/include/efi || \
		{ echo 'Packages are missing: make deps'; false; }
	rm -rf $(@D) && mkdir -p $(@D)/src
	$(call say,UNPACK,newlib-source)
	tar -xf /usr/src/newlib/newlib-*.tar.xz -C $(@D)/src \
		--strip-components=1
	$(call say,CONF,'newlib (half a minute; $(@D)/log)')
	cd $(@D) && src/newlib/configure $(NEWLIB_OPTIONS) CC=$(CC) AR=ar \
		RANLIB=ranlib READELF=readelf CFLAGS="$(NEWLIB_CFLAGS)" \
		>log 2>&1
	$(call say,BUILD,'newlib (half a minute; $(@D)/log)')
	$(MAKE) -C $(@D) stmp-targ-include >>$(@D)/log 2>&1
	-$(MAKE) -k -C $(@D)/libc CFLAGS="$(FLAGS)" >>$(@D)/log 2>&1
	ar rcs $@ $$(find $(@D)/libc -name 'lib_a-*.o' | sort)

# ---- The hypervisor ------------------------------------------------------

HV_SOURCES := $(wildcard core/*.c core/*/*.c core/*/*.S drivers/*.c \
	$(DRIVERS:%=drivers/%/*.c))
HV_OBJECTS := $(patsubst %,$(B)/hv/%.o,$(basename $(HV_SOURCES)))

# What newlib's objects call in there is found too late to be kept.
$(B)/hv/core/libc.o: HV_CFLAGS += -fno-lto

$(B)/hv/core/%.o: core/%.c $(NEWLIB)
	$(call compile,CC,$(HV_CFLAGS) -Iinclude -Icore)

$(B)/hv/drivers/%.o: drivers/%.c $(NEWLIB)
	$(call compile,CC,$(HV_CFLAGS) -Iinclude)

$(B)/hv/%.o: %.S $(NEWLIB)
	$(call compile,AS,$(HV_CFLAGS) -Iinclude)

# A plug-in is a word, WORD.c and WORD_*.c in drivers/nvme/interceptors, or
# the path of a file anywhere. It sees nvme_io.h and no other header of ours
# but its own.
plugin_paths = $(if $(findstring /,$(1))$(filter %.c,$(1)),$(1),\
	drivers/nvme/interceptors/$(1).c\
	$(wildcard drivers/nvme/interceptors/$(1)_*.c))
plugin_object = $(B)/$(2)/plugins/$(basename $(notdir $(1))).o
PLUGINS := $(foreach word,$(INTERCEPTORS),\
	$(strip $(call plugin_paths,$(word))))
HV_OBJECTS += $(foreach path,$(PLUGINS),$(call plugin_object,$(path),hv))

define plugin_rules
$(call plugin_object,$(1),hv): $(1) $(NEWLIB) $(B)/plugin/nvme_io.h
	$$(call compile,PLUGIN,$$(HV_CFLAGS) -I$(B)/plugin)
$(call plugin_object,$(1),host): $(1) $(B)/plugin/nvme_io.h
	$$(call compile,HOSTCC,$$(HOST_CFLAGS) -I$(B)/plugin)
$(call plugin_object,$(1),fuzz): $(1) $(B)/plugin/nvme_io.h
	$$(call compile,FUZZCC,$$(FUZZ_CFLAGS) -I$(B)/plugin)
$(call plugin_object,$(1),tsan): $(1) $(B)/plugin/nvme_io.h
	$$(call compile,TSANCC,$$(TSAN_CFLAGS) -I$(B)/plugin)
endef
ifneq ($(words $(PLUGINS)),$(words $(sort $(notdir $(PLUGINS)))))
$(error two plug-ins have files of the same name: $(PLUGINS))
endif
# Those left out are there for tests, but for one that is taken from outside.
OTHER_PLUGINS := $(filter-out $(addprefix %/,$(notdir $(PLUGINS))),\
	$(wildcard drivers/nvme/interceptors/*.c))
$(foreach path,$(PLUGINS) $(OTHER_PLUGINS),\
	$(eval $(call plugin_rules,$(path))))

# The one leaf that computes with SSE registers, and the one that keeps them
# for the guest: neither may be taken apart by the optimizer of the whole.
XTS := plugins/crypt_xts.o
$(B)/hv/$(XTS): private HV_CFLAGS := $(filter-out -mgeneral-regs-only,\
	$(HV_CFLAGS)) -fno-lto -msse2 -maes
$(B)/hv/plugins/crypt_sse.o: private HV_CFLAGS += -fno-lto
$(B)/host/$(XTS): private HOST_CFLAGS += -maes
$(B)/tsan/$(XTS): private TSAN_CFLAGS += -maes
$(B)/fuzz/$(XTS): private FUZZ_CFLAGS += -maes

$(B)/plugin/nvme_io.h: include/nvme_io.h
	mkdir -p $(@D) && cp $< $@

# Relink when another set of files is asked for.
$(B)/hv/objects: FORCE
	mkdir -p $(@D)
	echo '$(HV_OBJECTS)' | cmp -s - $@ || echo '$(HV_OBJECTS)' >$@

define link_elf
	$(call say,LD,$@)
	$(CC) $(HV_CFLAGS) -nostdlib -static-pie \
		-Wl,-T,core/sluice.ld,--gc-sections \
		-Wl,--no-dynamic-linker,-z,text,-z,norelro,-z,noexecstack \
		-Wl,-z,max-page-size=4096,--build-id=none,--fatal-warnings \
		-Wl,-Map,$@.map -o $@.tmp $(1) $(NEWLIB) -lgcc
	tools/check-elf.sh $@.tmp
	mv $@.tmp $@
endef

$(B)/sluice.elf: $(HV_OBJECTS) $(NEWLIB) core/sluice.ld $(B)/hv/objects
	$(call link_elf,$(HV_OBJECTS))

# ---- The loader, with the hypervisor in it --------------------------------

BOOT_OBJECTS := $(patsubst %,$(B)/%.o,\
	$(basename $(wildcard boot/*.c boot/*.S)))

$(B)/boot/%.o: boot/%.c $(NEWLIB) | $(B)/boot/version.h
	$(call compile,CC,$(EFI_CFLAGS) -Iinclude -I$(B)/boot)

$(B)/boot/%.o: boot/%.S $(B)/boot/payload.elf
	$(call compile,AS,-DEMBEDDED_ELF='"$(@D)/payload.elf"')

$(B)/boot/payload.elf: $(B)/sluice.elf
	mkdir -p $(@D)
	strip --strip-all -o $@ $<

$(B)/boot/version.h: FORCE
	mkdir -p $(@D)
	echo '#define SLUICE_VERSION "$(VERSION)"' | cmp -s - $@ || \
		echo '#define SLUICE_VERSION "$(VERSION)"' >$@

# gnu-efi's start-up code runs no constructors and knows one table of
# relocations, and a constructor brings another. The library has one, and
# does without.
$(B)/boot/libnettle.a: $(shell $(CC) -print-file-name=libnettle.a)
	mkdir -p $(@D)
	objcopy -R .init_array -R .rela.init_array $< $@

define link_efi
	$(call say,LD,$@)
	$(CC) -nostdlib -shared -Wl,-Bsymbolic,-z,defs \
		-Wl,-z,noexecstack,--build-id=none,--no-warn-rwx-segments \
		-Wl,-T,/usr/lib/elf_x86_64_efi.lds -Wl,-e,_start -o $@ \
		/usr/lib/crt0-efi-x86_64.o $(1) -lefi -lgnuefi \
		$(B)/boot/libnettle.a $(NEWLIB)
	! readelf -SW $@ | grep -E 'NOBITS|init_array'
endef

define make_efi
	$(call say,EFI,$@)
	objcopy -j .text -j .sdata -j .data -j .dynamic -j .dynsym -j .rel \
		-j .rela -j .rel.* -j .rela.* -j .reloc \
		--target=efi-app-x86_64 --subsystem=10 $< $@
endef

$(B)/boot/sluice.so: $(BOOT_OBJECTS) $(B)/boot/libnettle.a
	$(call link_efi,$(BOOT_OBJECTS))

$(B)/sluice.efi: $(B)/boot/sluice.so
	$(call make_efi)

# ---- The test build: Sluice in a machine with test devices -------------------
# What the devices are in the way of - config cycles, registers, the clock -
# goes by another name there, and theirs call it. Nothing else differs.

DEVICE_SOURCES := $(wildcard tests/device/*.c) tests/unit/fake_gpt.c \
	tests/unit/fake_nvme.c tests/unit/fake_nvme_command.c
BEHIND_DEVICES := core/clock core/mmio core/pci_config
TEST_OBJECTS := $(filter-out $(BEHIND_DEVICES:%=$(B)/hv/%.o),$(HV_OBJECTS)) \
	$(BEHIND_DEVICES:%=$(B)/test/%.o) $(DEVICE_SOURCES:%.c=$(B)/test/%.o)
RENAMED := clock_now_us mmio_read mmio_write mmio_read32 mmio_write32 \
	pci_config_read pci_config_write

$(B)/test/core/%.o: core/%.c $(NEWLIB)
	$(call compile,CC,$(HV_CFLAGS) -Iinclude -Icore \
		$(foreach name,$(RENAMED),-D$(name)=machine_$(name)))

$(B)/test/tests/%.o: tests/%.c $(NEWLIB)
	$(call compile,CC,$(HV_CFLAGS) -Itests/device -Iinclude)

$(B)/test/sluice.elf: $(TEST_OBJECTS) $(NEWLIB) core/sluice.ld $(B)/hv/objects
	$(call link_elf,$(TEST_OBJECTS))

$(B)/test/boot/payload.elf: $(B)/test/sluice.elf
	mkdir -p $(@D)
	strip --strip-all -o $@ $<

$(B)/test/boot/embed.o: boot/embed.S $(B)/test/boot/payload.elf
	$(call compile,AS,-DEMBEDDED_ELF='"$(@D)/payload.elf"')

TEST_BOOT_OBJECTS := $(filter-out %/embed.o,$(BOOT_OBJECTS)) \
	$(B)/test/boot/embed.o

$(B)/test/sluice.so: $(TEST_BOOT_OBJECTS) $(B)/boot/libnettle.a
	$(call link_efi,$(TEST_BOOT_OBJECTS))

$(B)/sluice-test.efi: $(B)/test/sluice.so
	$(call make_efi)

# ---- Payloads: a guest that looks at its machine ---------------------------

PAYLOAD_OBJECTS := $(patsubst %,$(B)/%.o,\
	$(basename $(wildcard tests/guest/*.c tests/guest/*.S)) \
	tests/unit/insn_trial)

$(B)/tests/%.o: tests/%.c $(NEWLIB)
	$(call compile,CC,$(EFI_CFLAGS) -Iinclude)

$(B)/tests/guest/%.o: tests/guest/%.S
	$(call compile,AS,)

$(B)/tests/payload.so: $(PAYLOAD_OBJECTS) $(B)/boot/libnettle.a
	$(call link_efi,$(PAYLOAD_OBJECTS))

$(B)/payload.efi: $(B)/tests/payload.so
	$(call make_efi)

# One that writes versions until the power fails.
JOURNAL_OBJECTS := $(patsubst %.c,$(B)/%.o,$(wildcard tests/journal/*.c)) \
	$(B)/tests/guest/serial.o

$(B)/tests/journal/%.o: tests/journal/%.c $(NEWLIB)
	$(call compile,CC,$(EFI_CFLAGS) -Iinclude)

$(B)/tests/journal.so: $(JOURNAL_OBJECTS) $(B)/boot/libnettle.a
	$(call link_efi,$(JOURNAL_OBJECTS))

$(B)/journal.efi: $(B)/tests/journal.so
	$(call make_efi)

PAYLOADS := $(B)/payload.efi $(B)/sluice-test.efi $(B)/journal.efi

# ---- sluicectl: static, so that it runs in any Linux -----------------------

CTL_CFLAGS = -std=gnu11 -O2 -g $(WARN) -Iinclude -I$(B)/boot \
	-Idrivers/nvme/interceptors
CTL_OBJECTS := $(patsubst %.c,$(B)/%.o,$(wildcard tools/sluicectl/*.c))

$(B)/tools/%.o: tools/%.c | $(B)/boot/version.h
	$(call compile,CC,$(CTL_CFLAGS))

$(B)/sluicectl: $(CTL_OBJECTS)
	$(call say,LD,$@)
	$(CC) -static -o $@ $^ -ljansson -lm

# ---- Tests -----------------------------------------------------------------
# The archive holds the code under test before the doubles (fake_*.c): a
# double is linked where the real thing is not pure, or when a test names it.

PURE := $(wildcard boot/config.c boot/image.c boot/last_words.c boot/ram.c \
	boot/sealed.c \
	core/acpi.c core/aml.c core/ioport.c core/pci_bus.c core/pci_route.c \
	core/pool.c core/settings.c core/sleep.c core/timer.c core/x86/insn.c \
	core/x86/insn_cache.c \
	core/x86/insn_emulate.c \
	drivers/*.c drivers/nvme/*.c)
# These are machines beside fake_machine.c, never both.
MACHINES := apic cpus iommu pci smp svm vmx
FAKES := $(filter-out $(MACHINES:%=tests/unit/fake_%.c),\
	$(wildcard tests/unit/fake_*.c))
HOST_OBJECTS := $(patsubst %.c,$(B)/host/%.o,$(PURE) $(FAKES))
UNIT_TESTS := $(patsubst tests/unit/%.c,$(B)/host/%,\
	$(wildcard tests/unit/*_test.c))

# NAME_test_EXTRA: objects that test links before the archive.
host_plugins = $(foreach path,$(call plugin_paths,$(1)),\
	$(call plugin_object,$(path),host))
host_fakes = $(foreach name,$(1),$(B)/host/tests/unit/fake_$(name).o)
host_core = $(foreach name,$(1),$(B)/host/core/$(name).o)
gate_test_EXTRA = $(call host_plugins,gate) $(call host_fakes,nvme_io)
gate_command_test_EXTRA = $(gate_test_EXTRA)
gate_table_test_EXTRA = $(gate_test_EXTRA)
gate_control_test_EXTRA = $(gate_test_EXTRA)
trace_test_EXTRA = $(call host_plugins,trace) $(call host_fakes,nvme_io)
trace_ring_test_EXTRA = $(trace_test_EXTRA)
pci_test_EXTRA = $(call host_core,pci pci_bus pci_config \
	pci_route pci_trap) $(call host_fakes,pci)
pci_move_test_EXTRA = $(pci_test_EXTRA)
amdvi_test_EXTRA = $(call host_core,iommu/iommu iommu/amdvi iommu/vtd \
	x86/pagetable) $(call host_fakes,iommu)
vtd_test_EXTRA = $(amdvi_test_EXTRA)
page_test_EXTRA = $(call host_core,page) $(call host_fakes,panic)
pool_test_EXTRA = $(page_test_EXTRA)
console_test_EXTRA = $(call host_core,console)
log_test_EXTRA = $(call host_core,log)
gmem_test_EXTRA = $(call host_core,x86/gmem)
mmio_test_EXTRA = $(call host_core,mmio) $(call host_fakes,panic)
mmio_threads_test_EXTRA = $(call host_core,mmio)
cpu_test_EXTRA = $(page_test_EXTRA) $(call host_core,x86/cpu)
slat_test_EXTRA = $(call host_core,x86/slat x86/pagetable)
paging_test_EXTRA = $(page_test_EXTRA) \
	$(call host_core,x86/paging x86/pagetable)
$(foreach name,pagetable mtrr linear irq emulate vt,\
	$(eval $(name)_test_EXTRA = $(call host_core,x86/$(name))))
site_test_EXTRA = $(call host_core,mmio x86/emulate x86/linear x86/site)
svm_test_EXTRA = $(call host_fakes,svm) $(call host_core,\
	x86/svm x86/svm_event x86/svm_hide x86/svm_redirect \
	x86/svm_state x86/svm_step x86/segment)
svm_event_test_EXTRA = $(svm_test_EXTRA)
apic_test_EXTRA = $(call host_fakes,apic) $(call host_core,x86/apic)
apic_command_test_EXTRA = $(apic_test_EXTRA)
smp_test_EXTRA = $(call host_fakes,smp) $(call host_core,x86/smp)
smp_startup_test_EXTRA = $(smp_test_EXTRA)
insn_oracle_test_EXTRA = $(B)/host/tests/unit/insn_trial.o
vmx_test_EXTRA = $(call host_fakes,panic vmx) $(call host_core,\
	x86/vmx x86/vmx_control x86/vmx_dump \
	x86/vmx_event x86/vmx_hide x86/vmx_state x86/vmx_timer)
vmx_event_test_EXTRA = $(vmx_test_EXTRA)
startup_threads_test_EXTRA = $(call host_fakes,cpus) \
	$(call host_core,x86/apic x86/apic_page x86/smp)
partition_test_EXTRA = $(call host_fakes,nvme_io)
selector_test_EXTRA = $(call host_fakes,nvme_io)
# The driver as a whole: nobody calls it, its attach() is in a section.
$(foreach name,hub queue dptr sgl length admin namespace ctrl plug chain \
	own direct dbbuf hmb control threads hostile bounce clear,\
	$(eval $(name)_test_EXTRA = $(B)/host/drivers/nvme/attach.o))
crypt_xts_test_EXTRA = $(filter %xts.o %sse.o,$(call host_plugins,crypt))
sealed_test_LIBS = -l:libnettle.a
crypt_test_EXTRA = $(call host_plugins,crypt) \
	$(B)/host/drivers/nvme/attach.o $(B)/host/drivers/nvme/io.o
fault_test_EXTRA = $(call host_plugins,fault) \
	$(B)/host/drivers/nvme/attach.o $(B)/host/drivers/nvme/io.o
overlay_host_test_EXTRA = $(overlay_test_EXTRA)
overlay_log_test_EXTRA = $(filter %_log.o %_space.o,\
	$(call host_plugins,overlay))
overlay_power_test_EXTRA = $(call host_plugins,overlay) \
	$(call host_fakes,power world)
overlay_store_test_EXTRA = $(overlay_test_EXTRA)
overlay_test_EXTRA = $(call host_plugins,overlay) \
	$(B)/host/drivers/nvme/attach.o $(B)/host/drivers/nvme/io.o
gate_image_test_EXTRA = $(gate_threads_test_EXTRA)
gate_threads_test_EXTRA = $(call host_plugins,gate) \
	$(B)/host/drivers/nvme/attach.o $(B)/host/drivers/nvme/io.o

$(B)/host/%.o: %.c
	$(call compile,HOSTCC,$(HOST_CFLAGS) $(HOST_INCLUDE))

$(B)/host/libsluice.a: $(HOST_OBJECTS)
	rm -f $@
	ar rcs $@ $^

$(B)/host/%_test: $(B)/host/tests/unit/%_test.o \
		$(B)/host/tests/unit/test_main.o $$($$*_test_EXTRA) \
		$(B)/host/libsluice.a
	$(call say,HOSTLD,$@)
	$(CC) -fsanitize=address,undefined -o $@ $^ $($*_test_LIBS)

# The test beside PLUGIN, with the driver; each TEST() in its own process.
ifneq ($(PLUGIN),)
PLUGIN_TEST := $(B)/host/$(basename $(notdir $(PLUGIN)))_test

$(PLUGIN_TEST): $(B)/host/$(PLUGIN:.c=_test.o) \
		$(call plugin_object,$(PLUGIN),host) \
		$(addprefix $(B)/host/,tests/unit/test_main.o \
		drivers/nvme/attach.o drivers/nvme/io.o libsluice.a)
	$(call say,HOSTLD,$@)
	$(CC) -fsanitize=address,undefined -o $@ $^

plugin-test: $(PLUGIN_TEST)
	for name in $$($< --list); do $< $$name || exit 1; done
endif

# Threads as CPUs once more, with ThreadSanitizer.
TSAN_TESTS := $(patsubst tests/unit/%_test.c,$(B)/tsan/%_tsan,\
	$(wildcard tests/unit/*threads_test.c))

$(B)/tsan/%.o: %.c
	$(call compile,TSANCC,$(TSAN_CFLAGS) $(HOST_INCLUDE))

$(B)/tsan/libsluice.a: $(HOST_OBJECTS:$(B)/host/%=$(B)/tsan/%)
	rm -f $@
	ar rcs $@ $^

$(B)/tsan/%_tsan: $(B)/tsan/tests/unit/%_test.o \
		$(B)/tsan/tests/unit/test_main.o \
		$$(subst $(B)/host/,$(B)/tsan/,$$($$*_test_EXTRA)) \
		$(B)/tsan/libsluice.a
	$(call say,TSANLD,$@)
	$(CC) -fsanitize=thread -o $@ $^

# libFuzzer on the same code and doubles. Without clang its tests are skipped.
CLANG ?= clang
FUZZ_CFLAGS = $(HOST) -Wno-error -fno-sanitize-recover=undefined \
	-fsanitize=fuzzer-no-link,address,undefined
FUZZ_NAMES := $(patsubst tests/fuzz/%_fuzz.c,%,$(wildcard tests/fuzz/*_fuzz.c))
FUZZ_PROGRAMS := $(FUZZ_NAMES:%=$(B)/fuzz/%_fuzz)
FUZZ_TESTS := $(if $(shell command -v $(CLANG)),$(FUZZ_PROGRAMS))
FUZZ_SECONDS ?= 60
FUZZ ?= $(FUZZ_NAMES)

selector_fuzz_EXTRA = $(B)/fuzz/tests/unit/fake_nvme_io.o
sealed_fuzz_LIBS = -l:libnettle.a
lines_fuzz_EXTRA = $(B)/fuzz/drivers/nvme/attach.o \
	$(B)/fuzz/drivers/nvme/io.o $(subst $(B)/host/,$(B)/fuzz/,\
	$(call host_plugins,fault) $(call host_plugins,crypt))
$(foreach name,registers commands gate control,$(eval $(name)_fuzz_EXTRA = \
	$(B)/fuzz/drivers/nvme/attach.o $(B)/fuzz/drivers/nvme/io.o \
	$(B)/fuzz/tests/fuzz/guest.o))
gate_fuzz_EXTRA += $(subst $(B)/host/,$(B)/fuzz/,$(call host_plugins,gate))
overlay_fuzz_EXTRA = $(subst $(B)/host/,$(B)/fuzz/,\
	$(filter %map.o %pages.o,$(call host_plugins,overlay)))
control_fuzz_EXTRA += $(subst $(B)/host/,$(B)/fuzz/,\
	$(call host_plugins,gate) $(call host_plugins,trace))

$(B)/fuzz/%: CC = $(CLANG)
$(B)/fuzz/%.o: %.c
	$(call compile,FUZZCC,$(FUZZ_CFLAGS) $(HOST_INCLUDE))

$(B)/fuzz/libsluice.a: $(HOST_OBJECTS:$(B)/host/%=$(B)/fuzz/%)
	rm -f $@
	ar rcs $@ $^

$(B)/fuzz/%_fuzz: $(B)/fuzz/tests/fuzz/%_fuzz.o $$($$*_fuzz_EXTRA) \
		$(B)/fuzz/libsluice.a
	$(call say,FUZZLD,$@)
	$(CC) -fsanitize=fuzzer,address,undefined -o $@ $^ $($*_fuzz_LIBS)

# What is found lands in build/fuzz, what is learned in build/fuzz/corpus.
fuzz: $(FUZZ:%=$(B)/fuzz/%_fuzz)
	for name in $(FUZZ); do mkdir -p $(B)/fuzz/corpus/$$name && \
		$(B)/fuzz/$${name}_fuzz -max_total_time=$(FUZZ_SECONDS) \
		-artifact_prefix=$(B)/fuzz/$$name- \
		$(B)/fuzz/corpus/$$name $$(find tests/fuzz/seeds/$$name \
		-maxdepth 0 2>/dev/null) || exit 1; done

PYTEST = $(PYTHON) -m pytest -o cache_dir=$(B)/pytest
# As many at once; PYTEST_FLAGS="-n 0": one after the other.
SYSTEM_PYTEST = $(PYTEST) -n 2 --durations=10 $(PYTEST_FLAGS)

unit: $(UNIT_TESTS) $(TSAN_TESTS) $(B)/sluicectl
	$(PYTEST) -q $(PYTEST_FLAGS) tests/unit

system: all guests $(PAYLOADS)
	$(SYSTEM_PYTEST) -v tests/system

test-bochs: all guests $(PAYLOADS)
	$(SYSTEM_PYTEST) -v tests/system/test_bochs.py \
		tests/system/test_payloads.py -k bochs

test: deps
	$(MAKE) all guests $(PAYLOADS) $(UNIT_TESTS) $(TSAN_TESTS) $(FUZZ_TESTS)
	$(SYSTEM_PYTEST) tests

# Where this fails, the tests that need them say so.
guests:
	-$(PYTHON) tools/kernel.py
	-$(PYTHON) tools/backports.py

bench:
	tools/deps.sh gnuplot-nox
	$(MAKE) all
	$(PYTHON) tests/bench/bench.py

run: deps
	$(MAKE) all
	SLUICE_TEST_BUILD=$(abspath $(B)) $(PYTHON) tools/run.py \
		$(if $(PLUGIN),--conf $(PLUGIN:.c=.conf)) $(if $(DO),--do '$(DO)')

deps:
	tools/deps.sh

# ---- Housekeeping ----------------------------------------------------------

C_FILES = $(shell git ls-files '*.c' '*.h')

format:
	clang-format -i $(C_FILES)

lint:
	$(PYTHON) tools/lint.py

clean:
	find $(B) -mindepth 1 -maxdepth 1 ! -name newlib ! -name kernel \
		-exec rm -rf {} + 2>/dev/null || true

.SECONDARY:
-include $(shell find $(B)/hv $(B)/boot $(B)/test $(B)/tests $(B)/tools $(B)/host \
	$(B)/tsan $(B)/fuzz \
	-name '*.d' 2>/dev/null)
