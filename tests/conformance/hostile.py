"""What no honest client sends, as a table: bodies, elements, Bundles, addresses, headers (access.md, Input)."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

JSON = {"Content-Type": "application/fhir+json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">{}</div>'


@dataclass(frozen=True, slots=True)
class Hostile:
    """One request that has to be refused; ``target`` is sent as it stands."""

    name: str
    method: str
    target: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def all_cases() -> list[Hostile]:
    """Every case, in an order that stays."""
    return [*bodies(), *elements(), *narratives(), *bundles(), *addresses(), *headers()]


def bodies() -> Iterator[Hostile]:
    """Texts that are no JSON, or JSON that no store should hold."""
    texts: dict[str, bytes] = {
        "empty": b"",
        "blanks": b" \n\t ",
        "a brace": b"{",
        "a bracket": b"[",
        "an array": b"[]",
        "a text": b'"Patient"',
        "null": b"null",
        "a number": b"1",
        "cut off": b'{"resourceType":"Patient","name":[{"fam',
        "more behind": b'{"resourceType":"Patient"}{"resourceType":"Patient"}',
        "a comma too many": b'{"resourceType":"Patient",}',
        "single quotes": b"{'resourceType':'Patient'}",
        "a comment": b'{"resourceType":"Patient"/* x */}',
        "no quotes": b"{resourceType:Patient}",
        "XML": b'<Patient xmlns="http://hl7.org/fhir"/>',
        "an entity": b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>',
        "a form": b"resourceType=Patient",
        "UTF-16": '{"resourceType":"Patient"}'.encode("utf-16"),
        "Latin-1": '{"resourceType":"Patient","language":"é"}'.encode("latin-1"),
        "an overlong byte": b'{"resourceType":"Patient","id":"\xc0\xaf"}',
        "half a surrogate": b'{"resourceType":"Patient","name":[{"family":"\\ud800"}]}',
        "surrogates the wrong way": b'{"resourceType":"Patient","name":[{"family":"\\udc00\\ud800"}]}',
        "an escaped NUL": b'{"resourceType":"Patient","name":[{"family":"a\\u0000b"}]}',
        "a NUL": b'{"resourceType":"Patient","name":[{"family":"a\x00b"}]}',
        "NUL in a key": b'{"resourceType":"Patient","a\\u0000b":1}',
        "a line break in a text": b'{"resourceType":"Patient","name":[{"family":"a\nb"}]}',
        "an unknown escape": b'{"resourceType":"Patient","name":[{"family":"\\x41"}]}',
        "NaN": b'{"resourceType":"Patient","multipleBirthInteger":NaN}',
        "Infinity": b'{"resourceType":"Patient","multipleBirthInteger":Infinity}',
        "-Infinity": b'{"resourceType":"Patient","multipleBirthInteger":-Infinity}',
        "hexadecimal": b'{"resourceType":"Patient","multipleBirthInteger":0x10}',
        "a zero in front": b'{"resourceType":"Patient","multipleBirthInteger":01}',
        "a plus": b'{"resourceType":"Patient","multipleBirthInteger":+1}',
        "a point alone": b'{"resourceType":"Patient","multipleBirthInteger":1.}',
        "5,000 digits": b'{"resourceType":"Patient","multipleBirthInteger":' + b"9" * 5_000 + b"}",
        "a huge exponent": b'{"resourceType":"Patient","multipleBirthInteger":1e999999999}',
        "a tiny exponent": b'{"resourceType":"Patient","multipleBirthInteger":1e-999999999}',
        "a key twice": b'{"resourceType":"Patient","active":true,"active":false}',
        "an inner key twice": b'{"resourceType":"Patient","name":[{"family":"a","family":"b"}]}',
        "a key twice by escape": b'{"resourceType":"Patient","active":true,"\\u0061ctive":false}',
        "100,000 brackets": b'{"resourceType":"Patient","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        "100,000 open brackets": b"[" * 100_000,
        "100,000 objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        "70 extensions deep": b'{"resourceType":"Patient","extension":'
        + b'[{"extension":' * 70
        + b"[]"
        + b"}]" * 70
        + b"}",
        "a body too long": b'{"resourceType":"Patient","language":"' + b"a" * 1_048_600 + b'"}',
        "no type": b"{}",
        "an empty type": b'{"resourceType":""}',
        "a type in a list": b'{"resourceType":["Patient"]}',
        "a type as an object": b'{"resourceType":{"Patient":1}}',
        "an unknown type": b'{"resourceType":"Pazient"}',
        "another type": b'{"resourceType":"Task","status":"draft","intent":"order"}',
        "a type in small letters": b'{"resourceType":"patient"}',
    }
    for name, body in texts.items():
        yield Hostile(f"create: {name}", "POST", "/fhir/Patient", body, JSON)
        yield Hostile(f"update: {name}", "PUT", "/fhir/Patient/x", body, JSON)
        yield Hostile(f"Bundle: {name}", "POST", "/fhir", body, JSON)


WRONG: tuple[tuple[str, Any], ...] = (
    ("null", None),
    ("an empty array", []),
    ("an empty object", {}),
    ("an empty text", ""),
    ("blanks", "   "),
    ("an array of arrays", [[[]]]),
    ("a negative number", -1),
    ("a number with an exponent", 1e300),
    ("a text of another kind", "'; DROP TABLE task; --"),
)
"""Values that fit none of the elements below."""

TASK: dict[str, Any] = {"resourceType": "Task", "status": "draft", "intent": "order"}
PATIENT: dict[str, Any] = {"resourceType": "Patient"}


def elements() -> Iterator[Hostile]:
    """Elements with values of a wrong kind, unknown elements, and texts that make careless patterns slow."""
    for name in ("status", "intent", "focus", "authoredOn", "restriction", "input", "meta", "contained", "extension"):
        for meaning, value in WRONG:
            body = json.dumps({**TASK, name: value}).encode()
            yield Hostile(f"Task.{name}: {meaning}", "POST", "/fhir/Task", body, JSON)
    patients: dict[str, dict[str, Any]] = {
        "an unknown element": {"nom": "x"},
        "__proto__": {"__proto__": {"admin": True}},
        "an element with a line break": {"name\n": []},
        "a long unknown element": {"x" * 100_000: 1},
        "10,000 unknown elements": {f"x{n}": n for n in range(10_000)},
        "two choices": {"deceasedBoolean": False, "deceasedDateTime": "2020"},
        "an id with a slash": {"id": "../x"},
        "a long id": {"id": "a" * 65},
        "day 31 of February": {"birthDate": "2020-02-31"},
        "year 0000": {"birthDate": "0000-01-01"},
        "a long date": {"birthDate": "2020-01-01" * 10_000},
        "a zone of 99 hours": {"deceasedDateTime": "2020-01-01T00:00:00+99:99"},
        "an instant without its zone": {"meta": {"lastUpdated": "2020-01-01T00:00:00"}},
        "base64 with a tail": {"photo": [{"data": "ab" + " " * 200_000 + "!"}]},
        "base64 of one letter": {"photo": [{"data": "A"}]},
        "a relative extension url": {"extension": [{"url": "x y", "valueString": "1"}]},
        "an extension without url": {"extension": [{"valueString": "1"}]},
        "an extension with two values": {
            "extension": [{"url": "http://a.example", "valueString": "1", "valueCode": "x"}]
        },
        "a reference to itself contained": {"managingOrganization": {"reference": "#nothing"}},
        "contained in contained": {"contained": [{"resourceType": "Patient", "contained": [PATIENT]}]},
        "contained without a type": {"contained": [{}]},
        "contained of an unknown type": {"contained": [{"resourceType": "X", "id": "a"}]},
        "an uncontained one": {"contained": [{"resourceType": "Organization", "id": "a", "name": "x"}]},
        "a code with a blank": {"maritalStatus": {"coding": [{"code": " M "}]}},
        "a positiveInt of 0": {"telecom": [{"rank": 0}]},
        "an integer past 32 bits": {"multipleBirthInteger": 2**31},
        "a boolean as text": {"active": "true"},
        "a shadow without its element's kind": {"_active": "x"},
        "shadows of another count": {"name": [{"given": ["a", "b"], "_given": [{"id": "1"}, None, None]}]},
        "a tag that says it is a part": {"meta": {"tag": [{"code": "SUBSETTED"}, {"system": 1}]}},
    }
    for name, change in patients.items():
        yield Hostile(f"Patient: {name}", "POST", "/fhir/Patient", json.dumps({**PATIENT, **change}).encode(), JSON)


def narratives() -> Iterator[Hostile]:
    """XHTML outside of what FHIR allows (R4 narrative, 2.4.0.1); it is refused, not rewritten."""
    divs = {
        "a script": DIV.format("<script>alert(1)</script>"),
        "a script in capitals": DIV.format("<SCRIPT>alert(1)</SCRIPT>"),
        "an event": DIV.format('<p onclick="x()">a</p>'),
        "an event in capitals": DIV.format('<p OnMouseOver="x()">a</p>'),
        "a javascript link": DIV.format('<a href="javascript:alert(1)">a</a>'),
        "a javascript link, spelt apart": DIV.format('<a href="java&#10;script:alert(1)">a</a>'),
        "data as an image": DIV.format('<img src="data:text/html,x" alt="x"/>'),
        "a frame": DIV.format('<iframe src="http://a.example"/>'),
        "an object": DIV.format('<object data="http://a.example"/>'),
        "a form": DIV.format('<form action="http://a.example"><input/></form>'),
        "a stylesheet": DIV.format('<link rel="stylesheet" href="http://a.example"/>'),
        "a style element": DIV.format("<style>p{}</style>"),
        "SVG": DIV.format('<svg xmlns="http://www.w3.org/2000/svg" onload="x()"/>'),
        "another namespace": '<div xmlns="http://www.w3.org/2000/svg">a</div>',
        "no namespace": "<div>a</div>",
        "no div": '<p xmlns="http://www.w3.org/1999/xhtml">a</p>',
        "not closed": '<div xmlns="http://www.w3.org/1999/xhtml"><p>a</div>',
        "two roots": DIV.format("a") + DIV.format("b"),
        "text behind": DIV.format("a") + "b",
        "a declaration": '<?xml version="1.0"?>' + DIV.format("a"),
        "an instruction": DIV.format("<?php x ?>"),
        "a doctype": "<!DOCTYPE div>" + DIV.format("a"),
        "an outer entity": '<!DOCTYPE d [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + DIV.format("&e;"),
        "a billion laughs": "<!DOCTYPE d ["
        + "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
        + '<!ENTITY e0 "ha">]>'
        + DIV.format("&e9;"),
        "an unknown entity": DIV.format("&bogus;"),
        "10,000 deep": DIV.format("<p>" * 10_000 + "a" + "</p>" * 10_000),
        "no text at all": DIV.format(""),
        "blanks alone": DIV.format("   "),
        "no XML": "a < b",
    }
    for name, div in divs.items():
        body = json.dumps({**PATIENT, "text": {"status": "generated", "div": div}}).encode()
        yield Hostile(f"narrative: {name}", "POST", "/fhir/Patient", body, JSON)


def ask(method: str, url: Any, resource: Any = None, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"request": {"method": method, "url": url}, **more}
    return made if resource is None else {**made, "resource": resource}


def bundles() -> Iterator[Hostile]:
    """Bundles that refuse to be worked through."""
    made: dict[str, Any] = {
        "501 entries": [ask("GET", "Patient")] * 501,
        "no request": [{"resource": PATIENT}],
        "null for an entry": [None],
        "a text for an entry": ["Patient"],
        "an unknown method": [ask("BREW", "Patient")],
        "a method in small letters": [ask("post", "Patient", PATIENT)],
        "a number for a url": [ask("GET", 1)],
        "an empty url": [ask("POST", "", PATIENT)],
        "POST without a resource": [ask("POST", "Patient")],
        "PUT to another id": [ask("PUT", "Patient/a", {**PATIENT, "id": "b"})],
        "the same resource twice": [ask("PUT", "Patient/a", {**PATIENT, "id": "a"})] * 2,
        "the same fullUrl twice": [ask("POST", "Patient", PATIENT, fullUrl="urn:uuid:1")] * 2,
        "elsewhere": [ask("GET", "http://169.254.169.254/latest/meta-data")],
        "upwards": [ask("GET", "../../etc/passwd")],
        "the token endpoint": [ask("POST", "../oauth/token", PATIENT)],
        "a Bundle in it": [ask("POST", "", {"resourceType": "Bundle", "type": "batch", "entry": []})],
        "a NUL in a url": [ask("GET", "Patient/\u0000")],
        "51 values": [ask("GET", "Patient?_id=" + ",".join(map(str, range(51))))],
        "a bad If-Match": [
            ask("PUT", "Patient/a", {**PATIENT, "id": "a"})
            | {"request": {"method": "PUT", "url": "Patient/a", "ifMatch": "latest"}}
        ],
    }
    for name, entries in made.items():
        body = json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}).encode()
        yield Hostile(f"transaction: {name}", "POST", "/fhir", body, JSON)
    for kind in ("collection", "searchset", "history", "document", "message", "transaction-response", "x", None, 1):
        body = json.dumps({"resourceType": "Bundle", "type": kind, "entry": []}).encode()
        yield Hostile(f"a Bundle of type {kind}", "POST", "/fhir", body, JSON)
    long = {**PATIENT, "language": "a" * 1_000_000}
    body = json.dumps({"resourceType": "Bundle", "type": "batch", "entry": [ask("POST", "Patient", long)] * 6}).encode()
    yield Hostile("a Bundle too long", "POST", "/fhir", body, JSON)


QUERIES = (
    "_count=-1", "_count=x", "_count=1e3", "_count=" + "9" * 30, "_count=1&_count=2", "status=", "owner=",
    "authored-on=",
    "_sort=", "_sort=-", "_sort=nope",
    "_sort=status,nope", "_total=maybe", "_summary=everything", "_elements=", "_elements=nope", "_include=",
    "_include=Task",
    "_include=Task:nope", "_include=Nope:owner", "_include=Task:owner:Nope", "_revinclude=Task:nope", "_revinclude=:",
    "_lastUpdated=", "_lastUpdated=gt", "_lastUpdated=xx2020", "_lastUpdated=2020-13", "_lastUpdated=0000",
    "_lastUpdated=gt2020-01-01T00:00:00%2B99:00", "_lastUpdated=gt9999999", "_id=", "_id:exact=a", "_id:missing=maybe",
    "nope=1", "status:nope=1", "status:above=1", "status:not:not=1", ":missing=true", "owner:Nope=x", "owner:missing=1",
    "owner:Organization:identifier=a", "authored-on=gt2020-02-30", "authored-on=" + "2020-01-01," * 51,
    "period=2020-01-01T",
    "_has:Task:owner:status=x", "owner.name=x", "owner:Organization.partof.name=x", "_filter=status+eq+x", "_text=x",
    "_content=x", "_query=x", "_contained=true", "_type=Patient", "_cursor=x", "_cursor=AAAA", "_cursor=" + "A" * 4_000,
    "_page=2", "_offset=10", "status=%00", "status=a%00b", "status=%ff", "status=%c0%af", "status=%ed%a0%80", "%00=1",
    "_security=a%7Cb%7Cc%7Cd%00", "_format=xml", "_format=application/fhir%2Bturtle", "_pretty=maybe",
)  # fmt: skip


def addresses() -> Iterator[Hostile]:
    """Paths and queries."""
    for query in QUERIES:
        yield Hostile(f"search: {query[:60]}", "GET", f"/fhir/Task?{query}")
    for query in QUERIES:
        if not query.startswith(("_format", "_pretty")):
            yield Hostile(f"posted search: {query[:60]}", "POST", "/fhir/Task/_search", query.encode(), FORM)
    for path in (
        "/fhir/Nope", "/fhir/task", "/fhir/Task%20", "/fhir/Task/a%20b", "/fhir/Task/..%2f..%2fetc", "/fhir/Task/%00",
        "/fhir/Task/%ff", "/fhir/Task/" + "a" * 65, "/fhir/Task/a/_history/x", "/fhir/Task/a/_history/-1",
        "/fhir/Task/a/_history/" + "9" * 40, "/fhir/Task/a/_history/1.0", "/fhir/Task/a/_history?_since=x",
        "/fhir/Task/_history?_count=x", "/fhir/_history?_at=x", "/fhir/Task/a/$nope", "/fhir/Task/$nope", "/fhir/$nope",
        "/fhir/Task/a/b/c/d", "/fhir//Task", "/fhir/Task//a", "/fhir/Binary/%00", "/fhir/Patient?name=" + "a" * 9_000,
        "/fhir/" + "a/" * 2_000, "/.git/config", "/etc/passwd", "/fhir/../../etc/passwd", "/admin", "/wp-login.php",
    ):  # fmt: skip
        yield Hostile(f"read: {path[:60]}", "GET", path)
    for method in ("PATCH", "DELETE", "PUT", "POST", "TRACE", "PROPFIND"):
        yield Hostile(f"{method} on metadata", method, "/fhir/metadata")
    yield Hostile("DELETE of a type", "DELETE", "/fhir/Task")
    yield Hostile(
        "PATCH of a resource", "PATCH", "/fhir/Patient/a", b"[]", {"Content-Type": "application/json-patch+json"}
    )


def headers() -> Iterator[Hostile]:
    """Headers that a server might believe."""
    body = json.dumps(PATIENT).encode()
    for value in (
        "",
        "text/plain",
        "application/xml",
        "application/fhir+xml",
        "multipart/form-data",
        "x",
        "application/json/x",
    ):
        yield Hostile(f"Content-Type: {value}", "POST", "/fhir/Patient", body, {"Content-Type": value})
    for value in ("application/fhir+xml", "text/turtle", "image/png", "x", "application/xml;q=1"):
        yield Hostile(f"Accept: {value}", "GET", "/fhir/Task", b"", {"Accept": value})
    for value in (
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Bearer a b",
        "Basic YTpi",
        "bearer",
        "Bearer " + "a" * 20_000,
        "null",
    ):
        yield Hostile(f"Authorization: {value[:40]}", "GET", "/fhir/Task", b"", {"Authorization": value})
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none","typ":"at+jwt"}').decode().rstrip("=")
    claims = (
        base64.urlsafe_b64encode(b'{"sub":"hospital-referrer","role":"admin","exp":9999999999}').decode().rstrip("=")
    )
    yield Hostile(
        "a token without a signature", "GET", "/fhir/Task", b"", {"Authorization": f"Bearer {unsigned}.{claims}."}
    )
    put = json.dumps({**TASK, "id": "a"}).encode()
    for value in ("x", 'W/"x"', 'W/"-1"', '"1', 'W/"99999999999999999999999999"', "*", 'W/"1", W/"2"'):
        yield Hostile(f"If-Match: {value}", "PUT", "/fhir/Task/a", put, {**JSON, "If-Match": value})
    for value in (
        "nope=1",
        "identifier",
        "_id=a&_id:missing=x",
        "identifier=%00",
        "Patient?identifier=a|b,\\",
        "x" * 3_000,
    ):
        yield Hostile(f"If-None-Exist: {value[:40]}", "POST", "/fhir/Patient", body, {**JSON, "If-None-Exist": value})
    yield Hostile("an override of the method", "POST", "/fhir/Task/a", b"", {"X-HTTP-Method-Override": "DELETE"})
    yield Hostile("compressed", "POST", "/fhir/Patient", b"\x1f\x8b\x08\x00", {**JSON, "Content-Encoding": "gzip"})
