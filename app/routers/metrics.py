"""Prometheus's scrape: delivery in figures, without addresses and without anything of a patient."""

from collections.abc import Callable, Iterator

from fastapi import APIRouter, Request, Response
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from app.access.interaction_rules import check_operator
from app.core.errors import NotFound
from app.core.settings import Settings
from app.delivery.metrics import Figures, accumulate, read_figures
from app.delivery.overview import WebhookState
from app.routers.requests import check_no_query, find_caller

router = APIRouter(tags=["Operations"])

STATUSES = ("requested", "active", "paused", "error", "off")
GAUGES: tuple[tuple[str, str, Callable[[WebhookState], float]], ...] = (
    ("handoff_deliveries_queued", "Deliveries that are still to be made.", lambda each: each.queued),
    ("handoff_deliveries_oldest_seconds", "Age of the event that has waited longest.", lambda each: each.oldest or 0),
    ("handoff_deliveries_dead", "Deliveries that were given up and not replayed.", lambda each: each.dead),
    (
        "handoff_deliveries_blocked",
        "Referrals whose next event was first tried over 15 minutes ago.",
        lambda each: each.blocked,
    ),
)
COUNTERS: tuple[tuple[str, str, Callable[[WebhookState], float]], ...] = (
    ("handoff_deliveries_delivered", "Deliveries that were answered 2xx, replays too.", lambda each: each.delivered),
    (
        "handoff_delivery_attempts_failed",
        "Attempts that failed; one that ended with its worker is not counted.",
        lambda each: each.failed,
    ),
)


@router.get("/metrics")
async def scrape(request: Request) -> Response:
    """The figures in the format that was asked for; refused as ``HANDOFF_METRICS`` says."""
    settings: Settings = request.app.state.settings
    if settings.metrics == "off":
        raise NotFound("Metrics are off (HANDOFF_METRICS)")
    check_no_query(request)
    if settings.metrics == "admin":
        check_operator(await find_caller(request))
    figures = await read_figures(request.app.state.pool)
    encode, media = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(Families(figures)), headers={"Content-Type": media, "Cache-Control": "no-store"})


class Families:
    """The figures as the metrics of one scrape."""

    def __init__(self, figures: Figures) -> None:
        self.figures = figures

    def collect(self) -> Iterator[Metric]:
        """Each metric, with a sample for each webhook."""
        webhooks = self.figures.webhooks
        for name, meaning, read in GAUGES:
            gauge = GaugeMetricFamily(name, meaning, labels=["webhook"])
            for each in webhooks:
                gauge.add_metric([each.state.id], read(each.state))
            yield gauge
        for name, meaning, read in COUNTERS:
            counter = CounterMetricFamily(name, meaning, labels=["webhook"])
            for each in webhooks:
                counter.add_metric([each.state.id], read(each.state))
            yield counter
        yield self.collect_latency()
        states = GaugeMetricFamily("handoff_webhooks", "Webhooks by their status.", labels=["status"])
        for status in STATUSES:
            states.add_metric([status], sum(each.state.status == status for each in webhooks))
        yield states
        waiting = self.figures.waiting
        yield GaugeMetricFamily("handoff_events_waiting", "Events that no dispatcher has fanned out yet.", waiting)
        yield GaugeMetricFamily(
            "handoff_events_waiting_oldest_seconds", "Age of the oldest of them.", self.figures.waiting_oldest
        )

    def collect_latency(self) -> Metric:
        """The histogram."""
        latency = HistogramMetricFamily(
            "handoff_delivery_latency_seconds",
            "Seconds from the commit of an event to the receiver's 2xx, replays apart.",
            labels=["webhook"],
        )
        for each in self.figures.webhooks:
            buckets = [
                (str(bound).replace("inf", "+Inf"), float(number)) for bound, number in accumulate(each.latencies)
            ]
            latency.add_metric([each.state.id], buckets, each.seconds)
        return latency
