"""What a patient's Consents say of one resource and one recipient."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.fhir.json_text import STORED_LIMITS, parse
from app.fhir.labels import ACT_CODE, CONFIDENTIALITY
from app.referral.consent import Verdict, name_patient, weigh_consents
from app.referral.provision import ACT_REASON, Question, find_next_change, read_purposes
from tests.unit.referral.samples import task, untouched

Resource = dict[str, Any]
AT = datetime(2026, 11, 25, 3, tzinfo=UTC)
NGO = {"reference": {"reference": "Organization/ngo"}}
OTHER = {"reference": {"reference": "Organization/other"}}
ROLE = {"reference": {"reference": "PractitionerRole/worker"}}
BROKEN = {"reference": {"reference": "Group/helpers"}}
WHO = {
    "Organization/ngo": "ngo",
    "Organization/other": "other",
    "PractitionerRole/worker": "ngo",
    "Group/helpers": None,
}
DATA = Path(os.environ.get("HANDOFF_TEST_DATA", Path(__file__).parents[3].parent / "shared" / "fhir"))
EXAMPLES = DATA / "examples" / "r4" / "Consent"


def label(system: str, *given: str) -> list[Resource]:
    return [{"system": system, "code": code} for code in given]


def condition(*given: str, level: str = "R") -> Resource:
    security = label(ACT_CODE, *given) + label(CONFIDENTIALITY, level)
    code = {"coding": [{"system": "urn:codes", "code": "abuse"}]}
    return {"resourceType": "Condition", "id": "c1", "meta": {"security": security}, "code": code}


def consent(base: str | None = None, scope: str = "patient-privacy", **rule: Any) -> Resource:
    found: Resource = {"resourceType": "Consent", "id": "k", "status": "active", "scope": {"coding": [{"code": scope}]}}
    if base:
        found["policyRule"] = {"coding": [{"system": ACT_CODE, "code": base}]}
    return {**found, "provision": rule} if rule else found


def ask(resource: Resource | None = None, **more: Any) -> Question:
    given: Resource = {"recipient": "ngo", "purposes": frozenset({"COC"}), "at": AT, "zone": UTC, "who": WHO, **more}
    return Question(resource or condition("SDV"), **given)


def say(*consents: Resource, **more: Any) -> Verdict:
    return untouched(weigh_consents, list(consents), ask(**more))


def permit(**rule: Any) -> Resource:
    return consent(type="permit", **{"actor": [NGO], **rule})


def deny(**rule: Any) -> Resource:
    return consent(type="deny", **rule)


PERMIT, DENY = ("permit", True), ("deny", False)
GENERAL, NOTHING = ("permit", False), (None, False)
YEAR = {"start": "2026", "end": "2026"}

CASES: list[tuple[Resource, tuple[str | None, bool]]] = [
    (permit(), PERMIT),
    (permit(actor=[ROLE]), PERMIT),
    (permit(actor=[OTHER, NGO]), PERMIT),
    (permit(actor=[OTHER]), NOTHING),
    (permit(actor=[BROKEN]), NOTHING),
    (permit(actor=[]), GENERAL),
    (permit(actor=[{**NGO, "role": {"coding": [{"code": "CST"}]}}]), NOTHING),
    (permit(actor=[{**NGO, "role": {"coding": [{"code": "PRCP"}]}}]), PERMIT),
    (permit(period=YEAR), PERMIT),
    (permit(period={"end": "2026-11-25"}), PERMIT),
    (permit(period={"end": "2026-11-24"}), NOTHING),
    (permit(period={"start": "2026-11-26"}), NOTHING),
    (permit(period={"end": "2026-11-25T03:00:00+00:00"}), PERMIT),
    (permit(period={"end": "2026-11-25T02:59:59+00:00"}), NOTHING),
    (permit(period={"end": "no date"}), NOTHING),
    *((permit(purpose=label(ACT_REASON, code)), PERMIT) for code in ("COC", "TREAT", "PurposeOfUse")),
    *((permit(purpose=label(ACT_REASON, code)), NOTHING) for code in ("HPAYMT", "HRESCH", "CAREMGT", "ETREAT")),
    (permit(purpose=label("urn:x", "COC")), NOTHING),
    (permit(action=[{"coding": [{"code": "disclose"}]}]), PERMIT),
    (permit(action=[{"coding": [{"code": "collect"}]}]), NOTHING),
    (permit(securityLabel=label(ACT_CODE, "SDV")), PERMIT),
    (permit(securityLabel=label(ACT_CODE, "SDV", "HIV")), PERMIT),
    (permit(securityLabel=label(ACT_CODE, "HIV")), NOTHING),
    (permit(securityLabel=label(CONFIDENTIALITY, "R")), PERMIT),
    (permit(securityLabel=label(CONFIDENTIALITY, "V")), PERMIT),
    (permit(securityLabel=label(CONFIDENTIALITY, "N")), NOTHING),
    (permit(securityLabel=label("urn:x", "SDV")), NOTHING),
    (permit(**{"class": label("http://hl7.org/fhir/resource-types", "Condition")}), PERMIT),
    (permit(**{"class": label("http://hl7.org/fhir/resource-types", "Observation")}), NOTHING),
    (permit(code=[{"coding": label("urn:codes", "abuse")}]), PERMIT),
    (permit(code=[{"coding": label("urn:codes", "other")}]), NOTHING),
    (permit(code=[{"text": "abuse"}]), NOTHING),
    (permit(data=[{"meaning": "instance", "reference": {"reference": "Condition/c1"}}]), PERMIT),
    (permit(data=[{"meaning": "instance", "reference": {"reference": "Condition/c2"}}]), NOTHING),
    (permit(data=[{"meaning": "related", "reference": {"reference": "Condition/c2"}}]), NOTHING),
    (permit(dataPeriod=YEAR), NOTHING),
    (permit(modifierExtension=[{"url": "urn:x"}]), NOTHING),
    (permit(provision=[{"type": "deny", "actor": [NGO]}]), ("deny", True)),
    (permit(provision=[{"type": "deny", "actor": [OTHER]}]), PERMIT),
    (permit(provision=[{"type": "deny", "actor": [BROKEN]}]), ("deny", True)),
    (permit(provision=[{"actor": [NGO]}]), ("deny", True)),
    (deny(), DENY),
    (deny(actor=[OTHER]), NOTHING),
    (deny(actor=[BROKEN]), DENY),
    (deny(actor=[{"reference": {"reference": "RelatedPerson/father"}}]), NOTHING),
    (deny(period={"end": "2026-11-24"}), NOTHING),
    (deny(dataPeriod=YEAR), DENY),
    (deny(purpose=label(ACT_REASON, "HRESCH")), NOTHING),
    (deny(securityLabel=label(ACT_CODE, "HIV")), NOTHING),
    (deny(securityLabel=label(ACT_CODE, "SDV")), DENY),
    (deny(securityLabel=label(CONFIDENTIALITY, "V")), NOTHING),
    (deny(securityLabel=label(CONFIDENTIALITY, "N")), DENY),
    (deny(provision=[{"type": "permit", "actor": [NGO]}]), PERMIT),
    (
        deny(provision=[{"type": "permit", "actor": [NGO], "provision": [{"type": "deny", "period": YEAR}]}]),
        ("deny", True),
    ),
    (deny(provision=[{"type": "permit", "actor": [NGO], "period": {"end": "2025"}}]), DENY),
    (consent("OPTIN"), GENERAL),
    (consent("OPTIN", period=YEAR), GENERAL),
    (consent("OPTIN", period={"end": "2025"}), NOTHING),
    (consent("OPTIN", actor=[NGO]), DENY),
    (consent("OPTIN", actor=[OTHER]), GENERAL),
    (consent("OPTIN", type="deny", actor=[NGO]), ("deny", True)),
    (consent("OPTIN", type="deny", actor=[OTHER]), GENERAL),
    (consent("OPTOUT"), DENY),
    (consent("OPTOUT", actor=[NGO]), ("deny", True)),
    (consent("OPTOUT", type="permit", actor=[NGO]), PERMIT),
    (consent("OPTOUT", type="permit", actor=[OTHER]), DENY),
    (consent(), NOTHING),
    (consent(scope="research", type="permit", actor=[NGO]), NOTHING),
    (consent(scope="research", type="deny"), NOTHING),
    (consent(scope="treatment", type="deny"), DENY),
    (consent(scope="treatment", type="permit", actor=[NGO]), NOTHING),
    ({**permit(), "category": [{"coding": [{"code": "EMRGONLY"}]}]}, NOTHING),
    ({**deny(), "category": [{"coding": [{"code": "dnr"}]}]}, NOTHING),
    *(({**permit(), "status": status}, NOTHING) for status in ("draft", "proposed", "rejected", "inactive")),
    ({**permit(), "modifierExtension": [{"url": "urn:x"}]}, NOTHING),
]


@pytest.mark.parametrize(("given", "expected"), CASES, ids=range(len(CASES)))
def test_one_consent(given: Resource, expected: tuple[str | None, bool]) -> None:
    verdict = say(given)
    assert (verdict.decision, verdict.named) == expected
    assert verdict.by == ("Consent/k" if verdict.decision else None)


def test_what_a_label_covers() -> None:
    wide = permit(securityLabel=label(ACT_CODE, "BH"))
    for code, decision in (("PSY", "permit"), ("OPIOIDUD", "permit"), ("SPI", None), ("HIV", None)):
        assert say(wide, resource=condition(code)).decision == decision
    assert say(wide, resource=condition("PSY", "HIV")).decision is None
    assert say(wide, resource=condition()).decision is None
    narrow = deny(securityLabel=label(ACT_CODE, "PSY"))
    for code, decision in (("PSY", "deny"), ("MH", "deny"), ("PSYTHPN", "deny"), ("SUD", None)):
        assert say(narrow, resource=condition(code)).decision == decision


def test_every_purpose_must_be_permitted_and_none_denied() -> None:
    both = frozenset({"COC", "HRESCH"})
    assert say(permit(purpose=label(ACT_REASON, "COC")), purposes=both).decision is None
    assert say(deny(purpose=label(ACT_REASON, "HRESCH")), purposes=both).decision == "deny"
    assert read_purposes(task()) == {"COC"}
    assert read_purposes(task(meta={"security": label(ACT_REASON, "HRESCH")})) == {"HRESCH"}


def test_days_are_those_of_the_zone() -> None:
    at = datetime(2026, 11, 25, 18, tzinfo=UTC)  # one in the morning of the 26th in Phnom Penh
    rule = permit(period={"end": "2026-11-25"})
    assert say(rule, at=at).decision == "permit"
    assert say(rule, at=at, zone=ZoneInfo("Asia/Phnom_Penh")).decision is None
    assert find_next_change([rule], AT, UTC) == datetime(2026, 11, 26, tzinfo=UTC)
    assert find_next_change([rule], AT, ZoneInfo("Asia/Phnom_Penh")) == datetime(2026, 11, 25, 17, tzinfo=UTC)
    later = permit(provision=[{"type": "deny", "period": {"start": "2026-11-25T04:00:00Z"}}])
    assert find_next_change([rule, later], AT, UTC) == datetime(2026, 11, 25, 4, tzinfo=UTC)
    assert find_next_change([{**rule, "status": "inactive"}], AT, UTC) is None


def test_nobody_is_asked_yet_or_the_patients_own_organisation_keeps_the_work() -> None:
    assert say(deny(), recipient=None).decision == "deny"
    assert say(deny(actor=[NGO]), recipient=None).decision is None
    assert say(deny(), disclosed=False).decision is None
    assert say(consent(scope="treatment", type="deny"), disclosed=False).decision == "deny"


def test_whom_a_resource_is_about() -> None:
    assert name_patient({"resourceType": "Patient", "id": "p"}) == "Patient/p"
    assert name_patient(task()) == "Patient/p1"
    assert name_patient({"resourceType": "Coverage", "beneficiary": {"reference": "Patient/p"}}) == "Patient/p"
    assert name_patient({"resourceType": "Binary"}) is None


RULES = [given for given, _ in CASES]
SOME = st.lists(st.sampled_from(RULES), max_size=6)


@given(SOME)
def test_one_that_denies_outweighs_all(given: list[Resource]) -> None:
    alone = [say(each).decision for each in given]
    found = say(*given)
    assert found.decision == ("deny" if "deny" in alone else "permit" if "permit" in alone else None)
    assert say(*given, deny()).decision == "deny"
    assert not found.named or found.decision == "deny" or any(say(each) == found for each in given)


@given(SOME, st.sampled_from(["inactive", "rejected", "entered-in-error", "draft", "proposed"]))
def test_what_is_not_active_says_nothing(given: list[Resource], status: str) -> None:
    assert say(*({**each, "status": status} for each in given)) == Verdict()


@given(SOME)
def test_what_cannot_be_told_permits_nothing(given: list[Resource]) -> None:
    def cloud(rule: Resource) -> Resource:
        nested = [cloud(each) for each in rule.get("provision", ())]
        return {**rule, "dataPeriod": YEAR, **({"provision": nested} if nested else {})}

    clouded = [
        {**each, "policyRule": {}, "provision": cloud(each["provision"])} for each in given if "provision" in each
    ]
    assert say(*clouded).decision != "permit"


@pytest.mark.skipif(not EXAMPLES.exists(), reason="the published examples are not here")
@pytest.mark.parametrize(
    ("name", "recipient", "decision"),
    [
        ("notOrg", "f001", "deny"),
        ("notOrg", "ngo", "permit"),
        ("notThem", "ngo", "deny"),  # a Practitioner: whose organisation cannot be told
        ("notThis", "ngo", "deny"),  # what is related to a Task: cannot be told
        ("notTime", "ngo", None),
        ("notAuthor", "ngo", "deny"),
        ("basic", "ngo", None),
        ("Out", "ngo", "deny"),
        ("Emergency", "ngo", "deny"),
        ("pkb", "f001", "deny"),
        ("grantor", "ngo", "deny"),
        ("smartonfhir", "ngo", None),
    ],
)
def test_the_published_examples(name: str, recipient: str, decision: str | None) -> None:
    text = (EXAMPLES / f"consent-example-{name}.json").read_bytes()
    who = {"Organization/f001": "f001"}
    assert say(parse(text, STORED_LIMITS), recipient=recipient, who=who).decision == decision
