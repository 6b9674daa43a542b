"""The Debian package: made of an existing build, installed in a root of its own, used, and removed.

The root is an overlay over this system in a mount namespace: dpkg sees what is installed here, and
nothing of what it does outlives the namespace. The build is the one that holds the program under
test (STSRELAY_BIN).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
import yaml

from peers.daemon import REPOSITORY, binary, sanitized, wait_until
from software import find, missing

LATER = "99.0.0"
SETTINGS = "/etc/stsrelay/relay.yaml"
ABSENT = missing("cpack", "dpkg-deb", "dpkg-shlibdeps", "file")

pytestmark = pytest.mark.skipif(bool(ABSENT), reason=ABSENT)


def run(*command, check: bool = True, **options) -> subprocess.CompletedProcess:
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                            timeout=300, stdin=None if "input" in options else subprocess.DEVNULL,
                            **options)
    assert not check or result.returncode == 0, result
    return result


@pytest.fixture(scope="module")
def packages():
    """The package as it is, and once more with a higher version; each with stsrelay-mta beside it."""
    folder = Path(tempfile.mkdtemp(prefix="stsrelay-deb-"))
    recipe = binary().resolve().parent / "CPackConfig.cmake"
    made = []
    for name, options in (("now", []), ("later", ["-D", f"CPACK_PACKAGE_VERSION={LATER}"])):
        run("cpack", "--config", recipe, "-B", folder / name, *options, cwd=folder)
        made += list((folder / name).glob("stsrelay_*.deb"))
    assert len(made) == 2
    yield made
    shutil.rmtree(folder)


def mta(package: Path) -> Path:
    """The package stsrelay-mta that was made together with this one."""
    return next(package.parent.glob("stsrelay-mta_*.deb"))


class Root:
    """A copy of this system for dpkg; gone with its namespace."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="stsrelay-root-"))
        top = self.folder
        prepare = f"""
            set -e
            hostname relay.example.org
            mount -t tmpfs none {top}
            mkdir {top}/changes {top}/work {top}/root
            mount -t overlay none -o lowerdir=/,upperdir={top}/changes,workdir={top}/work {top}/root
            mount --rbind /proc {top}/root/proc
            mount --rbind /dev {top}/root/dev
            mount -t tmpfs none {top}/root/run
            echo ready
            exec sleep infinity"""
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "--uts", "--propagation", "private", "sh", "-c", prepare],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said = self._holder.stdout.readline()
        if said != "ready\n":
            self.close()
            if re.search("not permitted|permission denied", said, re.I):
                pytest.skip(f"no root of its own: {said}")
            raise AssertionError(f"no root of its own: {said}")

    def command(self, *words) -> list[str]:
        return ["nsenter", f"--target={self._holder.pid}", "--mount", "--uts", "chroot",
                f"{self.folder}/root", *map(str, words)]

    def run(self, *words, **options) -> subprocess.CompletedProcess:
        return run(*self.command(*words), **options)

    def dpkg(self, *words, **options) -> subprocess.CompletedProcess:
        return self.run("env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", "dpkg",
                        "--force-unsafe-io", *words, **options)

    def write(self, path: str, content: str) -> None:
        self.run("tee", path, input=content)

    def read(self, path: str) -> str:
        return self.run("cat", path).stdout

    def exists(self, path: str) -> bool:
        return self.run("test", "-e", path, check=False).returncode == 0

    def install(self, package: Path, **options) -> subprocess.CompletedProcess:
        return self.dpkg("--install", self.put(package), **options)

    def make_read_only(self, writable: str, owner: int) -> None:
        """All but one folder, which is then empty."""
        inside = f"{self.folder}/root"
        run("nsenter", f"--target={self._holder.pid}", "--mount", "sh", "-ec",
            f"mount -t tmpfs -o uid={owner},gid={owner},mode=0700 none {inside}{writable}; "
            f"mount -o remount,ro {inside}")

    def put(self, file: Path) -> str:
        """Copies a file in; its path there."""
        inside = f"/root/{file.name}"
        result = subprocess.run(self.command("tee", inside), input=file.read_bytes(),
                                stdout=subprocess.DEVNULL, timeout=60)
        assert result.returncode == 0
        return inside

    def close(self) -> None:
        self._holder.kill()
        self._holder.wait()
        self._holder.stdout.close()
        self.folder.rmdir()


@pytest.fixture
def root():
    if os.geteuid() != 0:
        pytest.skip("a root of its own needs root")
    made = Root()
    made.dpkg("--purge", "stsrelay-mta", "stsrelay", check=False)
    yield made
    made.close()


class Installed:
    """The daemon that the package brought, running as an account without any privilege."""

    def __init__(self, root: Root, log: Path, account: str = "stsrelay") -> None:
        self.root = root
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                root.command("setpriv", f"--reuid={account}", f"--regid={account}",
                             "--clear-groups", "--bounding-set=-all", "--no-new-privs",
                             "stsrelay", "run"),
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
        wait_until(self._ready, "the installed daemon to be ready", 60)

    def _ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return self.root.run("stsrelay", "health", check=False).returncode == 0

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        assert self.process.wait(60) == 0, self.log.read_text()


def names(package: Path) -> dict[str, str]:
    """What the package holds: path -> mode and owner."""
    lines = run("dpkg-deb", "--contents", package).stdout.splitlines()
    return {line.split()[5][1:]: " ".join(line.split()[:2]) for line in lines}


def test_package_holds_what_a_system_needs_and_nothing_to_build_with(packages):
    held = names(packages[0])
    for path, mode in {
            "/usr/bin/stsrelay": "-rwxr-xr-x", SETTINGS: "-rw-r--r--",
            "/usr/lib/systemd/system/stsrelay.service": "-rw-r--r--",
            **{f"/usr/lib/systemd/system/stsrelay-{name}.socket": "-rw-r--r--" for name in (
                "smtp", "submission", "submissions", "metrics")},
            "/usr/lib/sysusers.d/stsrelay.conf": "-rw-r--r--",
            "/usr/lib/tmpfiles.d/stsrelay.conf": "-rw-r--r--",
            "/usr/share/man/man1/stsrelay.1.gz": "-rw-r--r--",
            "/usr/share/man/man5/stsrelay.yaml.5.gz": "-rw-r--r--",
            "/usr/share/bash-completion/completions/stsrelay": "-rw-r--r--",
            "/usr/share/doc/stsrelay/copyright": "-rw-r--r--"}.items():
        assert held.get(path) == f"{mode} root/root", (path, held.get(path))
    assert not [path for path in held if path.endswith((".h", ".a", ".cmake"))]


def test_package_depends_on_the_libraries_and_asks_for_nothing_else(packages):
    fields = run("dpkg-deb", "--field", packages[0]).stdout
    depends = re.search(r"^Depends: (.*)$", fields, re.M)[1]
    for library in ("libssl3", "libevent-2.1-7", "libsqlite3-0", "libc6", "adduser"):
        assert library in depends, depends
    assert not re.search(r"\b(g\+\+|cmake|libdoctest|\S+-dev)\b", depends)
    assert not re.search(r"^(Provides|Conflicts|Replaces):", fields, re.M), "it sits beside an MTA"


@pytest.mark.skipif(bool(missing("lintian")), reason=missing("lintian"))
@pytest.mark.skipif(sanitized(), reason="a sanitizer's build is not for others")
def test_packages_pass_lintian(packages):
    result = run(find("lintian"), "--allow-root", "--tag-display-limit=0",
                 "--fail-on=error,warning", packages[0], mta(packages[0]), check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def configure(root: Root, world) -> str:
    """Gives the installed daemon the world's configuration, which is returned."""
    settings = yaml.safe_dump(world.config | {
        "queue": world.config["queue"] | {"path": "/var/lib/stsrelay"},
        "test_world": world.config["test_world"] | {"ca_file": "/etc/stsrelay/ca.pem"}})
    root.write("/etc/stsrelay/ca.pem", world.authority.ca_file.read_text())
    root.write(SETTINGS, settings)
    return settings


def test_package_lives_from_installation_to_purge(packages, root, make_world, tmp_path):
    world = make_world(start=False)
    now, later = packages

    root.install(now)
    status = root.dpkg("--status", "stsrelay").stdout
    assert "Status: install ok installed" in status
    assert root.run("stsrelay", "config", "check").stdout == f"{SETTINGS}: no errors\n"
    assert root.run("stat", "-c", "%U %a", "/var/lib/stsrelay").stdout == "stsrelay 700\n"
    assert root.exists("/etc/systemd/system/multi-user.target.wants/stsrelay.service")
    assert not root.exists("/etc/systemd/system/sockets.target.wants/stsrelay-smtp.socket")
    root.install(now)  # the scripts find done what they did

    settings = configure(root, world)
    daemon = Installed(root, tmp_path / "installed.log")
    try:
        mx = world.add_domain("installed.example", "enforce")
        busy = world.add_domain("busy.example", rules={"MAIL": "451 4.3.0 later"})
        world.send("x@installed.example")
        wait_until(lambda: mx.messages, "a message to be delivered")
        world.send("x@busy.example")
        wait_until(lambda: busy.sessions)

        root.install(later)
        assert f"Version: {LATER}" in root.dpkg("--status", "stsrelay").stdout
        assert root.read(SETTINGS) == settings, "a changed setting outlives an upgrade"
    finally:
        daemon.stop()
    busy.script.rules.clear()
    daemon = Installed(root, tmp_path / "upgraded.log")
    try:
        root.run("stsrelay", "queue", "retry", "--all")
        wait_until(lambda: busy.messages, "mail that waited through the upgrade")
    finally:
        daemon.stop()

    root.dpkg("--remove", "stsrelay")
    assert not root.exists("/usr/bin/stsrelay")
    assert root.read(SETTINGS) == settings and root.exists("/var/lib/stsrelay/spool.db")
    root.run("rm", "/etc/stsrelay/ca.pem")
    root.dpkg("--purge", "stsrelay")
    for path in ("/etc/stsrelay", "/var/lib/stsrelay",
                 "/etc/systemd/system/multi-user.target.wants/stsrelay.service"):
        assert not root.exists(path), path


def test_mta_package_holds_the_names_that_programs_know(packages):
    held = names(mta(packages[0]))
    contents = run("dpkg-deb", "--contents", mta(packages[0])).stdout
    for link, target in {"/usr/sbin/sendmail": "../bin/stsrelay",
                         "/usr/lib/sendmail": "../bin/stsrelay", "/usr/bin/newaliases": "true",
                         "/usr/share/man/man8/sendmail.8.gz": "../man1/stsrelay.1.gz",
                         "/usr/share/man/man1/mailq.1.gz": "stsrelay.1.gz"}.items():
        assert f".{link} -> {target}\n" in contents, contents
    assert held["/usr/bin/mailq"] == "-rwxr-xr-x root/root"
    assert "/usr/bin/stsrelay" not in held
    fields = run("dpkg-deb", "--field", mta(packages[0])).stdout
    for relation in ("Provides", "Conflicts", "Replaces"):
        assert f"{relation}: mail-transport-agent\n" in fields
    version = re.search(r"^Version: (.*)$", fields, re.M)[1]
    assert f"Depends: stsrelay (= {version})\n" in fields


def test_mta_package_takes_the_place_of_another_and_leaves_it(packages, root, make_world, tmp_path):
    world = make_world(start=False)
    now, later = packages
    root.install(now)
    if root.dpkg("--status", "postfix", check=False).returncode == 0:
        refused = root.install(mta(now), check=False)
        assert refused.returncode != 0 and "conflict" in refused.stderr, refused
        root.dpkg("--force-depends", "--remove", "postfix")
    root.install(mta(now))
    for name in ("/usr/sbin/sendmail", "/usr/lib/sendmail"):
        assert root.run("readlink", "-f", name).stdout == "/usr/bin/stsrelay\n"
    assert root.run("newaliases").returncode == 0
    configure(root, world)
    daemon = Installed(root, tmp_path / "mta.log")
    try:
        world.add_domain("busy.example", rules={"MAIL": "451 4.3.0 later"})
        world.send("x@busy.example")
        wait_until(lambda: "x@busy.example" in root.run("mailq").stdout)
        assert json.loads(root.run("mailq", "--json").stdout)["messages"]
    finally:
        daemon.stop()
    for package in (later, mta(later)):
        root.dpkg("--force-depends", "--unpack", root.put(package))
    root.dpkg("--configure", "stsrelay", "stsrelay-mta")
    assert f"Version: {LATER}" in root.dpkg("--status", "stsrelay-mta").stdout
    root.dpkg("--purge", "stsrelay-mta")
    assert not root.exists("/usr/sbin/sendmail") and not root.exists("/usr/bin/mailq")
    assert root.exists("/usr/bin/stsrelay")


def test_daemon_delivers_without_root_on_a_read_only_root(packages, root, make_world, tmp_path):
    """What the Containerfile promises of its image."""
    world = make_world(start=False)
    root.install(packages[0])
    configure(root, world)
    root.make_read_only("/var/lib/stsrelay", 65532)
    assert root.run("touch", "/etc/stsrelay/x", check=False).returncode != 0
    daemon = Installed(root, tmp_path / "contained.log", "65532")
    try:
        mx = world.add_domain("contained.example", "enforce")
        world.send("x@contained.example")
        wait_until(lambda: mx.messages, "a message to be delivered")
    finally:
        daemon.stop()


def test_containerfile_runs_without_root_and_checks_health():
    text = (REPOSITORY / "conf" / "container" / "Containerfile").read_text()
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    steps = [line.split(" ", 1) for line in lines if line and not line.startswith("#")]
    known = {"FROM", "RUN", "COPY", "WORKDIR", "VOLUME", "USER", "EXPOSE", "STOPSIGNAL",
             "HEALTHCHECK", "ENTRYPOINT", "CMD"}
    assert {word for word, _ in steps} <= known
    *_, last = (n for n, (word, _) in enumerate(steps) if word == "FROM")
    final = dict(steps[last:])
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", final["USER"])
    program, = json.loads(final["ENTRYPOINT"])
    assert json.loads(final["CMD"]) == ["run"]
    check = json.loads(final["HEALTHCHECK"].partition("CMD ")[2])
    assert check == [program, "health"]
    assert run(binary(), "health", "--help").stdout
    for script in (argument for word, argument in steps if word == "RUN"):
        run("sh", "-n", "-c", script)
