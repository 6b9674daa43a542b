"""The conformance vectors as pytest parameters, each visible by its id."""

from __future__ import annotations

import pytest
import yaml

from .daemon import REPOSITORY

_FILE = REPOSITORY / "tests" / "data" / "sts-vectors.yaml"


def rows(section: str, *, later: dict[str, str] | None = None) -> list:
    """All rows of a section; those in later are skipped with the reason given there."""
    later = later or {}
    table = yaml.safe_load(_FILE.read_text(encoding="utf-8"))[section]
    return [
        pytest.param(row, id=row["id"], marks=(
            [pytest.mark.skip(reason=later[row["id"]])] if row["id"] in later else []))
        for row in table
    ]
