"""Write docs/detection.md from the rules: `python docs/write_detection.py`. A test says when it is not current."""

from pathlib import Path

from contracts.alerts import RISK_SCORE
from stream_app.detectors.rules import (
    CountRule,
    DetectionRule,
    FloodRule,
    LateRule,
    ShareRule,
    SilenceRule,
    load_rules,
)

TEXT = """\
# Detection

Each worker counts what it sees of every source in a batch and writes the counts to detection-signals in the batch's own
transaction. One of the workers, whichever holds that topic's partition, adds them up over all partitions and writes an
alert when a rule fires: an ECS document on security-alerts, key the source. It holds numbers, times, and event ids or
origins of records to look at; never a patient's features.

- Counts are kept in windows that follow each other. A rule that goes on firing is told again after ten minutes, with
  what came since. A source that sends again after a silence is told too, with `event.action` ended.
- At most 30 alerts a minute are written, and 5,000 counts, 5,000 shares and 10,000 sources kept, those that moved
  last: a flood of sources costs neither memory nor sleep. How many alerts were not written stands in the next. A
  silence is told once, so it waits for a minute with room, as long as it lasts; what ends is always told.
- What the watching worker knows it writes into detection-signals, once in a minute of their time or 4,000 signals, in
  the transaction of the alerts that it came to. Whoever takes the topic over goes on from there and from the signals
  since: it tells what its predecessor would have told, and nothing twice.
- A rule of scope "all" counts over all sources: whoever forges a record chooses what source it names.
- Every scored event of the champion goes into a sketch: counts in bins of each feature, of the score and of how many
  values are missing, and products of each two features. Windows of at least 20 events are compared with the reference
  that is signed with the model (contracts/reference.py), or with the hospital's own once there is one
  (`cardiosentry baseline`); every sketch says by which it was made, and only those of one add up. Drift goes to
  model-alerts, once an hour while it lasts, with how good the model is to be expected on these scores if they still
  mean what they meant.
- Outcomes meet what was predicted: each partition remembers the predictions of its last 16,384 events at least. Sums by
  source and by bin of the score, all outcomes and those that are 1, are compared with the reference in windows of at
  least 20 outcomes (quality, on model-alerts, once an hour while it lasts), and with each source's own usual shares
  (poisoned-outcomes). A baseline changes nothing in these two: what a score means is the model's. An outcome whose
  prediction is not remembered is counted; one that comes again is counted once.
- The setting `false_alarm_days` is the mean time between two false alarms of drift, quality and poisoned outcomes
  together: each of the three has a third of them. There is no opinion in the first minute, nor on a source before its
  500th outcome.
- A source's usual rate is learned over two minutes; a flood counts for no more than double in it. A flood is told again
  every ten minutes while the source sends so much more than before it began; what lasts for a day is usual then.
- Rules on shares compare a source with its own past, and all sources with theirs, by a sequential test
  (detectors/shares.py). What makes the test rise counts for what is usual only when it has come down again, or was
  told; a share that stays less than 1.44 times the usual (of new patients, 1.82) does not add up to an alert. Another
  champion scores otherwise: they learn anew.
- "just_below" is a score within 0.01 below the threshold, "near_threshold" one within 0.02 of it, "new_near" one within
  0.05 of a patient whom the worker does not remember ("new_patient"; it remembers the last 131,072). "late" is an
  event observed more than ten minutes ago.

What is seen how soon: [detection-benchmark.md](detection-benchmark.md). Not detected: questions under a new pseudonym
each time that look like patients (the slow forms of extraction and membership inference), and a source that sends a
fifth less. There is no rule on how many patients are new: among 10,000 synthetic ones the share of new
pseudonyms falls from 79% of the first 5,000 events to 0.2% of the twelfth, and the slow attacks add one in a hundred,
less than we would expect of an ordinary morning. Nor is there one on a fifth less of a source: nights and weekends
take more away.

| rule | fires at | severity (risk) | MITRE ATLAS | false positives |
|---|---|---|---|---|
"""


def fires(rule: DetectionRule) -> str:
    match rule:
        case CountRule():
            of = "of one source" if rule.scope == "source" else "of all sources"
            limits = ", or ".join(
                f"{limit.count} in {limit.window_s} s"
                + (f" and {limit.share * 100:g}% of the records" if limit.share else "")
                for limit in rule.limits
            )
            return f"{rule.signal} {of}: {limits}"
        case ShareRule():
            return (
                f"{rule.signal} among {rule.of} {rule.factor:g} times as often as before, e^{rule.evidence:g} times as "
                "likely as what was usual, of one source or of all"
            )
        case LateRule():
            return (
                f"{rule.minutes} minutes in which {rule.share:.0%} of a source's events are late and at most "
                f"{rule.others:.0%} of the others', {rule.count} events in all"
            )
        case FloodRule():
            return f"{rule.factor:g} times the usual rate of one source, {rule.least} events in 10 s or more"
        case SilenceRule():
            return f"{rule.least_s} s or more without an event of one source, when {rule.missed} were to be expected"
        case _:  # what is no count
            return "rarer than once in three times `false_alarm_days` while nothing changes"


def row(rule: DetectionRule) -> str:
    technique = " ".join(rule.technique) if rule.technique else "none"
    return (
        f"| [{rule.id}](runbooks/{rule.id}.md): {rule.name.lower()} | {fires(rule)} "
        f"| {rule.severity} ({RISK_SCORE[rule.severity]}) | {technique} | {rule.false_positives} |\n"
    )


def document() -> str:
    return TEXT + "".join(map(row, load_rules().all))


if __name__ == "__main__":
    Path(__file__).with_name("detection.md").write_text(document(), "utf-8")
