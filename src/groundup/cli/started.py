"""The moment the command began: `--minutes` counts from here, before anything heavy is imported."""

import time

STARTED = time.monotonic()
