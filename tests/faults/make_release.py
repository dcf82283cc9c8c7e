"""Makes what tests/faults/releases keeps of a version, with whatever groundup Python finds:

    python tests/faults/make_release.py tests/faults/releases/0.1.0

A small run that was killed after its checkpoint of step 4, and what its best checkpoint says, in expected.json.
"""

import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

from groundup import verbs
from groundup.inference import SamplingSettings

SCRATCH = Path("/tmp/groundup-release")  # the same for all: paths are in the files
SETTINGS = {
    "data.tokenizer": "bytes",
    "model.layers": 1,
    "model.width": 16,
    "model.context": 16,
    "training.tokens_per_update": 128,
    "training.log_every": 2,
    "evaluation.every": 4,
    "evaluation.tokens": 300,
    "checkpoint.every": 4,
    "samples.max_new_tokens": 4,
    "device.precision": "float32",
    "device.compile": "off",
}
STEPS = 8
PROMPT = "The river"


def main(folder: Path) -> None:
    """Write the run and expected.json into `folder`."""
    draw = random.Random(0)
    words = ["river", "lantern", "garden", "engine", "letter", "winter", "harbor", "window"]
    shutil.rmtree(SCRATCH, ignore_errors=True)
    (SCRATCH / "documents").mkdir(parents=True)
    for number in range(4):
        text = " ".join(f"The {draw.choice(words)} is near the {draw.choice(words)}." for _ in range(12))
        (SCRATCH / "documents" / f"{number}.txt").write_text(text + "\n")
    run = SCRATCH / "run"

    def listen(event: Any) -> None:
        if getattr(event, "entry", {}).get("step") == 6:
            while not (run / "step-00000004").is_dir():
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)

    pid = os.fork()
    if not pid:
        verbs.train([SCRATCH / "documents"], out=run, steps=STEPS, settings=SETTINGS, listen=listen)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    (written,) = verbs.generate(run, [PROMPT], SamplingSettings(temperature=0, max_new_tokens=12))
    expected = {"loss": verbs.evaluate(run)["loss"], "prompt": PROMPT, "text": written.text, "steps": STEPS}
    for path in run.glob(".*"):
        path.unlink()
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(run, folder / "run", symlinks=True)
    (folder / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
