"""Fixtures: a certificate authority per run, and worlds that are stopped and checked."""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from peers.ca import Authority
from peers.world import World
from software import missing


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """What tests/run installs must not be missed in silence where it could have been installed: a
    test without it fails, and is skipped only where nobody could."""
    for mark in item.iter_markers("needs"):
        absent = [module for module in mark.kwargs.get("modules", ())
                  if importlib.util.find_spec(module) is None]
        reason = missing(*mark.args) or (f"not installed: {', '.join(absent)}" if absent else "")
        if reason and os.geteuid() == 0 and shutil.which("apt-get"):
            pytest.fail(f"{reason}; tests/run installs it", pytrace=False)
        if reason:
            pytest.skip(reason)
        if mark.kwargs.get("root") and os.geteuid() != 0:
            pytest.skip(f"{mark.kwargs['root']} needs root")


@pytest.fixture(scope="session")
def authority() -> Iterator[Authority]:
    """In a folder of its own: pytest's are closed to the account that a daemon becomes."""
    folder = Path(tempfile.mkdtemp(prefix="stsrelay-ca-"))
    folder.chmod(0o755)
    yield Authority(folder)
    shutil.rmtree(folder)


def _close(worlds: list[World]) -> None:
    errors = []
    for world in worlds:
        try:
            world.close()
        except AssertionError as error:
            errors.append(str(error))
    assert not errors, "\n".join(errors)


@pytest.fixture
def make_world(authority, request):
    """Makes worlds; their daemons are stopped afterwards and must end without complaint."""
    worlds: list[World] = []

    def make(start: bool = True, **config) -> World:
        worlds.append(World(authority, config))
        return worlds[-1].start() if start else worlds[-1]

    yield make
    if request.node.stash.get(FAILED, False):
        for world in worlds:
            print(f"--- log of {world.folder}\n{world.daemon.text()[-12000:]}")
    _close(worlds)


@pytest.fixture
def world(make_world) -> World:
    """A running world of its own for one test."""
    return make_world()


@pytest.fixture(scope="module")
def shared_world(authority):
    """A running world for a table of rows that each use a domain of their own."""
    world = World(authority).start()
    yield world
    _close([world])


FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call" and outcome.get_result().failed:
        item.stash[FAILED] = True
