"""What the shop sells and to whom: invented, and the same on every run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from examples.shop.numbering import WAREHOUSE

ITEMS = (
    ("Field notebook", 12.90),
    ("Fountain pen", 49.00),
    ("Ink, 50 ml", 14.50),
    ("Desk pad", 39.90),
    ("Pencil case", 18.00),
    ("Sketchbook A5", 16.60),
    ("Brush pen", 7.90),
    ("Washi tape", 4.20),
    ("Letter paper", 11.40),
    ("Ruler, brass", 27.50),
    ("Wall calendar", 21.00),
    ("Document box", 33.30),
)
VARIANTS = ("plain", "ruled", "dotted", "navy", "olive")
PLANTED = "SKU7"

FIRST = (
    "Ada", "Bruno", "Chiara", "Dilek", "Emil", "Fatou", "Goran", "Hanna", "Ida", "Jonas", "Keiko",
    "Lars", "Mara", "Noor", "Otis", "Paula", "Quim", "Rosa", "Sven", "Tomas", "Uma", "Viktor",
    "Wanda", "Xenia", "Yusuf", "Zoe",
)  # fmt: skip
LAST = (
    "Abel", "Bianchi", "Costa", "Dupont", "Eklund", "Ferrer", "Gruber", "Horvat", "Ivanov",
    "Jansen", "Kovacs", "Lindqvist", "Moreau", "Nowak", "Okafor", "Petrov", "Quist", "Ruiz",
    "Silva", "Tanaka", "Ueda", "Varga", "Weiss", "Yilmaz", "Zeman",
)  # fmt: skip
COUNTRIES = ("DE", "FR", "NL", "AT", "IT", "ES", "PL", "SE")


@dataclass(frozen=True, slots=True)
class Product:
    sku: str
    name: str
    price: float
    warehouse: str
    supplier: str
    lead_days: int  # 0: the supplier delivers within minutes
    opening: int  # pieces on hand when the shop opens
    reorder_at: int


def products(scale: float = 1.0) -> list[Product]:
    """Return the catalogue. `scale` is by how much more is sold than usual, and so kept."""
    busy = max(1.0, scale)
    found = []
    for n, (item, price) in enumerate(ITEMS * len(VARIANTS), start=1):
        name = f"{item}, {VARIANTS[(n - 1) // len(ITEMS)]}"
        sku = f"SKU{n}"
        if sku == PLANTED:
            name = "Field notebook, dotted, limited edition"
            found.append(Product(sku, name, 129.00, WAREHOUSE, "sup-88", 3, 0, 2))
        else:
            house = "CGN1" if n % 3 else "HAM3"
            opening, reorder_at = round((60 + n * 7 % 90) * busy), round(30 * busy)
            found.append(
                Product(sku, name, price, house, f"sup-{n % 9 + 80}", 0, opening, reorder_at)
            )
    return found


def customer(number: int) -> dict[str, Any]:
    """Return customer `number` as orders carry it."""
    first = FIRST[number * 7 % len(FIRST)]
    last = LAST[number * 11 % len(LAST)]
    return {
        "id": f"customer-{number}",
        "name": f"{first} {last}",
        "email": f"{first}.{last}.{number}@example.org".lower(),
        "country": COUNTRIES[number % len(COUNTRIES)],
    }
