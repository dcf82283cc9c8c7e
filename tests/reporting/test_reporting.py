import subprocess
import sys

import groundup.reporting


def test_importing_the_room_loads_neither_matplotlib_nor_rich_nor_torch():
    program = "import sys, groundup.reporting; print(sorted({'matplotlib', 'rich', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_every_public_name_can_be_had():
    for name in groundup.reporting.__all__:
        assert callable(getattr(groundup.reporting, name)), name
