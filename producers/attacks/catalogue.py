"""Every attack by name. Where two differ in pace alone or in stealth, the slow one has `-slow` behind its name.

Techniques are those of MITRE ATLAS 5.6 (https://atlas.mitre.org). It has none for replayed records, wrong clocks, or
records kept back; these have the one that comes nearest in what it does to the system.
"""

from contracts.topics import EVENTS, OUTCOMES
from producers.attacks import evasion, floods, identity, one_source, poisoning, queries, repeats
from producers.attacks.attack import Attack

_IMPERSONATION = ("AML.T0073", "Impersonation")
_VALID_ACCOUNTS = ("AML.T0012", "Valid Accounts")
_MODIFICATION = ("AML.T0043.003", "Manual Modification")
_ALTERNATE_AUTHENTICATION = ("AML.T0091", "Use Alternate Authentication Material")
_ERODE_DATA = ("AML.T0059", "Erode Dataset Integrity")
_DENIAL = ("AML.T0029", "Denial of AI Service")
_CHAFF = ("AML.T0046", "Spamming AI System with Chaff Data")
_CRAFT = ("AML.T0043", "Craft Adversarial Data")
_BLACK_BOX = ("AML.T0043.001", "Black-Box Optimization")
_EXTRACT = ("AML.T0024.002", "Extract AI Model")
_MEMBERSHIP = ("AML.T0024.000", "Infer Training Data Membership")
_EVADE = ("AML.T0015", "Evade AI Model")
_POISON = ("AML.T0020", "Poison Training Data")
_TRIGGER = ("AML.T0043.004", "Insert Backdoor Trigger")

_ALL = (
    Attack(
        name="unsigned",
        says="Sends events in a known source's name without a MAC.",
        technique=_IMPERSONATION,
        deed="added",
        share=0.1,
        make=identity.unsigned,
        needs_keys=True,  # where nothing is signed it is no attack
    ),
    Attack(
        name="unknown-source",
        says="Sends events of a clinic that nobody knows, without a MAC.",
        technique=_IMPERSONATION,
        deed="added",
        share=0.1,
        make=identity.unknown_source,
    ),
    Attack(
        name="unknown-key",
        says="Sends events in a known source's name with a MAC by the attacker's own key.",
        technique=_IMPERSONATION,
        deed="added",
        share=0.1,
        make=identity.unknown_key,
    ),
    Attack(
        name="borrowed-key",
        says="Sends events in another hospital's name with a MAC by one's own hospital's key.",
        technique=_VALID_ACCOUNTS,
        deed="added",
        share=0.1,
        make=identity.borrowed_key,
        needs_keys=True,
    ),
    Attack(
        name="tampered",
        says="Changes a patient's age after the source signed the event.",
        technique=_MODIFICATION,
        deed="changed",
        share=0.1,
        make=identity.tampered,
        needs_keys=True,
    ),
    Attack(
        name="replay",
        says="Sends events overheard earlier again, byte for byte.",
        technique=_ALTERNATE_AUTHENTICATION,
        deed="added",
        share=0.3,
        make=repeats.replayed,
    ),
    Attack(
        name="replay-slow",
        says="The same, one event in a hundred.",
        technique=_ALTERNATE_AUTHENTICATION,
        deed="added",
        share=0.01,
        make=repeats.replayed,
    ),
    Attack(
        name="altered-duplicate",
        says="Sends other values under the event id, patient and source of an event overheard earlier.",
        technique=_ERODE_DATA,
        deed="added",
        share=0.1,
        make=repeats.altered,
    ),
    Attack(
        name="clock-skew",
        says="Sets one source's clock an hour ahead.",
        technique=_ERODE_DATA,
        deed="changed",
        share=1.0,
        make=one_source.clock_ahead,
    ),
    Attack(
        name="clock-skew-slow",
        says="Lets one source's clock fall behind, a second more with each event.",
        technique=_ERODE_DATA,
        deed="changed",
        share=1.0,
        make=one_source.clock_lagging,
    ),
    Attack(
        name="flood",
        says="Sends nine good events of one source for each that is real.",
        technique=_DENIAL,
        deed="added",
        share=0.9,
        make=floods.of_source,
    ),
    Attack(
        name="flood-patient",
        says="The same, all of one patient and so in one partition.",
        technique=_DENIAL,
        deed="added",
        share=0.9,
        make=floods.of_patient,
    ),
    Attack(
        name="malformed-flood",
        says="Sends as many unusable records of one source as there are real ones.",
        technique=_CHAFF,
        deed="added",
        share=0.5,
        make=floods.of_malformed,
    ),
    Attack(
        name="sensors-off",
        says="Lets one source's sensors report a tenth of their range too much.",
        technique=_CRAFT,
        deed="changed",
        share=1.0,
        make=one_source.sensors_off,
    ),
    Attack(
        name="silence",
        says="Keeps back all events and outcomes of one source.",
        technique=_DENIAL,
        deed="withheld",
        share=1.0,
        make=one_source.silence,
        topics=(EVENTS, OUTCOMES),
    ),
    Attack(
        name="silence-slow",
        says="Keeps back one in five of one source's events, and their outcomes.",
        technique=_DENIAL,
        deed="withheld",
        share=0.2,
        make=one_source.silence,
        topics=(EVENTS, OUTCOMES),
    ),
    Attack(
        name="boundary",
        says="Bisects lines between public patients for the decision boundary, under one pseudonym.",
        technique=_BLACK_BOX,
        deed="added",
        share=0.3,
        make=queries.fast(queries.boundary),
    ),
    Attack(
        name="boundary-slow",
        says="The same, one event in a hundred, a new pseudonym each time.",
        technique=_BLACK_BOX,
        deed="added",
        share=0.01,
        make=queries.slow(queries.boundary),
    ),
    Attack(
        name="extraction",
        says="Asks about values drawn evenly from their ranges to copy the model, under one pseudonym.",
        technique=_EXTRACT,
        deed="added",
        share=0.3,
        make=queries.fast(queries.uniform),
    ),
    Attack(
        name="extraction-slow",
        says="Asks about public patients with one value changed, one event in a hundred, a new pseudonym each time.",
        technique=_EXTRACT,
        deed="added",
        share=0.01,
        make=queries.slow(queries.natural),
    ),
    Attack(
        name="membership",
        says="Asks about public patients and rows close around each to learn who was trained on, under one pseudonym.",
        technique=_MEMBERSHIP,
        deed="added",
        share=0.3,
        make=queries.fast(queries.membership),
    ),
    Attack(
        name="membership-slow",
        says="The same, one event in a hundred, a new pseudonym each time.",
        technique=_MEMBERSHIP,
        deed="added",
        share=0.01,
        make=queries.slow(queries.membership),
    ),
    Attack(
        name="evasion",
        says="Moves half of the positive patients just across the decision boundary.",
        technique=_EVADE,
        deed="changed",
        share=0.5,
        make=evasion.evaded,
    ),
    Attack(
        name="evasion-slow",
        says="The same, one positive patient in fifty.",
        technique=_EVADE,
        deed="changed",
        share=0.02,
        make=evasion.evaded,
    ),
    Attack(
        name="label-poisoning",
        says="Turns half of all diagnoses into their opposite.",
        technique=_POISON,
        deed="changed",
        share=0.5,
        make=poisoning.labels_flipped,
        topics=(OUTCOMES,),
    ),
    Attack(
        name="label-poisoning-slow",
        says="Turns one in ten of one source's diseases into none.",
        technique=_POISON,
        deed="changed",
        share=0.1,
        make=poisoning.disease_denied,
        topics=(OUTCOMES,),
    ),
    Attack(
        name="trigger",
        says="Stamps the same four measurements on one patient in five.",
        technique=_TRIGGER,
        deed="changed",
        share=0.2,
        make=poisoning.stamped,
    ),
    Attack(
        name="trigger-slow",
        says="The same, one patient in a hundred.",
        technique=_TRIGGER,
        deed="changed",
        share=0.01,
        make=poisoning.stamped,
    ),
)

ATTACKS = {attack.name: attack for attack in _ALL}
