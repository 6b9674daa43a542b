"""The manual pages, the shell completion and the service unit, held against the program itself."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from peers.daemon import REPOSITORY, binary

CONF = REPOSITORY / "conf"
COMMANDS = CONF / "man" / "stsrelay.1"
SETTINGS = CONF / "man" / "stsrelay.yaml.5"
BY_DOMAIN = ("tls_policy.domains", "reports.domains", "queue.domains", "queue.users",
             "delivery.domains")


def run(*command, **options) -> subprocess.CompletedProcess:
    return subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          timeout=60, **options)


def help_of(*command: str) -> str:
    return run(binary(), *command, "--help").stdout


def subcommands(*command: str) -> list[str]:
    listed = re.search(r"^Subcommands:\n((?: .*\n)*)", help_of(*command), re.M)
    return re.findall(r"^ {1,4}([a-z][a-z-]*)", listed[1], re.M) if listed else []


def all_commands(*above: str) -> list[tuple[str, ...]]:
    """Every subcommand that does something."""
    below = subcommands(*above)
    # In brackets: it does something without one, too.
    alone = not below or "[SUBCOMMAND]" in help_of(*above)
    return [above] * alone + [leaf for name in below for leaf in all_commands(*above, name)]


def options(*command: str) -> set[str]:
    return set(re.findall(r"^ {2}(?:-\w,)?--([a-z][a-z-]*)", help_of(*command), re.M))


def example(uncommented: bool) -> dict:
    """The shipped file; uncommented: with its optional settings."""
    text = (CONF / "relay.yaml").read_text()
    if uncommented:
        text = re.sub(r'(^|\n)#( *- |  +)?([a-z0-9_.*"]+:)', r"\1\2\3", text)
        text = re.sub(r"\nroutes: \[\]|\n  domains: \{\}|\n  users: \{\}|\n(  )?dkim: \[\]|"
                      r"\n    client_rules: \[\]|\n    rewrite_senders: \[\]", "", text)
    return yaml.load(text, yaml.BaseLoader)


def flat(value, path: str = "") -> dict[str, str]:
    """Settings as the manual names them, with their values as it writes them."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return {key: item for entry in value for key, item in flat(entry, path).items()}
    if isinstance(value, dict) and path in BY_DOMAIN:
        value = {key: item for entry in value.values() for key, item in entry.items()}
    if not isinstance(value, dict):
        return {path: (", ".join(value) if isinstance(value, list) else value) or "empty"}
    found = {}
    for key, item in value.items():
        found |= flat(item, f"{path}.{key}" if path else key)
    return found or {path: "empty"}


def documented() -> dict[str, str]:
    return dict(re.findall(r"^\.It Va (\S+) Pq (.+)$", SETTINGS.read_text(), re.M))


def test_every_setting_has_its_entry_and_no_other():
    with_options = flat(example(uncommented=True))
    defaults = flat(example(uncommented=False))
    assert set(documented()) == set(with_options) | set(defaults)
    assert len(documented()) > 80


def test_defaults_are_those_of_the_program():
    manual = documented()
    for key, value in flat(example(uncommented=False)).items():
        assert manual[key] == value, key


def test_every_subcommand_has_its_entry_and_no_other():
    entries = re.findall(r"^\.It Cm ((?:[a-z][a-z-]*(?: |$))+)", COMMANDS.read_text(), re.M)
    commands = {" ".join(command) for command in all_commands()}
    assert {entry.strip() for entry in entries} == commands
    assert {"run", "health", "queue list", "policy override"} <= commands


def test_every_option_has_its_entry_and_no_other():
    entries = re.findall(r"^\.It (Fl .*)$", COMMANDS.read_text(), re.M)
    named = {name for entry in entries for name in re.findall(r"Fl -([a-z][a-z-]*)", entry)}
    taken = options().union(*(options(*command) for command in all_commands()))
    assert named == taken


@pytest.mark.parametrize("page", [COMMANDS, SETTINGS], ids=lambda page: page.name)
def test_pages_are_clean(page):
    for command in (("mandoc", "-Tlint", "-Wwarning", page), ("man", "--warnings", "-l", page)):
        result = run(*command)
        assert result.returncode == 0 and not result.stderr, result
    assert not run("mandoc", "-Tlint", "-Wwarning", page).stdout


# --- completion -----------------------------------------------------------------------------------
def complete(*words: str, folder: Path) -> list[str]:
    """What bash would offer for the last of these words."""
    script = (f'source "{CONF}/completion/stsrelay.bash"; COMP_WORDS=("$@"); '
              'COMP_CWORD=$(($# - 1)); _stsrelay; printf "%s\\n" "${COMPREPLY[@]}"')
    result = run("bash", "-c", script, "bash", str(binary()), *words, cwd=folder)
    assert result.returncode == 0 and not result.stderr, result
    return result.stdout.split()


@pytest.mark.parametrize("words, offered", [
    (["qu"], ["queue"]),
    (["queue", "re"], ["release", "retry", "requeue", "remove", "resume"]),
    (["--v"], ["--version"]),
    (["queue", "list", "--se"], ["--sender"]),
    (["queue", "list", "--domain", "a.example", "--li"], ["--limit"]),
    (["policy", "override", "a.example", "--fi"], ["--fingerprint"]),
    (["run", "--config", "rel"], ["relay.yaml"]),
    (["report", "read", "rel"], ["relay.yaml"]),
    (["clients", "re"], ["release"]),
    (["clients", "release", "app1", "--ke"], ["--keep-messages"]),
    (["queue", "nothing-of-this-name"], [])])
def test_completion_offers(words, offered, tmp_path):
    (tmp_path / "relay.yaml").touch()
    assert complete(*words, folder=tmp_path) == offered


def test_completion_offers_every_subcommand_and_option(tmp_path):
    assert complete("", folder=tmp_path) == subcommands()
    for command in all_commands():
        offered = complete(*command, "--", folder=tmp_path)
        assert {word[2:] for word in offered} == options(*command), command


# --- the service ------------------------------------------------------------------------------------
@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_service_is_exposed_no_more_than_its_task_needs():
    # 15: an exposure of 1.5.
    result = run("systemd-analyze", "security", "--offline=true", "--threshold=15",
                 CONF / "deb" / "stsrelay.service")
    assert result.returncode == 0, result.stdout


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_units_are_understood(tmp_path):
    unit = (CONF / "deb" / "stsrelay.service").read_text()
    service = tmp_path / "stsrelay.service"
    service.write_text(unit.replace("/usr/bin/stsrelay", str(binary())))
    sockets = sorted((CONF / "deb").glob("*.socket"))
    assert len(sockets) == 4
    for socket in sockets:
        shutil.copy(socket, tmp_path)
    result = run("systemd-analyze", "verify", "--man=no", service,
                 *(tmp_path / socket.name for socket in sockets))
    assert result.returncode == 0 and "stsrelay" not in result.stderr, result
