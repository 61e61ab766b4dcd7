"""Fixtures of the end-to-end tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from models import ModelUnderTest, model_file


@pytest.fixture(scope="session")
def models_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all processes of a parallel run."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture
def model(request: pytest.FixtureRequest, models_folder: Path) -> ModelUnderTest:
    """The model that a test is parametrized with."""
    return ModelUnderTest(request.param, model_file(request.param, models_folder))
