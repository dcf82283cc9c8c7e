"""Makes the helper beside it and the scripts of docs/ importable: neither is a package."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2] / "docs")]


@pytest.fixture(scope="session")
def examples() -> ModuleType:
    """docs/make_examples.py."""
    import make_examples

    return make_examples
