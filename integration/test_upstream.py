"""Routes through providers: credentials, fail-over, access tokens, and who we are there."""

from __future__ import annotations

import base64
import urllib.request

import pytest

import software
from peers.ca import Leaf
from peers.daemon import wait_until
from peers.mx import EXTENSIONS, Script, Slow
from peers.network import free_port
from peers.upstream import Accounts, TokenEndpoint, Upstream

USER = "app@sender.example"
PASSWORD = "s3cret-words"


class Site:
    """A world whose mail goes through scripted upstreams. Made before its daemon starts."""

    def __init__(self, make_world, **config) -> None:
        self.world = make_world(start=False, **config)
        self.secret = self.world.folder / "password"
        self.secret.write_text(PASSWORD + "\n")

    def upstream(self, name: str, accounts: Accounts | None = None, **options) -> Upstream:
        accounts = accounts or Accounts({USER: PASSWORD})
        host = Upstream(self.world.authority, name, accounts, **options)
        host.start_at = self.world.address()
        self.start_host(host)
        self.world._servers.append(host)
        self.world.dns.set(name, "A", host.start_at)
        return host

    def start_host(self, host: Upstream) -> None:
        self.world.call(host.start(host.start_at, self.world.smtp_port))

    def stop_host(self, host: Upstream) -> None:
        self.world.call(host.stop())

    def endpoint(self, name: str) -> TokenEndpoint:
        host = TokenEndpoint(self.world.authority, name, "client", PASSWORD)
        ip = self.world.address()
        self.world.call(host.start(ip, self.world.https_port))
        self.world._servers.append(host)
        self.world.dns.set(name, "A", ip)
        return host

    def entry(self, host: Upstream, user: str = USER, **changes) -> dict:
        auth = {"user": user, "password_file": str(self.secret)} | changes.pop("auth", {})
        auth = {key: value for key, value in auth.items() if value is not None}
        return {"host": host.name, "port": self.world.smtp_port, "auth": auth} | changes

    def oauth(self, endpoint: TokenEndpoint) -> dict:
        return {"password_file": None, "oauth2": {
            "token_url": f"https://{endpoint.name}:{self.world.https_port}/oauth2/token",
            "client_id": "client", "client_secret_file": str(self.secret),
            "scope": "https://mail.test/.default"}}

    def start(self, *routes: dict, **changes):
        self.world.write_config(routes=list(routes), **changes)
        return self.world.start()

    def held(self) -> list[dict]:
        return self.world.daemon.ctl("status")["held_upstreams"]


@pytest.fixture
def site(make_world) -> Site:
    return Site(make_world)


# --- credentials -----------------------------------------------------------------------------------
@pytest.mark.parametrize("mechanisms, implicit, used", [
    ("PLAIN LOGIN", False, "PLAIN"),
    ("LOGIN", False, "LOGIN"),
    ("LOGIN PLAIN", True, "PLAIN"),
], ids=["plain", "login", "implicit TLS"])
def test_credentials_go_to_a_verified_upstream(site, mechanisms, implicit, used):
    host = site.upstream("smtp.provider.test", Accounts({USER: PASSWORD}, mechanisms=mechanisms),
                         implicit=implicit)
    tls = {"tls": "implicit"} if implicit else {}
    world = site.start({"match": "*", "upstreams": [site.entry(host, **tls)]})
    for _ in range(2):
        world.wait_for_delivery(world.send("bob@elsewhere.test"), "delivered")
    assert [(login.mechanism, login.user, login.secret) for login in host.logins] == [
        (used, USER, PASSWORD)] * len(host.sessions)
    assert all(login.tls for login in host.logins)
    assert len(host.messages) == 2
    assert not any(session.plaintext_mail for session in host.sessions)
    assert PASSWORD not in world.daemon.text()
    assert PASSWORD not in world.daemon.run("config", "show").stdout


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_a_traced_session_shows_no_credentials(site, mechanism):
    host = site.upstream("smtp.provider.test", Accounts({USER: PASSWORD}, mechanisms=mechanism))
    world = site.start({"match": "*", "upstreams": [site.entry(host)]})
    world.daemon.run("trace", "--domain", "elsewhere.test", "--for", "10m")
    world.wait_for_delivery(world.send("bob@elsewhere.test"), "delivered")
    shown = world.daemon.run("trace", "--domain", "elsewhere.test").stdout
    assert f"-> AUTH {mechanism} (hidden)" in shown and "-> MAIL FROM:" in shown
    for secret in (USER, PASSWORD, "\0" + USER + "\0" + PASSWORD):
        for form in (secret, base64.b64encode(secret.encode()).decode()):
            assert form not in shown and form not in world.daemon.text()


@pytest.mark.parametrize("leaf, starttls", [
    (Leaf.good("other.test"), "yes"),
    (Leaf.faulty("unknown-ca", "smtp.provider.test"), "yes"),
    (None, "no"),
], ids=["wrong name", "unknown authority", "no TLS"])
def test_credentials_never_go_to_who_has_not_proved_its_name(site, leaf, starttls):
    host = site.upstream("smtp.provider.test", leaf=leaf, script=Script(starttls=starttls))
    world = site.start({"match": "*", "upstreams": [site.entry(host)]})
    id = world.send("bob@elsewhere.test")
    world.wait_for_delivery(id, "deferred")
    assert not host.logins
    assert not any("AUTH" in session.verbs() for session in host.sessions)
    assert [entry["id"] for entry in world.queue()] == [id]


def test_a_setting_that_lets_strangers_see_credentials_is_obeyed_and_named_loudly(site):
    host = site.upstream("smtp.provider.test", leaf=Leaf.good("other.test"))
    world = site.start(
        {"match": "*", "upstreams": [site.entry(host, auth={"send_over": "encrypted"})]})
    world.wait_for_delivery(world.send("bob@elsewhere.test"), "delivered")
    [warning] = world.daemon.log("credentials-exposed")
    assert warning["level"] == "warning"
    assert warning["account"] == f"{USER} at smtp.provider.test:{world.smtp_port}: encrypted"


def test_a_tls_required_no_in_a_message_does_not_open_the_credentials(site):
    host = site.upstream("smtp.provider.test", leaf=Leaf.good("other.test"))
    world = site.start({"match": "*", "upstreams": [site.entry(host)]})
    with world.smtp() as client:
        client.sendmail(USER, ["bob@elsewhere.test"], "TLS-Required: No\r\nSubject: x\r\n\r\nx\r\n")
    wait_until(lambda: world.deliveries(result="deferred"))
    assert not host.logins


# --- refusals --------------------------------------------------------------------------------------
@pytest.mark.parametrize("answer", ["535 5.7.8 wrong", "534 5.7.9 too weak", "454 4.7.0 later",
                                    "530 5.7.0 no"])
def test_refused_credentials_hold_the_mail_and_a_reload_releases_it(site, answer):
    host = site.upstream("smtp.provider.test")
    address = f"{site.world.listener[0]}:{free_port(site.world.listener[0])}"
    world = site.start({"match": "*", "upstreams": [site.entry(host)]},
                       metrics={"address": address})
    host.accounts.answer = answer
    first = world.send("bob@elsewhere.test")
    line = world.wait_for_delivery(first)
    assert line["result"] == "deferred" and answer in line["reply"]
    [alarm] = world.daemon.log("upstream-held")
    assert alarm["level"] == "error" and alarm["reply"] == answer
    assert [held["reply"] for held in site.held()] == [answer]
    assert "refuses our credentials" in world.daemon.run("status").stdout
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as page:
        metrics = page.read().decode()
    assert "stsrelay_upstreams_held 1" in metrics
    assert "stsrelay_upstream_auth_failures_total 1" in metrics
    # More of it only waits: an account is not hammered.
    second = world.send("carol@elsewhere.test")
    assert "is held" in world.wait_for_delivery(second)["reply"]
    assert len(host.sessions) == 1 and len(world.queue()) == 2
    assert len(world.daemon.log("upstream-held")) == 1
    # The retry schedule would have it wait for an hour.
    host.accounts.answer = ""
    world.daemon.ctl("config", "reload")
    for id in (first, second):
        world.wait_for_delivery(id, "delivered")
    assert not site.held() and not world.queue()
    assert not world.daemon.log("notice")


def test_a_corrected_password_is_read_by_a_reload(site):
    host = site.upstream("smtp.provider.test", Accounts({USER: "changed"}))
    world = site.start({"match": "*", "upstreams": [site.entry(host)]})
    id = world.send("bob@elsewhere.test")
    world.wait_for_delivery(id, "deferred")
    site.secret.write_text("changed")
    world.daemon.ctl("config", "reload")
    world.wait_for_delivery(id, "delivered")
    assert [login.secret for login in host.logins] == [PASSWORD, "changed"]


def test_an_upstream_that_wants_credentials_we_have_not_returns_no_mail(site):
    host = site.upstream("smtp.provider.test")
    world = site.start({"match": "*", "host": host.name, "port": site.world.smtp_port})
    id = world.send("bob@elsewhere.test")
    assert world.wait_for_delivery(id)["result"] == "deferred"
    assert world.daemon.log("upstream-held")
    assert [entry["id"] for entry in world.queue()] == [id]


def test_a_missing_password_file_is_an_error_with_its_line(site):
    host = site.upstream("smtp.provider.test")
    site.secret.unlink()
    site.world.write_config(routes=[{"match": "*", "upstreams": [site.entry(host)]}])
    result = site.world.daemon.run("config", "check")
    assert result.returncode == 1
    assert "routes[0].upstreams[0].auth.password_file" in result.stderr
    assert ":0:" not in result.stderr


# --- routes and accounts ---------------------------------------------------------------------------
def test_each_sender_has_its_own_account_and_sessions_never_mix(site):
    host = site.upstream("smtp.provider.test", Accounts({"one": PASSWORD, "two": PASSWORD}))
    world = site.start(
        {"sender": "one.example", "upstreams": [site.entry(host, "one")]},
        {"sender": "boss@two.example", "upstreams": [site.entry(host, "two")]})
    sent = [world.send("bob@elsewhere.test", sender=sender)
            for sender in ("a@one.example", "boss@two.example", "b@one.example",
                           "boss@two.example")]
    for id in sent:
        world.wait_for_delivery(id, "delivered")
    users = {login.session: login.user for login in host.logins}
    by_user = {user: {message.sender for message in host.messages
                      if users[message.session.number] == user} for user in ("one", "two")}
    assert by_user == {"one": {"a@one.example", "b@one.example"}, "two": {"boss@two.example"}}


def test_queued_mail_keeps_its_route_by_sender_after_a_restart(site):
    host = site.upstream("smtp.provider.test")
    site.stop_host(host)
    world = site.start({"sender": "one.example", "upstreams": [site.entry(host)]})
    id = world.send("bob@elsewhere.test", sender="a@one.example")
    world.wait_for_delivery(id, "deferred")
    world.daemon.stop()
    site.start_host(host)
    world.daemon.start()
    world.daemon.ctl("queue", "retry", id)
    world.wait_for_delivery(id, "delivered")
    assert len(host.messages) == 1


def test_the_policy_of_the_upstream_counts(site):
    """RFC 8461 §3.4."""
    host = site.upstream("smtp.provider.test")
    site.world.publish(host.name, "enforce", ["elsewhere.provider.test"])
    world = site.start({"match": "*", "upstreams": [site.entry(host)]})
    world.wait_for_delivery(world.send("bob@elsewhere.test"), "deferred")
    assert not host.sessions
    assert world.daemon.log("host-skipped", reason="mx-not-in-policy")


# --- fail-over -------------------------------------------------------------------------------------
def test_the_next_upstream_takes_over_and_the_dead_one_is_left_alone_for_a_while(site):
    dead, alive = site.upstream("one.provider.test"), site.upstream("two.provider.test")
    dead.script.rules["GREETING"] = "421 4.3.2 not now"
    world = site.start({"match": "*", "upstreams": [site.entry(dead), site.entry(alive)]},
                       delivery={"host_retry": "1h", "connection_idle": "0s"})
    for _ in range(3):
        world.wait_for_delivery(world.send("bob@elsewhere.test"), "delivered")
    assert len(dead.sessions) == 1
    assert len(alive.messages) == 3


def test_an_upstream_that_refuses_our_credentials_is_passed_over(site):
    wrong, right = (site.upstream("one.provider.test", Accounts({USER: "other"})),
                    site.upstream("two.provider.test"))
    world = site.start({"match": "*", "upstreams": [site.entry(wrong), site.entry(right)]})
    for _ in range(2):
        world.wait_for_delivery(world.send("bob@elsewhere.test"), "delivered")
    assert len(right.messages) == 2
    assert len(wrong.logins) == 1
    assert len(site.held()) == 1


@pytest.mark.parametrize("host_retry", ["0s", "1h"])
def test_mail_waits_while_all_upstreams_are_down(site, host_retry):
    hosts = [site.upstream("one.provider.test"), site.upstream("two.provider.test")]
    for host in hosts:
        site.stop_host(host)
    world = site.start({"match": "*", "upstreams": [site.entry(host) for host in hosts]},
                       delivery={"host_retry": host_retry})
    id = world.send("bob@elsewhere.test")
    reply = world.wait_for_delivery(id, "deferred")["reply"]
    assert "one.provider.test" in reply and "; then " in reply and "two.provider.test" in reply
    site.start_host(hosts[1])
    world.daemon.ctl("queue", "retry", id)
    world.wait_for_delivery(id, "delivered")


def test_a_recipient_that_an_upstream_refuses_is_not_tried_at_the_next(site):
    first, second = site.upstream("one.provider.test"), site.upstream("two.provider.test")
    first.script.rules["RCPT"] = "550 5.1.1 nobody"
    world = site.start({"match": "*", "upstreams": [site.entry(first), site.entry(second)]})
    world.wait_for_delivery(world.send("bob@elsewhere.test"), "failed")
    assert not any("MAIL" in session.verbs() and "bob@elsewhere.test" in str(session.commands)
                   for session in second.sessions)


# --- access tokens ---------------------------------------------------------------------------------
@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_access_tokens_are_fetched_once_and_kept(site, mechanism):
    host = site.upstream("smtp.provider.test", Accounts(mechanisms=mechanism))
    endpoint = site.endpoint("login.provider.test")
    endpoint.on_token = host.accounts.tokens.add
    endpoint.reply.delay = 0.3
    world = site.start(
        {"match": "*", "upstreams": [site.entry(host, auth=site.oauth(endpoint))]},
        delivery={"connection_idle": "0s"})
    for id in [world.send("bob@elsewhere.test") for _ in range(5)]:
        world.wait_for_delivery(id, "delivered")
    assert endpoint.given == ["token-1"]
    assert endpoint.forms == [{"grant_type": "client_credentials",
                               "scope": "https://mail.test/.default"}]
    assert {(login.mechanism, login.user, login.secret) for login in host.logins} == {
        (mechanism, USER, "token-1")}
    assert "token-1" not in world.daemon.text()


def test_a_token_is_renewed_before_its_end_and_after_a_refusal(site):
    host = site.upstream("smtp.provider.test", Accounts(mechanisms="XOAUTH2"))
    endpoint = site.endpoint("login.provider.test")
    endpoint.on_token = host.accounts.tokens.add
    endpoint.lifetime = 0
    world = site.start(
        {"match": "*", "upstreams": [site.entry(host, auth=site.oauth(endpoint))]},
        delivery={"connection_idle": "0s"})
    for _ in range(2):
        world.wait_for_delivery(world.send("bob@elsewhere.test"), "delivered")
    assert endpoint.given == ["token-1", "token-2"]
    endpoint.lifetime = 3600
    world.wait_for_delivery(world.send("bob@elsewhere.test"), "delivered")
    host.accounts.tokens.clear()
    id = world.send("bob@elsewhere.test")
    world.wait_for_delivery(id, "deferred")
    assert site.held()
    world.daemon.ctl("config", "reload")
    world.wait_for_delivery(id, "delivered")
    assert endpoint.given[-1] == "token-4" and not site.held()


def test_without_a_token_mail_waits_and_an_alarm_says_why(site):
    host = site.upstream("smtp.provider.test", Accounts(mechanisms="XOAUTH2"))
    endpoint = site.endpoint("login.provider.test")
    endpoint.client = ("client", "another secret")
    world = site.start(
        {"match": "*", "upstreams": [site.entry(host, auth=site.oauth(endpoint))]})
    id = world.send("bob@elsewhere.test")
    world.wait_for_delivery(id, "deferred")
    [alarm] = world.daemon.log("upstream-held")
    assert alarm["reply"] == ("no access token: the token endpoint answered 401 invalid_client: "
                              "who is that?")
    assert not host.sessions
    assert [entry["id"] for entry in world.queue()] == [id]


# --- who we are ------------------------------------------------------------------------------------
def test_name_and_source_address_are_those_of_the_route_else_of_all(site):
    host = site.upstream("smtp.provider.test")
    direct = site.world.add_domain("direct.test")
    ours, of_route = site.world.address(), site.world.address()
    world = site.start(
        {"match": "elsewhere.test", "upstreams": [site.entry(host)], "helo": "out.route.test",
         "source_ipv4": of_route},
        delivery={"helo": "out.all.test", "source_ipv4": ours})
    world.wait_for_delivery(world.send("bob@elsewhere.test"), "delivered")
    world.wait_for_delivery(world.send("bob@direct.test"), "delivered")
    assert host.clients == [of_route]
    assert host.sessions[0].commands[0] == "EHLO out.route.test"
    assert direct.sessions[0].commands[0] == "EHLO out.all.test"


# --- software that nobody here wrote -----------------------------------------------------------------
@pytest.mark.needs("chasquid")
@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "implicit TLS"])
def test_chasquid_takes_mail_from_its_user(site, authority, implicit):
    world = site.world
    ip = world.address()
    ports = [free_port(ip) for _ in range(3)]
    pem = authority.pem_file(Leaf.good("smtp.provider.test"))
    server = software.Chasquid(world.folder / "chasquid", ip, ports[0], "smtp.provider.test",
                               "sender.example", pem, submission=(ports[1], ports[2]))
    try:
        user = "postmaster@sender.example"
        site.secret.write_text("unused")
        world.dns.set("smtp.provider.test", "A", ip)
        site.start({"sender": "sender.example", "upstreams": [
            {"host": "smtp.provider.test", "port": ports[2 if implicit else 1],
             "tls": "implicit" if implicit else "starttls",
             "auth": {"user": user, "password_file": str(site.secret)}}]})
        id = world.send("postmaster@sender.example", sender=user)
        assert "verified" in world.wait_for_delivery(id, "delivered")["tls"]
        wait_until(lambda: list(server.inbox.glob("[!.]*")), "the message in chasquid's mailbox")
        site.secret.write_text("wrong")
        world.daemon.ctl("config", "reload")
        id = world.send("postmaster@sender.example", sender=user)
        assert world.wait_for_delivery(id)["result"] == "deferred"
        assert world.daemon.log("upstream-held")
    finally:
        server.stop()


# --- rates and connections ---------------------------------------------------------------------------
def test_a_rate_makes_mail_wait_without_an_attempt(site):
    host = site.upstream("smtp.provider.test")
    world = site.start({"match": "*", "upstreams": [site.entry(host)], "rate": "20/m"})
    ids = [world.send("bob@elsewhere.test") for _ in range(3)]
    wait_until(lambda: len(host.messages) == 2)
    wait_until(lambda: len(host.messages) == 3)  # three seconds for each after the first two
    for id in ids:
        [line] = world.deliveries(id=id)
        assert line["result"] == "delivered" and line["attempt"] == "1"
    assert float(world.deliveries(id=ids[2])[0]["delay"]) > 2


def test_a_domain_has_its_own_limit_of_connections(site):
    host = site.world.add_domain("slow.test")
    host.script.rules["DOT"] = Slow("250 2.0.0 taken", 0.05)
    world = site.start(delivery={"domains": {"slow.test": {"connections": 1}}})
    for id in [world.send("bob@slow.test") for _ in range(4)]:
        world.wait_for_delivery(id, "delivered")
    assert host.peak == 1


# --- reply rules -------------------------------------------------------------------------------------
def test_a_destination_that_asks_for_it_is_left_alone_for_a_while(make_world):
    world = make_world(delivery={"reply_rules": [
        {"code": "450", "text": "slow down", "action": "slow_down", "wait": "3s"}]})
    host = world.add_domain("big.test", rules={"RCPT": "450 4.2.1 please slow down"})
    world.wait_for_delivery(world.send("bob@big.test"), "deferred")
    [pause] = world.daemon.log("destination-paused")
    assert pause["destination"].startswith("mx:big.test:") and pause["seconds"] == "3"
    host.script.rules.clear()
    id = world.send("carol@big.test")
    line = world.wait_for_delivery(id, "delivered")
    assert line["attempt"] == "1" and float(line["delay"]) > 1.5


def test_a_rule_makes_a_refusal_temporary_or_final(make_world):
    world = make_world(delivery={"reply_rules": [
        {"host": "kind.test", "code": "550", "action": "defer"},
        {"host": "mx1.strict.test", "status": "4.2.2", "text": "full", "action": "fail"}]})
    world.add_domain("kind.test", rules={"RCPT": "550 5.7.1 blocked"})
    world.add_domain("strict.test", rules={"RCPT": "452 4.2.2 mailbox full"})
    world.wait_for_delivery(world.send("bob@kind.test"), "deferred")
    world.wait_for_delivery(world.send("bob@strict.test"), "failed")


# --- BDAT --------------------------------------------------------------------------------------------
def chunking(site: Site, **rules) -> Upstream:
    script = Script(extensions=(*EXTENSIONS, "CHUNKING"), rules=rules)
    return site.upstream("smtp.provider.test", Accounts(mechanisms="", required=False),
                         script=script)


@pytest.mark.parametrize("body", [b".dots\r\n..\r\n.\r\nend\r\n", b"x" * 900 + b"\r\n",
                                  (b"a line of text\r\n" * 20_000)], ids=["dots", "long", "large"])
def test_content_goes_in_chunks_where_they_are_taken(site, body):
    host = chunking(site)
    world = site.start({"match": "*", "upstreams": [
        {"host": host.name, "port": site.world.smtp_port}]})
    for _ in range(2):
        world.wait_for_delivery(world.send("bob@elsewhere.test", body=body), "delivered")
    assert [message.content.endswith(b"\r\n\r\n" + body) for message in host.messages] == [True] * 2
    [session] = host.sessions
    verbs = session.verbs()
    assert "DATA" not in verbs and session.commands[-1].endswith("LAST")


def test_a_refused_chunk_makes_the_message_wait_and_the_session_goes_on(site):
    host = chunking(site, BDAT="452 4.3.1 no room")
    world = site.start({"match": "*", "upstreams": [
        {"host": host.name, "port": site.world.smtp_port}]})
    id = world.send("bob@elsewhere.test", body=b"a line of text\r\n" * 20_000)
    world.wait_for_delivery(id, "deferred")
    host.script.rules.clear()
    world.daemon.ctl("queue", "retry", id)
    world.wait_for_delivery(id, "delivered")
