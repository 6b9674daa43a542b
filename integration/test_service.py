"""What the service manager, containers and monitoring see of the daemon."""

import json
import re
import shutil
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml

from peers.daemon import REPOSITORY, wait_until
from peers.network import free_port

MONITORING = REPOSITORY / "conf" / "monitoring"


# --- the service manager --------------------------------------------------------------------------
class Manager:
    """The socket on which a service manager hears from its service."""

    def __init__(self, world, **environment: str) -> None:
        path = world.folder / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        world.daemon.environment |= {"NOTIFY_SOCKET": str(path), **environment}

    def hear(self, seconds: float = 20) -> list[str]:
        """The next datagram's lines; none: it stays silent for so long."""
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(4096).decode().splitlines()
        except TimeoutError:
            return []

    def hear_until(self, line: str) -> list[str]:
        """All lines up to this one."""
        heard = []
        while line not in heard:
            lines = self.hear()
            assert lines, f"{line} is missing after {heard}"
            heard += lines
        return heard

    def empty(self) -> None:
        self.socket.setblocking(False)
        try:
            while True:
                self.socket.recv(4096)
        except BlockingIOError:
            pass


@pytest.fixture
def managed(make_world):
    world = make_world(start=False)
    manager = Manager(world)
    yield world, manager
    manager.socket.close()


def test_service_manager_hears_of_start_reload_and_stop(managed):
    world, manager = managed
    world.start()
    assert manager.hear_until("READY=1") == ["READY=1"]
    with socket.create_connection(world.listener, 5):
        pass
    world.daemon.signal(signal.SIGHUP)
    first, moment, last = manager.hear_until("READY=1")
    assert (first, last) == ("RELOADING=1", "READY=1")
    assert re.fullmatch(r"MONOTONIC_USEC=\d+", moment)
    world.daemon.stop()
    assert manager.hear_until("STOPPING=1") == ["STOPPING=1"]


def test_refused_reload_is_over_for_the_service_manager_too(managed):
    world, manager = managed
    world.start()
    manager.hear_until("READY=1")
    world.config_file.write_text("hostname: [\n")
    assert world.daemon.run("config", "reload", "--socket",
                            f"{world.config['queue']['path']}/control.sock").returncode == 1
    assert manager.hear_until("READY=1")[0] == "RELOADING=1"


def test_watchdog_hears_of_a_living_daemon_and_not_of_a_hanging_one(make_world):
    world = make_world(start=False)
    manager = Manager(world, WATCHDOG_USEC="1000000")
    world.start()
    manager.hear_until("READY=1")
    for _ in range(3):
        manager.hear_until("WATCHDOG=1")
    world.daemon.signal(signal.SIGSTOP)
    try:
        tasks = Path(f"/proc/{world.daemon.process.pid}/task")
        wait_until(lambda: all(") T " in (task / "stat").read_text() for task in tasks.iterdir()))
        manager.empty()
        assert manager.hear(2) == []
    finally:
        world.daemon.signal(signal.SIGCONT)
    manager.hear_until("WATCHDOG=1")
    manager.socket.close()


def test_without_a_watchdog_nothing_is_sent_to_it(managed):
    world, manager = managed
    world.start()
    assert manager.hear_until("READY=1") == ["READY=1"]
    assert manager.hear(1) == []


# --- health ---------------------------------------------------------------------------------------
def test_health_is_0_while_mail_is_taken(make_world):
    world = make_world()
    result = world.daemon.run("health")
    assert (result.returncode, result.stdout) == (0, "ready\n")
    assert world.daemon.ctl("health") == {"ready": True, "obstacle": ""}


def test_health_is_1_and_says_why_while_none_is(make_world):
    world = make_world(start=False)
    result = world.daemon.run("health")
    assert result.returncode == 1 and "cannot reach the daemon" in result.stderr
    world.write_config(queue={"min_free": "1024GiB"})  # no file system here has that
    world.start()
    result = world.daemon.run("health")
    assert result.returncode == 1 and "queue.min_free" in result.stdout


# --- metrics and probes -----------------------------------------------------------------------------
def get(world, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{world.config['metrics']['address']}{path}",
                                    timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture
def watched(make_world):
    """Makes a running world with an endpoint."""
    def make(**config):
        world = make_world(start=False, **config)
        address, _ = world.listener
        world.write_config(metrics={"address": f"{address}:{free_port(address)}"})
        return world.start()
    return make


def value(text: str, sample: str) -> float:
    return float(re.search(rf"^{re.escape(sample)} (\S+)$", text, re.M)[1])


def test_no_endpoint_unless_it_is_asked_for(make_world):
    assert not make_world().daemon.log("metrics")


def test_probes_answer_and_stay_out_of_the_log(watched):
    world = watched()
    assert world.daemon.log("metrics", address=world.config["metrics"]["address"])
    before = len(world.daemon.log())
    for path, body in (("/live", "live\n"), ("/ready", "ready\n")):
        assert get(world, path) == (200, body)
    assert get(world, "/metrics")[0] == 200 and get(world, "/")[0] == 404
    assert len(world.daemon.log()) == before


def test_ready_probe_says_why_no_mail_is_taken(watched):
    world = watched(queue={"min_free": "1024GiB"})
    status, body = get(world, "/ready")
    assert status == 503 and "queue.min_free" in body
    assert get(world, "/live") == (200, "live\n")
    assert value(get(world, "/metrics")[1], "stsrelay_ready") == 0


def test_metrics_count_what_happened(watched):
    world = watched()
    clients = 'stsrelay_inbound_connections_total{listener="%s:%d",result="accepted"}' % (
        world.listener)
    before = value(get(world, "/metrics")[1], clients)
    world.add_domain("good.example", "enforce")
    world.add_domain("busy.example", rules={"MAIL": "451 4.3.0 later"})
    bad = world.add_domain("bad.example", starttls="454 4.7.0 not now")
    world.publish("bad.example", "enforce", [bad.name])
    world.wait_for_delivery(world.send("x@good.example"), "delivered")
    waiting = [world.send("x@busy.example"), world.send("x@bad.example")]
    for id in waiting:
        world.wait_for_delivery(id, "deferred")
    text = wait_until(lambda: (t := get(world, "/metrics")[1]) and
                      value(t, "stsrelay_store_settlements_total") == 3 and t)
    for sample, expected in {
            'stsrelay_deliveries_total{result="delivered"}': 1,
            'stsrelay_deliveries_total{result="deferred"}': 2,
            'stsrelay_queue_messages{state="queued"}': 2,
            'stsrelay_queue_messages{state="held"}': 0,
            "stsrelay_messages_stored_total": 3,
            "stsrelay_policy_cache_entries": 2,
            'stsrelay_policy_lookups_total{result="absent"}': 1,
            'stsrelay_policy_lookups_total{result="unknown"}': 0,
            'stsrelay_reports_total{via="mail",result="accepted"}': 0,
            'stsrelay_tls_sessions_total{policy="sts",result="success"}': 1,
            'stsrelay_tls_sessions_total{policy="sts",result="failure"}': 1,
            "stsrelay_message_delay_seconds_count": 1,
            "stsrelay_attempt_seconds_count": 3,
            "stsrelay_test_world": 1}.items():
        assert value(text, sample) == expected, sample
    assert sum(map(float, re.findall(r"^stsrelay_policy_failures_total\S* (\S+)$", text,
                                     re.M))) == 1
    assert value(text, clients) == before + 3
    assert value(text, "stsrelay_queue_bytes") > 0
    assert 0 < value(text, "stsrelay_queue_oldest_seconds") < 600


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_metrics_pass_prometheus_own_check(watched):
    result = subprocess.run(["promtool", "check", "metrics"], input=get(watched(), "/metrics")[1],
                            capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_metric_has_its_entry_in_the_manual_and_no_other(watched):
    manual = (REPOSITORY / "conf" / "man" / "stsrelay.1").read_text()
    entries = re.findall(r"^\.It (Li .*)$", manual, re.M)
    named = {f"stsrelay_{name}" for entry in entries for name in re.findall(r"Li (\w+)", entry)}
    assert named == set(re.findall(r"^# TYPE (\S+)", get(watched(), "/metrics")[1], re.M))


# --- alert rules and dashboard -----------------------------------------------------------------------
@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_alert_rules_are_right_and_fire_when_they_should():
    for command in (["check", "rules", MONITORING / "alerts.yml"],
                    ["test", "rules", Path(__file__).with_name("alerts_test.yml")]):
        result = subprocess.run(["promtool", *map(str, command)], capture_output=True, text=True,
                                timeout=60)
        assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_dashboard_asks_what_prometheus_understands(tmp_path):
    panels = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
    questions = [target["expr"].replace("$__rate_interval", "5m").replace("$instance", ".*")
                 for panel in panels for target in panel["targets"]]
    assert len(questions) > 15
    rules = [{"record": f"panel:{n}", "expr": question} for n, question in enumerate(questions)]
    file = tmp_path / "dashboard.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    result = subprocess.run(["promtool", "check", "rules", str(file)], capture_output=True,
                            text=True, timeout=60)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_metric_that_rules_and_dashboard_name_exists(watched):
    kinds = re.findall(r"^# TYPE (\S+) (\S+)", get(watched(), "/metrics")[1], re.M)
    exposed = {name + ("_bucket" if kind == "histogram" else "") for name, kind in kinds}
    for name in ("alerts.yml", "dashboard.json"):
        named = set(re.findall(r"\bstsrelay_\w+", (MONITORING / name).read_text()))
        assert named and named <= exposed, named - exposed


def test_every_alert_says_what_to_do():
    rules = yaml.safe_load((MONITORING / "alerts.yml").read_text())
    alerts = [rule for group in rules["groups"] for rule in group["rules"]]
    assert len(alerts) >= 6
    for alert in alerts:
        assert alert["labels"]["severity"] in ("page", "ticket"), alert
        assert "stsrelay " in alert["annotations"]["description"], "names a command"
