# SPDX-License-Identifier: BSD-2-Clause
# For the Makefile of a plug-in outside the tree. That says where the tree is
# (SLUICE), where `make` has been run once, and the plug-in's name (PLUGIN):
# $(PLUGIN).c, and beside it $(PLUGIN)_test.c. All that is made is in build/.
#
#	make		build/sluice.efi, with this plug-in
#	make test	each TEST() of $(PLUGIN)_test.c, on this machine
#	make run	a guest in QEMU; DO='COMMAND': only that, and the end
#
# $(PLUGIN).conf, where there is one, is added to the guest's sluice.conf.

NEWLIB := $(SLUICE)/build/newlib
TREE = $(MAKE) --no-print-directory -C $(SLUICE) B=$(CURDIR)/build \
	PLUGIN=$(CURDIR)/$(PLUGIN).c
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif

.PHONY: all test run clean
all test run: build/newlib

all:
	@+$(TREE)
test:
	@+$(TREE) plugin-test
run:
	@+$(TREE) run

build/newlib:
	@test -d $(NEWLIB) || { echo 'make -C $(SLUICE) comes first'; false; }
	@mkdir -p build && ln -sfn $(NEWLIB) $@
clean:
	rm -rf build
