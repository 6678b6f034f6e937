"""A small shop on RabbitMQ and Celery, watched by OpenTelemetry's own instrumentation alone.

`python -m tests.traces.instrumented ROLE`: `web` publishes one order with pika, `bank` and `stock`
each take it from a queue of their own, `bank` then has a receipt sent by a Celery task, which
`mail` runs. Each is a service with traces of its own; AMQP_URL says where the broker is, and the
SDK's own variables where the spans go.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import pika
from celery import Celery
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.instrumentation.pika import PikaInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

URL = os.environ.get("AMQP_URL", "")
EXCHANGE = "instrumented-orders"  # other tests have an `orders` on the same broker
app = Celery("shop", broker=URL, backend=None)
tracer = trace.get_tracer("shop")


@app.task(name="receipts.send")  # type: ignore[untyped-decorator]
def send_receipt(order: str) -> None:
    """Send a receipt by mail, or as if."""
    with tracer.start_as_current_span(f"SMTP {order}"):
        pass


def channel() -> Any:
    """Return a channel on which the exchange and both queues are there."""
    made = pika.BlockingConnection(pika.URLParameters(URL)).channel()
    made.exchange_declare(EXCHANGE, "fanout")
    for role in ("bank", "stock"):
        made.queue_declare(f"{EXCHANGE}.{role}")
        made.queue_bind(f"{EXCHANGE}.{role}", EXCHANGE)
    return made


def publish() -> None:
    """Publish one order within a request."""
    with tracer.start_as_current_span("POST /orders"):
        channel().basic_publish(EXCHANGE, "", b"order-1")


def consume(role: str) -> None:
    """Handle one order; `stock` cannot."""
    here = channel()

    def on_order(_channel: Any, _method: Any, _properties: Any, body: bytes) -> None:
        here.stop_consuming()
        if role == "stock":
            raise RuntimeError("sold out")
        with tracer.start_as_current_span("charge the card"):
            send_receipt.apply_async([body.decode()])

    here.basic_consume(f"{EXCHANGE}.{role}", on_order, auto_ack=True)
    here.start_consuming()


def main(role: str) -> None:
    """Run one service until it has done its part; `mail` until it is stopped."""
    provider = TracerProvider(resource=Resource.create({"service.name": role}))
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    PikaInstrumentor().instrument()
    CeleryInstrumentor().instrument(use_span_links=True)
    try:
        if role == "web":
            publish()
        elif role == "mail":
            app.worker_main(["worker", "--pool", "solo", "--loglevel", "WARNING"])
        else:
            consume(role)
    except RuntimeError as error:
        print(error, file=sys.stderr)
    finally:
        provider.shutdown()


if __name__ == "__main__":
    main(sys.argv[1])
