"""Alerts come to incidents, and what people did leads them through their states."""

from collections.abc import Sequence
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from contracts.alerts import Rule, alert, stands_s
from contracts.errors import ModelRejected
from contracts.incidents import NEXT, Act, IncidentAct
from models.acts import GONE, Witnesses, sign_act
from models.keyfile import KeyFile
from models.release_log import ReleaseLog
from models.roots import sign_next, without_signer
from models.trust import first_root
from monitoring.incidents import KEPT_ALERTS, Incident, Told, gather
from tests.models.signers import ADA, BOB, MALLORY, NOW_MS, ROBOT, root

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


def act(incident: str, act: Act, at_ms: int, **about: Any) -> tuple[IncidentAct, str]:
    return IncidentAct(incident=incident, act=act, created_at=NOW_MS + at_ms, **about), "Ada"


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
        Witnesses(TRUST, ReleaseLog(TRUST)).verify(sign_act(IncidentAct(**made), ADA.key))


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
    witnesses = Witnesses(TRUST, ReleaseLog(TRUST))
    assert witnesses.verify(sign_act(DONE, BOB.key)) == (DONE, "Bob")
    for stranger in (ROBOT, MALLORY):
        with pytest.raises(ModelRejected, match="expected the signature of a person of the trust root"):
            witnesses.verify(sign_act(DONE, stranger.key))
    with pytest.raises(ModelRejected, match="act: expected"):
        witnesses.verify(b"{}")


def test_what_somebody_did_who_left_stays_done() -> None:
    log = ReleaseLog(TRUST)
    log.read(sign_next(without_signer(TRUST.root, "Bob"), ADA.key, now_ms=NOW_MS))
    assert Witnesses(TRUST, log).verify(sign_act(DONE, BOB.key)) == (DONE, f"Bob{GONE}")
    with pytest.raises(ModelRejected):
        Witnesses(TRUST, log).verify(sign_act(DONE, KeyFile(ec.generate_private_key(ec.SECP256R1()))))
