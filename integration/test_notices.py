"""What senders are told of their mail: delays, passing on, full and partial returns, double bounces."""

import email
import re
import time

import pytest

from peers.daemon import wait_until
from peers.mx import EXTENSIONS

LATER = {"RCPT": "451 4.7.1 come back later"}
NO_DSN = tuple(word for word in EXTENSIONS if word != "DSN")


@pytest.fixture
def world_with_home(make_world):
    """A world whose sender's own domain takes notices."""

    def make(**config):
        world = make_world(**config)
        world.home = world.add_domain("sender.example")
        return world

    return make


def _notices(world, count: int = 1) -> list[email.message.Message]:
    wait_until(lambda: len(world.home.messages) >= count, f"{count} notices")
    return [email.message_from_bytes(each.content) for each in world.home.messages]


def _fields(notice: email.message.Message, recipient: int = 1) -> email.message.Message:
    return notice.get_payload()[1].get_payload()[recipient]


def _sentence(notice: email.message.Message) -> str:
    return re.sub(r"\s+", " ", notice.get_payload()[0].get_payload(decode=True).decode())


def _quiet(world, seconds: float = 2) -> int:
    """How many notices there are when none came for a while."""
    deadline = time.monotonic() + seconds
    count = len(world.home.messages)
    while time.monotonic() < deadline:
        time.sleep(0.05)
        if len(world.home.messages) != count:
            count = len(world.home.messages)
            deadline = time.monotonic() + seconds
    return count


# --- delays ---------------------------------------------------------------------------------------
def test_a_delay_is_told_once_with_until_when_and_why(world_with_home):
    world = world_with_home(queue={"warn_after": "1s", "retry": ["0s", "1h"]})
    world.add_domain("late.example", rules=LATER)
    world.add_domain("gone.example", rules={"GREETING": "421 4.3.2 not now"})
    id = world.send(["x@late.example", "y@gone.example"])
    (notice,) = _notices(world)
    assert notice["Subject"] == "Delayed mail to 2 recipients"
    assert notice["Auto-Submitted"] == "auto-replied"
    text = _sentence(notice)
    assert text.startswith("This is the mail relay relay.test. Your message, accepted on ")
    assert text.index("need not send it again") < text.index("451 4.7.1 come back later")
    fields = _fields(notice)
    assert (fields["Action"], fields["Status"]) == ("delayed", "4.7.1")
    assert fields["Diagnostic-Code"] == "smtp; 451 4.7.1 come back later"
    until = email.utils.parsedate_to_datetime(fields["Will-Retry-Until"]).timestamp()
    assert abs(until - time.time() - 4 * 86400) < 120
    assert _fields(notice, 2)["Action"] == "delayed"
    # Neither later attempts nor a restart tell it again.
    world.daemon.stop()
    world.daemon.start()
    world.daemon.ctl("queue", "retry", "--all")
    wait_until(lambda: len(world.deliveries(id=id, to="x@late.example")) >= 3)
    assert _quiet(world) == 1


def test_a_retry_wait_ends_when_the_delay_is_to_be_told(world_with_home):
    world = world_with_home(queue={"warn_after": "2s", "retry": ["0s", "1h"]})
    world.add_domain("late.example", rules=LATER)
    id = world.send("x@late.example")
    first = world.wait_for_delivery(id, "deferred")
    assert first["next"] in ("+1s", "+2s")
    _notices(world)
    assert world.deliveries(id=id)[1]["next"] in ("+3599s", "+3600s") or int(
        world.deliveries(id=id)[1]["next"][1:-1]) > 3000


@pytest.mark.parametrize("sender, option, body", [
    ("", [], b""), ("alice@sender.example", ["NOTIFY=FAILURE,SUCCESS"], b""),
    ("alice@sender.example", ["NOTIFY=NEVER"], b"")])
def test_nobody_is_told_of_a_delay_who_did_not_want_to_know(world_with_home, sender, option, body):
    world = world_with_home(queue={"warn_after": "1s", "retry": ["0s", "700ms"]})
    world.add_domain("late.example", rules=LATER)
    id = world.send("x@late.example", sender=sender, recipient_options=option)
    wait_until(lambda: len(world.deliveries(id=id)) >= 4)
    assert world.home.messages == []


def test_warn_after_0_tells_nobody(world_with_home):
    world = world_with_home(queue={"warn_after": "0", "retry": ["0s", "200ms"]})
    world.add_domain("late.example", rules=LATER)
    id = world.send("x@late.example")
    wait_until(lambda: len(world.deliveries(id=id)) >= 5)
    assert world.home.messages == []


# --- passed on ------------------------------------------------------------------------------------
def test_success_is_told_where_the_next_hop_will_not(world_with_home):
    world = world_with_home()
    plain = world.add_domain("plain.example")
    plain.script.extensions = NO_DSN
    world.send("x@plain.example", options=["RET=FULL", "ENVID=e1"],
               recipient_options=["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;X@plain.example"])
    (notice,) = _notices(world)
    assert notice["Subject"] == "Mail passed on to x@plain.example"
    fields = _fields(notice)
    assert (fields["Action"], fields["Status"][:2]) == ("relayed", "2.")
    assert fields["Original-Recipient"] == "rfc822; X@plain.example"
    assert fields["Remote-MTA"] == "dns; mx1.plain.example"
    assert notice.get_payload()[1].get_payload()[0]["Original-Envelope-Id"] == "e1"
    assert notice.get_payload()[2].get_content_type() == "text/rfc822-headers"
    assert "NOTIFY" not in plain.messages[0].recipients[0][1]


def test_success_is_left_to_a_next_hop_that_offers_dsn(world_with_home):
    world = world_with_home()
    knows = world.add_domain("knows.example")
    id = world.send("x@knows.example", options=["RET=FULL", "ENVID=e1"],
                    recipient_options=["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;X@knows.example"])
    world.wait_for_delivery(id, "delivered")
    assert knows.messages[0].recipients[0][1] == (
        "NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;X@knows.example")
    assert "RET=FULL" in knows.messages[0].parameters
    assert "ENVID=e1" in knows.messages[0].parameters
    assert _quiet(world) == 0


# --- what comes back ------------------------------------------------------------------------------
@pytest.mark.parametrize("ret, size, whole", [
    ([], 100, False), (["RET=HDRS"], 100, False), (["RET=FULL"], 100, True),
    (["RET=FULL"], 9000, False)])
def test_the_whole_message_comes_back_if_wanted_and_small(world_with_home, ret, size, whole):
    world = world_with_home(notices={"return_size": "4KiB"})
    world.add_domain("bounce.example", rules={"RCPT": "550 5.1.1 unknown"})
    world.send("x@bounce.example", body=b"line of text\r\n" * (size // 14), options=ret)
    (notice,) = _notices(world)
    returned = notice.get_payload()[2]
    assert returned.get_content_type() == ("message/rfc822" if whole else "text/rfc822-headers")
    assert ("line of text" in returned.as_string()) == whole


def test_utf8_addresses_make_a_global_notice(world_with_home):
    world = world_with_home()
    world.add_domain("eai.example", rules={"RCPT": "550 5.1.1 unknown"})
    world.send("jürgen@eai.example", options=["SMTPUTF8", "BODY=8BITMIME"],
               recipient_options=[r"ORCPT=utf-8;j\x{FC}rgen@eai.example"])
    (notice,) = _notices(world)
    assert notice.get_param("report-type") == "global-delivery-status"
    status = notice.get_payload()[1]
    assert status.get_content_type() == "message/global-delivery-status"
    content = world.home.messages[0].content.decode()
    assert "Final-Recipient: utf-8; jürgen@eai.example" in content
    assert "Original-Recipient: utf-8; jürgen@eai.example" in content
    assert "SMTPUTF8" in world.home.messages[0].parameters


# --- double bounces -------------------------------------------------------------------------------
def test_a_double_bounce_goes_to_the_postmaster_and_no_further(world_with_home):
    world = world_with_home(notices={"postmaster": "post@office.example"})
    office = world.add_domain("office.example")
    world.home.script.rules["RCPT"] = "550 5.1.1 gone"
    world.add_domain("bounce.example", rules={"RCPT": "550 5.1.1 unknown"})
    world.send("x@bounce.example")
    wait_until(lambda: office.messages)
    notice = email.message_from_bytes(office.messages[0].content)
    assert office.messages[0].sender == "" and office.messages[0].to == ["post@office.example"]
    assert notice["Subject"] == "Undeliverable bounce to alice@sender.example"
    assert "nobody but you, the postmaster, is told" in _sentence(notice)
    office.script.rules["RCPT"] = "550 5.1.1 gone"
    world.send("x@bounce.example", sender="")
    wait_until(lambda: world.daemon.log("notice-dropped", reason="null sender")
               and world.queue() == [])
    assert len(office.messages) == 1


def test_a_storm_of_failures_is_no_storm_of_notices(world_with_home):
    world = world_with_home(notices={"per_hour": 3})
    world.add_domain("bounce.example", rules={"RCPT": "550 5.1.1 unknown"})
    for _ in range(8):
        world.send("x@bounce.example")
    wait_until(lambda: world.queue() == [])
    assert len(world.home.messages) == 3
    assert len(world.daemon.log("notice-dropped", reason="notices.per_hour")) == 5
