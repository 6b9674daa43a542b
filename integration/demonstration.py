"""The world behind the demo: domains, what is expected of each, and the tables that are printed."""

from __future__ import annotations

import signal
import sys
import tempfile
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from peers.ca import Authority, Leaf  # noqa: E402
from peers.daemon import binary, wait_until  # noqa: E402
from peers.policy_host import Reply  # noqa: E402
from peers.world import World  # noqa: E402

CONFIGURATION = {"workers": 2, "queue": {"retry": ["0s", "1h"]}}


@dataclass
class Row:
    """A domain of the demo. expect: result, and the host that must have the message."""

    domain: str
    story: str
    prepare: Callable[[World, str], None]
    result: str  # delivered | deferred | failed
    host: str = ""  # "mx1", "mx2"; empty: none may have it
    counted: tuple[str, ...] = ()  # TLS-RPT result types of the day; empty: none
    id: str = ""


def _enforce(fault: str = "", starttls: str = "yes", mode: str = "enforce"):
    def prepare(world: World, domain: str) -> None:
        name = f"mx1.{domain}"
        leaf = Leaf.good("mail.elsewhere.example") if fault == "wrong-name" else (
            Leaf.faulty(fault, name) if fault else Leaf.good(name))
        world.add_domain(domain, mode, leaf=leaf, starttls=starttls)
    return prepare


def _foreign(world: World, domain: str) -> None:
    world.add_domain(domain, leaf=Leaf.good(f"mx1.{domain}"))
    world.publish(domain, "enforce", [f"mail.{domain}"])


def _failover(world: World, domain: str) -> None:
    hosts = [world.add_mx(f"mx1.{domain}", leaf=Leaf.faulty("self-signed", f"mx1.{domain}")),
             world.add_mx(f"mx2.{domain}")]
    world.set_mx(domain, *hosts)
    world.publish(domain, "enforce", [f"*.{domain}"])


def _fetch_fault(world: World, domain: str) -> None:
    world.add_domain(domain, "enforce")
    world.policy_hosts[f"mta-sts.{domain}"].reply = Reply(status=404)


def _null_mx(world: World, domain: str) -> None:
    world.dns.set(domain, "MX", "0 .")


ROWS = [
    Row("good.example", "enforce", _enforce(), "delivered", "mx1"),
    Row("wrongname.example", "enforce; certificate of another host", _enforce("wrong-name"),
        "deferred", counted=("certificate-host-mismatch",)),
    Row("expired.example", "enforce; expired certificate", _enforce("expired"),
        "deferred", counted=("certificate-expired",)),
    Row("stripped.example", "enforce; STARTTLS stripped on the way",
        _enforce(starttls="no"), "deferred", counted=("starttls-not-supported",)),
    Row("foreign.example", "enforce; MX outside the policy", _foreign,
        "deferred", counted=("validation-failure",)),
    Row("failover.example", "enforce; first MX bad, second good", _failover,
        "delivered", "mx2", counted=("certificate-not-trusted",)),
    Row("testing.example", "testing; self-signed certificate",
        _enforce("self-signed", mode="testing"), "delivered", "mx1",
        counted=("certificate-not-trusted",)),
    Row("none.example", "none; expired certificate", _enforce("expired", mode="none"),
        "delivered", "mx1"),
    Row("nopolicy.example", "no policy; no STARTTLS",
        lambda world, domain: world.add_domain(domain, starttls="no") and None,
        "delivered", "mx1", counted=("starttls-not-supported",)),
    Row("unfetched.example", "promised, but its host says 404", _fetch_fault,
        "delivered", "mx1", counted=("sts-policy-fetch-error",)),
    Row("nullmx.example", "null MX: accepts no mail", _null_mx, "failed"),
]


def main() -> int:
    keep = "--keep" in sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="stsrelay-demo-") as folder:
        world = World(Authority(Path(folder) / "ca"), CONFIGURATION, folder=Path(folder))
        try:
            return _run(world, keep)
        finally:
            world.close()


def _run(world: World, keep: bool) -> int:
    print("\nThe daemon's configuration; its Internet is all on loopback:\n")
    print(textwrap.indent(world.config_file.read_text(), "    "))
    world.start()
    home = world.add_domain("sender.example")  # where bounces go
    for row in ROWS:
        row.prepare(world, row.domain)
        row.id = world.send(f"bob@{row.domain}")
    for row in ROWS:
        wait_until(lambda: world.deliveries(id=row.id), f"an attempt for {row.domain}")
    wait_until(lambda: home.messages, "the bounce")

    faults = [fault for row in ROWS if (fault := _fault(world, row))]
    _print_table(world)
    _print_queue(world)
    _print_counts(world)
    print(f"\nThe bounce for nullmx.example came back to {home.messages[0].to[0]}.")
    for fault in faults:
        print(f"NOT AS EXPECTED: {fault}", file=sys.stderr)
    print(f"\n{len(ROWS) - len(faults)} of {len(ROWS)} domains behaved as expected.")
    if keep:
        _keep(world)
    return 1 if faults else 0


def _fault(world: World, row: Row) -> str:
    """What is not as the row expects; empty if all is."""
    result = world.deliveries(id=row.id)[-1]["result"]
    hosts = [name.split(".")[0] for name, host in world.mx.items()
             if any(f"bob@{row.domain}" in message.to for message in host.messages)]
    types = {kind for count in world.counts(row.domain) for kind in count.types}
    plaintext = [name for name, host in world.mx.items() if name.endswith("." + row.domain)
                 and any(session.plaintext_mail for session in host.sessions)]
    if result != row.result:
        return f"{row.domain} was {result}, not {row.result}"
    if hosts != ([row.host] if row.host else []):
        return f"{row.domain}: the message is at {hosts}"
    if types != set(row.counted):
        return f"{row.domain} was counted as {sorted(types)}"
    if plaintext and row.domain != "nopolicy.example":
        return f"{row.domain}: mail went out in the clear to {plaintext}"
    if row.domain == "foreign.example" and world.mx["mx1.foreign.example"].sessions:
        return "foreign.example: a host outside the policy was connected to"
    return ""


def _what(line: dict[str, str]) -> str:
    if line["result"] == "delivered":
        tls = line.get("tls", "")
        security = "in the clear" if tls.startswith("none") else (
            "verified TLS" if " verified" in tls else "TLS, certificate not verified")
        return f"delivered to {line['host'].split('.')[0]}: {security}"
    return {"deferred": "kept in the queue", "failed": "bounced"}.get(
        line["result"], line["result"])


def _why(world: World, row: Row) -> str:
    """In the daemon's own words: the reason it gave, and for a delivery what went before it."""
    line = world.deliveries(id=row.id)[-1]
    if line["result"] != "delivered":
        return line["reply"]
    words = [f"{other['host'].split('.')[0]} passed over: {other['detail'].rstrip('.')}"
             for other in world.daemon.log("session", id=row.id) if "detail" in other]
    words += [f"policy not to be had: {other['fault']} ({other['reason']})"
              for other in world.daemon.log("policy-fetch-failed", domain=row.domain)]
    mode = line.get("policy_mode")
    words.append(f"policy {mode}, id {line['policy_id']}, {line['policy_source']}" if mode
                 else "no policy in force")
    return "; ".join(words + [f"TLS {line['tls']}", line["reply"]])


def _print_table(world: World) -> None:
    widths = (18, 24, 26, 52)
    rows = [("domain", "policy", "what happened", "why, in the daemon's words")]
    rows += [(row.domain, row.story, _what(world.deliveries(id=row.id)[-1]), _why(world, row))
             for row in ROWS]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    print(rule)
    for cells in rows:
        columns = [textwrap.wrap(cell, width) or [""] for cell, width in zip(cells, widths)]
        for n in range(max(map(len, columns))):
            print("  ".join((column[n] if n < len(column) else "").ljust(width)
                            for column, width in zip(columns, widths)).rstrip())
        print(rule)


def _command(world: World, *arguments: str) -> None:
    print(f"\n$ stsrelay {' '.join(arguments)}")
    result = world.daemon.run(*arguments)
    print(textwrap.indent((result.stdout + result.stderr).rstrip(), "    "))


def _print_queue(world: World) -> None:
    _command(world, "queue", "list")


def _print_counts(world: World) -> None:
    _command(world, "results")


def _interrupt(number: int, _frame) -> None:
    signal.signal(number, signal.SIG_IGN)  # timeout(1) sends to a whole group, so twice
    raise KeyboardInterrupt


def _keep(world: World) -> None:
    signal.signal(signal.SIGTERM, _interrupt)
    config = world.config_file
    server = "%s:%d" % world.listener
    try:
        print(f"""
Everything is still running. Send mail of your own, for example:
    swaks --server {server} --from me@sender.example --to you@good.example
    swaks --server {server} --from me@sender.example --to you@expired.example
and look at it:
    {binary()} queue list --config {config}
    {binary()} policy list --config {config}
    tail -f {world.daemon.log_file}
Domains: {', '.join(row.domain for row in ROWS)}
Stop with Ctrl-C.""", flush=True)
        while True:
            signal.pause()
    except KeyboardInterrupt:
        print("stopping")


if __name__ == "__main__":
    sys.exit(main())
