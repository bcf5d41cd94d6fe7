"""The topics as resources of FHIR R4: Basic, with what R5's SubscriptionTopic would say (Backport, topics in R4)."""

from typing import Any

from app.delivery.topics import FILTERS, Topic

Json = dict[str, Any]

R5 = "http://hl7.org/fhir/5.0/StructureDefinition/extension-SubscriptionTopic"
R4B = "http://hl7.org/fhir/4.3/StructureDefinition/extension-SubscriptionTopic"
"""As in the guide's own example, what has parts is named by the release that first had it."""
CODING = {"system": "http://hl7.org/fhir/fhir-types", "code": "SubscriptionTopic"}


def topic_id(topic: Topic) -> str:
    """The id of its resource."""
    return f"topic-{topic.name}"


def build_topic(topic: Topic) -> Json:
    """The resource, without id and meta."""
    return {
        "resourceType": "Basic",
        "extension": [
            {"url": f"{R5}.url", "valueUri": topic.canonical},
            {"url": f"{R5}.version", "valueString": topic.version},
            {"url": f"{R5}.title", "valueString": topic.name},
            {"url": f"{R5}.description", "valueMarkdown": topic.meaning},
            {"url": f"{R4B}.{'resource' if topic.written else 'event'}Trigger", "extension": build_trigger(topic)},
            *({"url": f"{R4B}.canFilterBy", "extension": build_filter(topic, each)} for each in list_filters(topic)),
            {"url": f"{R4B}.notificationShape", "extension": [{"url": "resource", "valueUri": topic.resource_type}]},
        ],
        "modifierExtension": [{"url": f"{R5}.status", "valueCode": "active"}],
        "code": {"coding": [CODING]},
    }


def build_trigger(topic: Topic) -> list[Json]:
    """What makes an event."""
    resource = f"http://hl7.org/fhir/StructureDefinition/{topic.resource_type}"
    trigger: list[Json] = [
        {"url": "description", "valueMarkdown": topic.meaning},
        {"url": "resource", "valueUri": resource},
        *({"url": "supportedInteraction", "valueCode": each} for each in topic.on),
    ]
    if not topic.written:
        trigger.insert(1, {"url": "event", "valueCodeableConcept": {"text": topic.name}})
    if topic.current:
        criteria: list[Json] = [{"url": "current", "valueString": topic.current}]
        if "delete" in topic.on:
            criteria.append({"url": "resultForDelete", "valueCode": "test-passes"})
        trigger.append({"url": "queryCriteria", "extension": criteria})
    return trigger


def list_filters(topic: Topic) -> tuple[str, ...]:
    """The search parameters that a filter may use."""
    return FILTERS[topic.resource_type]


def build_filter(topic: Topic, code: str) -> list[Json]:
    """One of them."""
    return [
        {"url": "description", "valueMarkdown": f"As the search parameter {code} of {topic.resource_type}."},
        {"url": "resource", "valueUri": topic.resource_type},
        {"url": "filterParameter", "valueString": code},
    ]
