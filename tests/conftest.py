"""What all tests share: where optional data is, and seeds that are never secret."""

import os
import secrets
from pathlib import Path

import numpy as np
import pytest
from published import DATA, DATA_REASON


@pytest.fixture(scope="session")
def shared() -> Path:
    """The directory of public models and recordings next to the checkout."""
    if not DATA.is_dir():
        pytest.skip(DATA_REASON)
    return DATA


@pytest.fixture
def seed() -> int:
    """Seed of this test's random choices, printed with a failure.

    ``MMSP_SEED`` sets it to reproduce one; ``MMSP_SEED=random`` draws a new one.
    """
    given = os.environ.get("MMSP_SEED", "1")
    value = secrets.randbits(32) if given == "random" else int(given)
    print(f"MMSP_SEED={value}")
    return value


@pytest.fixture
def rng(seed: int) -> np.random.Generator:
    """Random numbers from `seed`."""
    return np.random.default_rng(seed)
