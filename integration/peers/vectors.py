"""The conformance vectors as pytest parameters, each visible by its id."""

from __future__ import annotations

from collections.abc import Collection

import pytest
import yaml

from .daemon import REPOSITORY

_FILE = REPOSITORY / "tests" / "data" / "sts-vectors.yaml"


def sections() -> dict[str, list[dict]]:
    return yaml.safe_load(_FILE.read_text(encoding="utf-8"))


def rows(section: str, *, but: Collection[str] = ()) -> list:
    """All rows of a section but those that tests of another name show."""
    return [pytest.param(row, id=row["id"]) for row in sections()[section]
            if row["id"] not in but]
