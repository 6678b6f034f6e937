"""The services as they are now; `EVDEBUG_CODE=examples.shop.services` makes them known."""

from examples.shop.services import email, inventory, orders, payments, shipping, web

__all__ = ["email", "inventory", "orders", "payments", "shipping", "web"]
