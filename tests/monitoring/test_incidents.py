"""Alerts come to incidents, and what people did leads them through their states."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cli.incident_view import moments, runbook
from cli.tables import escaped, print_json, print_table, when
from contracts.alerts import Rule, alert, stands_s
from contracts.detection import Signals, SourceSignals
from contracts.errors import ModelRejected
from contracts.incidents import NEXT, Act, IncidentAct
from models.acts import GONE, Witnesses, sign_act
from models.release_log import ReleaseLog
from models.roots import sign_next, without_signer
from models.trust import first_root
from monitoring.incidents import KEPT_ALERTS, Acted, Incident, Told, gather, is_torn
from stream_app.detectors.rates import Rates
from stream_app.detectors.rules import load_rules
from tests.models.signers import ADA, BOB, MALLORY, NOW_MS, ROBOT, containment, root

FLOOD = "event-flood"
STANDS_MS = stands_s(FLOOD) * 1000


def told(
    at_ms: int, *, rule: str = FLOOD, source: str = "st-mary/icu", id: str | None = None, ended: bool = False
) -> Told:
    made = alert(
        Rule(rule, rule, "1", f"docs/runbooks/{rule}.md"),
        f"told at {at_ms}",
        at_ms=NOW_MS + at_ms,
        dataset="security",
        severity="high",
        labels={"source": source},
        id=id,
        ended=ended,
    )
    return Told(made, f"security-alerts/0/{at_ms}")


def act(incident: str, act: Act, at_ms: int, **about: Any) -> Acted:
    """Return an act that the broker took at that time; its signer's clock is two hours ahead."""
    made = IncidentAct(incident=incident, act=act, created_at=NOW_MS + at_ms + 7_200_000, **about)
    return made, "Ada", NOW_MS + at_ms


def only(incidents: Sequence[Incident]) -> Incident:
    (incident,) = incidents
    return incident


def test_what_a_rule_tells_again_of_one_subject_is_one_incident() -> None:
    alerts = [told(0), told(STANDS_MS), told(2 * STANDS_MS)]
    incident = only(gather(alerts, []))
    assert (incident.told, incident.subject, incident.state, incident.severity) == (3, "st-mary/icu", "open", "high")
    assert not incident.is_over(NOW_MS + 3 * STANDS_MS)
    assert incident.is_over(NOW_MS + 3 * STANDS_MS + 1)


@pytest.mark.parametrize(
    "second",
    [told(STANDS_MS + 1), told(1, source="st-mary/ward-7"), told(1, rule="forged-records")],
    ids=["much later", "another source", "another rule"],
)
def test_what_is_told_otherwise_is_another_incident(second: Told) -> None:
    assert len(gather([told(0), second], [])) == 2


def test_one_event_that_several_workers_tell_counts_once() -> None:
    assert only(gather([told(0, id="a"), told(1, id="a"), told(2, id="b")], [])).told == 2


def test_what_its_rule_says_has_ended_is_over() -> None:
    alerts = [told(0, rule="source-silence"), told(10, rule="source-silence", ended=True)]
    assert only(gather(alerts, [])).is_over(NOW_MS + 11)
    assert len(gather([*alerts, told(20, rule="source-silence")], [])) == 2


def test_a_source_that_falls_silent_again_days_after_it_was_back_is_another_incident() -> None:
    rates, days_s = Rates(load_rules().flood, load_rules().silence), 2 * 86_400
    both, one = {name: SourceSignals({"scored": 5}) for name in ("er", "icu")}, {"er": SourceSignals({"scored": 5})}
    alerts = [
        alert
        for start_s in (0, days_s)
        for begins, ends, sources in ((0, 600, both), (600, 900, one), (900, 1000, both))
        for second in range(start_s + begins, start_s + ends)
        for alert in rates.see(Signals(NOW_MS + second * 1000, sources))
    ]
    assert len(alerts) == 4
    assert len({alert.event.id for alert in alerts}) == 2, "what begins and what ends have one id"
    incidents = gather([Told(alert, f"security-alerts/0/{offset}") for offset, alert in enumerate(alerts)], [])
    assert [(each.told, each.last.alert.event.action) for each in incidents] == [(2, "ended")] * 2


def test_an_end_is_of_the_incident_that_was_closed_and_never_one_of_its_own() -> None:
    silent, over = told(0, rule="source-silence"), told(10, rule="source-silence", ended=True)
    id = only(gather([silent], [])).id
    incident = only(gather([silent, over], [act(id, "close", 5, verdict="benign")]))
    assert (incident.state, incident.told) == ("closed", 2)
    assert gather([over], []) == []


def test_what_is_left_of_an_incident_whose_beginning_is_deleted_does_not_come_back_as_open() -> None:
    hourly = [told(at) for at in range(0, 20 * STANDS_MS, STANDS_MS)]
    whole = only(gather(hourly, []))
    over_ms = NOW_MS + 21 * STANDS_MS
    rest = hourly[10:]
    closed = act(whole.id, "close", 20 * STANDS_MS, verdict="benign")
    torn = only(gather(rest, [closed]))
    assert (torn.state, is_torn(torn, rest[0].at_ms, over_ms)) == ("open", True)
    assert not is_torn(torn, rest[0].at_ms, rest[-1].at_ms), "it goes on"
    assert not is_torn(torn, 0, over_ms), "nothing is deleted"
    acted_on = only(gather(rest, [act(torn.id, "acknowledge", 20 * STANDS_MS)]))
    assert not is_torn(acted_on, rest[0].at_ms, over_ms)


def test_people_lead_it_from_open_to_closed_and_the_next_alert_is_another_incident() -> None:
    id = only(gather([told(0)], [])).id
    acts = [
        act(id, "acknowledge", 1),
        act(id, "assign", 2, to="Bob"),
        act(id, "note", 3, note="asked the ward"),
        act(id, "close", 4, verdict="benign"),
        act(id, "acknowledge", 5),
        act("0" * 12, "acknowledge", 6),
    ]
    incident = only(gather([told(0)], acts))
    assert (incident.state, incident.assignee, incident.verdict) == ("closed", "Bob", "benign")
    assert [done.counts for done in incident.done] == [True] * 4 + [False]
    later, closed = gather([told(0), told(5)], acts)
    assert (later.state, closed.state, closed.told) == ("open", "closed", 1)
    assert only(gather([told(0), told(4)], [*acts[:4], act(id, "reopen", 9)])).state == "open"


@pytest.mark.parametrize(
    "about",
    [
        {"act": "assign"},
        {"act": "acknowledge", "to": "Bob"},
        {"act": "close"},
        {"act": "note"},
        {"act": "note", "note": "x", "verdict": "benign"},
        {"act": "acknowledge", "incident": "../etc"},
    ],
)
def test_an_act_that_says_too_little_or_too_much_is_none(about: dict[str, Any]) -> None:
    made = {"incident": "0" * 12, "created_at": NOW_MS, **about}
    with pytest.raises((ValueError, ModelRejected)):
        Witnesses(TRUST).verify(sign_act(IncidentAct(**made), ADA.key), NOW_MS)


@given(st.lists(st.integers(0, 5 * STANDS_MS), max_size=30))
def test_every_alert_is_in_one_incident(times: list[int]) -> None:
    found = gather([told(at) for at in sorted(times)], [])
    assert sum(each.told for each in found) == len(times)
    assert len({each.id for each in found}) == len(found) or len(set(times)) < len(times)


def test_memory_is_bounded_and_the_count_goes_on() -> None:
    incident = only(gather([told(at) for at in range(3 * KEPT_ALERTS)], []))
    assert (incident.told, len(incident.alerts)) == (3 * KEPT_ALERTS, KEPT_ALERTS)
    assert (incident.first.origin, incident.last.origin) == ("security-alerts/0/0", "security-alerts/0/599")


def test_every_state_can_be_left_and_every_act_leads_somewhere() -> None:
    assert {after for acts in NEXT.values() for after in acts.values()} == set(NEXT)


TRUST = first_root(root())
DONE = IncidentAct(incident="0" * 12, act="acknowledge", created_at=NOW_MS)


def test_acts_count_by_persons_of_the_trust_root_alone() -> None:
    witnesses = Witnesses(TRUST)
    assert witnesses.verify(sign_act(DONE, BOB.key), NOW_MS) == (DONE, "Bob")
    for stranger in (ROBOT, MALLORY):
        with pytest.raises(ModelRejected, match="expected the signature of a person of the trust root"):
            witnesses.verify(sign_act(DONE, stranger.key), NOW_MS)
    with pytest.raises(ModelRejected, match="act: expected"):
        witnesses.verify(b"{}", NOW_MS)


def test_an_act_that_is_written_again_counts_once() -> None:
    witnesses = Witnesses(TRUST)
    witnesses.verify(sign_act(DONE, BOB.key), NOW_MS)
    with pytest.raises(ModelRejected, match="expected it once"):
        witnesses.verify(sign_act(DONE, BOB.key), NOW_MS + 1)  # another signature under the same words


def test_what_somebody_did_who_left_stays_done_and_his_key_does_nothing_more() -> None:
    log = ReleaseLog(TRUST)
    log.read(sign_next(without_signer(TRUST.root, "Bob"), ADA.key, now_ms=NOW_MS))
    witnesses = Witnesses(TRUST)
    witnesses.follow(log)
    assert witnesses.verify(sign_act(DONE, BOB.key), NOW_MS - 1) == (DONE, f"Bob{GONE}")
    later = replace(DONE, created_at=NOW_MS - 5)  # what it says of its time does not help
    with pytest.raises(ModelRejected, match="expected the signature of a person"):
        witnesses.verify(sign_act(later, BOB.key), NOW_MS)


def test_a_timeline_is_in_the_order_of_kafka_whatever_time_a_signer_says() -> None:
    log = ReleaseLog(TRUST)
    log.read(containment(created_at=0), NOW_MS + 1)
    id = only(gather([told(0)], [])).id
    incident = only(gather([told(0), told(9)], [act(id, "acknowledge", 5)]))  # two hours later, by the signer's clock
    found = moments(incident, log, NOW_MS + 10)
    assert [each["what"] for each in found] == ["alert", "containment", "acknowledge", "alert"]
    assert {each["when"] for each in found} == {when(NOW_MS)}


def test_a_log_that_is_behind_does_not_bring_back_who_left() -> None:
    ahead, behind = ReleaseLog(TRUST), ReleaseLog(TRUST)
    renewed = sign_next(TRUST.root, ADA.key, now_ms=NOW_MS)
    for log in (ahead, behind):
        log.read(renewed)
    ahead.read(sign_next(without_signer(ahead.trust.root, "Bob"), ADA.key, now_ms=NOW_MS))
    witnesses = Witnesses(TRUST)
    for log in (ahead, behind):
        witnesses.follow(log)
    with pytest.raises(ModelRejected, match="expected the signature of a person"):
        witnesses.verify(sign_act(DONE, BOB.key), NOW_MS)


def test_an_incident_that_is_opened_again_takes_no_alerts_of_the_one_after_it() -> None:
    id = only(gather([told(0)], [])).id
    acts = [act(id, "close", 4, verdict="benign"), act(id, "reopen", 9)]
    later, first = gather([told(0), told(5)], acts)
    assert (first.id, first.state, first.told, later.state) == (id, "open", 1, "open")


@pytest.mark.parametrize("time", ["x", "", "2026-11-23T00:00:00", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00Z"])
def test_an_alert_whose_times_are_none_is_told_by_its_reader(time: str) -> None:
    bad = replace(told(0).alert, event=replace(told(0).alert.event, start=time))
    with pytest.raises((ValueError, OverflowError)):
        _ = Told(bad, "security-alerts/0/0").began_ms


def test_the_gravest_alert_names_the_severity_whatever_comes_after_it() -> None:
    low = replace(told(1).alert, event=replace(told(1).alert.event, severity=-7))
    assert only(gather([told(0), Told(low, "security-alerts/0/1")], [])).severity == "high"
    absurd = replace(low, event=replace(low.event, severity=99))
    assert only(gather([Told(absurd, "security-alerts/0/1")], [])).severity == "critical"


@pytest.mark.parametrize("rule", ["/etc/hostname", "../README", "a" * 300, "", "__init__"])
def test_a_rule_of_an_alert_chooses_no_other_file(rule: str) -> None:
    assert runbook(rule) == ""


def test_text_of_others_does_nothing_to_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "\x1b]52;c;aGk=\x07 \x9b2J [bold]b[/] :b: \u202ecba\nseverity low"
    print_table(("a",), [(hostile,)])
    print_json({"a": hostile})
    print(escaped(json.dumps({"a": hostile}, ensure_ascii=False)))
    table, *lines = capsys.readouterr().out.removeprefix("a").strip().splitlines()
    assert not set("\x1b\x07\x9b\u202e") & set("".join((table, *lines)))
    assert "[bold]b[/] :b:" in table
    assert "severity low" in table, "a line of its own would be taken for ours"
    assert [json.loads(line) for line in lines] == [{"a": hostile}] * 2
