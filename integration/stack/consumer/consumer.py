"""Prints what service_manager publishes.

    consumer.py [BINDING_KEY...]     default: status.# event.#

AMQP_URL says where the broker is, SERVICE_MANAGER_EXCHANGE the exchange, CONSUMER_JSON=1 prints the whole JSON.
"""

import json
import os
import sys
import time

import pika

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/")
EXCHANGE = os.environ.get("SERVICE_MANAGER_EXCHANGE", "service_manager")
BINDING_KEYS = sys.argv[1:] or ["status.#", "event.#"]


def summary(body):
    """One line of what a status or an event says."""
    if body.get("type") == "event":
        return " ".join(str(body[k]) for k in ("event", "unit") if body.get(k))
    units = ", ".join(f'{u["name"]}={u["active_state"]}' for u in body.get("units", []))
    return f'{body.get("outcome")} {body.get("error") or units}'


def on_message(channel, method, properties, raw):
    body = json.loads(raw)
    text = json.dumps(body, ensure_ascii=False) if os.environ.get("CONSUMER_JSON") else summary(body)
    print(method.routing_key, text)
    channel.basic_ack(method.delivery_tag)


def consume():
    with pika.BlockingConnection(pika.URLParameters(URL)) as connection:
        channel = connection.channel()
        # A queue of our own that ends with us. To miss nothing while away, declare a durable one with a name.
        queue = channel.queue_declare("", exclusive=True).method.queue
        for key in BINDING_KEYS:
            channel.queue_bind(queue, EXCHANGE, key)
        channel.basic_consume(queue, on_message)
        print("bound to", *BINDING_KEYS, file=sys.stderr)
        channel.start_consuming()


while True:
    try:
        consume()
    except KeyboardInterrupt:
        break
    except (pika.exceptions.AMQPError, OSError) as error:
        print("connecting again:", repr(error), file=sys.stderr)
        time.sleep(1)
