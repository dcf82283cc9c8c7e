"""What is known of a machine, and what is asked of its allocator."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import torch
from groundup.parallel.machine import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def use():
    kept = [torch.ones(4 << 20) for _ in range(4)]  # 16 MB each
use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc that gives freed memory back")
def test_memory_that_is_asked_for_again_is_not_mapped_again() -> None:
    def faults(how: str) -> int:
        done = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert 4 * faults("keep") < faults("usual")
