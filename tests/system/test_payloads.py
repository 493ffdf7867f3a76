# SPDX-License-Identifier: BSD-2-Clause
"""One table of payloads (tests/guest) on every machine there is."""
import re

import bochs
import pytest
from lab import BUILD, DISKS, config
from mkdisk import bootable

PAYLOAD = BUILD / "payload.efi"
# Sluice with test devices: a trapped region, and an NVMe controller.
SLUICE = BUILD / "sluice-test.efi"
GATE = ("ro PARTLABEL=readonly", "none PARTLABEL=hidden")
KEYS = {"next": r"\EFI\test\payload.efi", "memory": 64}
TAP = re.compile(r"^(ok|not ok) \d+ - (.*)$", re.M)
DEADLINE = 600          # seconds; a quiet machine takes a tenth
# By the number of CPUs, so that each machine sees both paths.
COMPLETIONS = {1: "auto", 2: "relayed", 4: "auto"}


def payload_disk(name, cpus, **keys):
    for path in (PAYLOAD, SLUICE):
        assert path.exists(), f"no {path}: run make system"
    return bootable(DISKS / f"{name}.img", [],
                    {"EFI/BOOT/BOOTX64.EFI": SLUICE,
                     "EFI/sluice/sluice.conf": config(
                         *GATE, completions=COMPLETIONS[cpus], **KEYS, **keys),
                     "EFI/test/payload.efi": PAYLOAD})


def check(text, cpus):
    """What a payload run has printed; true of all machines."""
    plan = re.search(r"^1\.\.(\d+)\s*$", text, re.M)
    assert plan, text[-2000:]
    results = TAP.findall(text.replace("\r", ""))
    failed = [line for line in text.splitlines()
              if line.startswith(("not ok", "#"))]
    assert [r for r in results if r[0] != "ok"] == [], "\n".join(failed)
    assert len(results) == int(plan[1]), text[-2000:]
    assert "SKIP no test device" not in text
    if cpus > 1:
        assert "SKIP one CPU" not in text


@pytest.mark.parametrize("cpus", [1, 2, 4])
@pytest.mark.parametrize("model", ["EPYC", "max"])
def test_in_qemu(lab, model, cpus):
    name = f"payloads-{model}-{cpus}"
    with lab.machine(name, payload_disk(name, cpus), cpus=cpus,
                     cpu=f"{model},+svm,+npt") as system:
        system.machine.expect_end(DEADLINE)
        check(system.machine.console.text, cpus)
        assert "AMD SVM" in system.machine.log.text


# Bochs 2.7 has a processor's INIT pending again after it has exited, so with
# more than one CPU commands are trapped there as in QEMU.
@pytest.mark.skipif(bochs.why_not(), reason=str(bochs.why_not()))
@pytest.mark.parametrize("model, cpus, apic, back_end", [
    (bochs.INTEL, 1, "auto", "Intel VMX"),
    (bochs.INTEL, 2, "trap", "Intel VMX"),
    (bochs.INTEL, 4, "trap", "Intel VMX"),
    (bochs.AMD, 1, "auto", "AMD SVM"),
    (bochs.AMD, 2, "trap", "AMD SVM"),
    (bochs.AMD, 4, "trap", "AMD SVM"),
])
def test_in_bochs(lab, model, cpus, apic, back_end):
    name = f"payloads-{model}-{cpus}"
    run = bochs.run(name, payload_disk(name, cpus, apic=apic), model, cpus,
                    DEADLINE)
    assert back_end in run.log, run.tail()
    check(run.console, cpus)
