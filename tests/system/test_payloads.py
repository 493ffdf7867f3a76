# SPDX-License-Identifier: BSD-2-Clause
"""One table of payloads (tests/guest) on every machine there is."""
import re

import bochs
import pytest
from lab import BUILD, DISKS, config
from mkdisk import bootable

PAYLOAD = BUILD / "payload.efi"
NEXT = {"next": r"\EFI\test\payload.efi"}
TAP = re.compile(r"^(ok|not ok) \d+ - (.*)$", re.M)


def payload_disk(lab, name, **keys):
    assert PAYLOAD.exists(), f"no {PAYLOAD}: run make system"
    return bootable(DISKS / f"{name}.img", [],
                    {"EFI/BOOT/BOOTX64.EFI": lab.sluice_efi,
                     "EFI/sluice/sluice.conf": config(**NEXT, **keys),
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
    if cpus > 1:
        assert "SKIP one CPU" not in text


@pytest.mark.parametrize("cpus", [1, 2, 4])
@pytest.mark.parametrize("model", ["EPYC", "max"])
def test_in_qemu(lab, model, cpus):
    name = f"payloads-{model}-{cpus}"
    with lab.machine(name, payload_disk(lab, name), cpus=cpus,
                     cpu=f"{model},+svm,+npt") as system:
        system.machine.expect_end(120)
        check(system.machine.console.text, cpus)
        assert "AMD SVM" in system.machine.log.text


# Bochs 2.7 has a processor's INIT pending again after it has exited, so with
# more than one CPU commands are trapped there as in QEMU.
@pytest.mark.skipif(bochs.why_not(), reason=str(bochs.why_not()))
@pytest.mark.parametrize("model, cpus, apic, back_end", [
    (bochs.INTEL, 1, "auto", "Intel VMX"),
    (bochs.INTEL, 2, "trap", "Intel VMX"),
    (bochs.AMD, 1, "auto", "AMD SVM"),
    (bochs.AMD, 2, "trap", "AMD SVM"),
])
def test_in_bochs(lab, model, cpus, apic, back_end):
    name = f"payloads-{model}-{cpus}"
    run = bochs.run(name, payload_disk(lab, name, apic=apic), model, cpus)
    assert back_end in run.log, run.tail()
    check(run.console, cpus)
