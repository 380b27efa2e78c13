"""The businesses that a sandbox can be about: six vocabularies over two shapes of dbt project."""

from __future__ import annotations

import re
from dataclasses import dataclass

_COLUMN = re.compile(r"^(?P<name>\w+?)(?P<kind>>>|>|=|~|\$|#|@|\?)(?P<rest>.*)$")
_KINDS = {
    ">": "link",
    ">>": "spread",
    "=": "choice",
    "~": "text",
    "$": "money",
    "#": "number",
    "@": "moment",
    "?": "flag",
}
_TYPES = {
    "key": "integer",
    "link": "integer",
    "spread": "integer",
    "choice": "varchar",
    "text": "varchar",
    "money": "integer",
    "number": "integer",
    "moment": "timestamp",
    "flag": "boolean",
}


@dataclass(frozen=True)
class Column:
    """A column of a raw table and what staging makes of it; ``kind`` decides type and values.

    ``values`` are those of a choice or text, ``low`` and ``high`` the bounds of a number or of money (in whole units),
    ``target`` the table that a link points to.
    """

    name: str
    kind: str
    values: tuple[str, ...] = ()
    low: int = 0
    high: int = 0
    target: str = ""

    @property
    def raw(self) -> str:
        """Its name in the raw table: money arrives in cents."""
        return f"{self.name}_cents" if self.kind == "money" else self.name

    @property
    def sql_type(self) -> str:
        """Its type in the raw table."""
        return _TYPES[self.kind]

    def staged(self) -> str:
        """The expression that staging selects."""
        if self.kind == "money":
            return f"{self.raw} / 100.0 as {self.name}"
        if self.kind == "choice":
            return f"lower({self.raw}) as {self.name}"
        return self.name


@dataclass(frozen=True)
class Table:
    """A raw table; ``base`` rows arrive with the first load, ``daily`` with each load."""

    name: str
    columns: tuple[Column, ...]
    base: int
    daily: int

    @property
    def key(self) -> str:
        """The primary key, always the first column."""
        return self.columns[0].name

    @property
    def singular(self) -> str:
        """One row of it."""
        return self.key.removesuffix("_id")

    @property
    def staging(self) -> str:
        """The name of its staging model."""
        return f"stg_{self.name}"

    def column(self, name: str) -> Column:
        """One column by its staged name."""
        return next(one for one in self.columns if one.name == name)

    def first(self, kind: str) -> Column:
        """The first column of a kind."""
        return next(one for one in self.columns if one.kind == kind)

    def last_id(self, day: int) -> int:
        """The highest key once the load of a day (from 0) is in."""
        return self.base + self.daily * (day + 1)


@dataclass(frozen=True)
class Branch:
    """A raw event table with a fact of its own, and what may happen to it.

    ``category`` is tested for accepted values, ``measure`` for nulls; ``renamed`` is what the source may call the
    measure one day, ``novelty`` a category that may appear.
    """

    table: Table
    category: str
    measure: str
    renamed: str
    novelty: str
    reported: bool = True

    @property
    def fact(self) -> str:
        """The name of its fact model."""
        return f"fct_{self.table.name}"

    @property
    def report(self) -> str:
        """The name of the model that sums it up by day."""
        return f"rpt_{self.table.singular}_activity"


@dataclass(frozen=True)
class Domain:
    """One business. ``shape`` is ``sales`` or ``service``; ``roles`` names the tables that the core models join.

    sales: party, item, document, line, profile. service: party, job, and ``sites``, a seed of (code, name).
    """

    shape: str
    name: str
    owner: str
    directory: str
    roles: dict[str, Table]
    branches: tuple[Branch, ...]
    teams: tuple[tuple[str, str], ...]
    sites: tuple[tuple[str, str], ...] = ()
    site: str = ""

    @property
    def source(self) -> str:
        """The dbt source, and the name of the system that is loaded."""
        return f"{self.name}_app"

    @property
    def raw_schema(self) -> str:
        """Where the loader puts its tables."""
        return f"raw_{self.name}"

    @property
    def tables(self) -> dict[str, Table]:
        """Every raw table by name."""
        found = [*self.roles.values(), *(branch.table for branch in self.branches)]
        return {table.name: table for table in found}


def _table(text: str, base: int, daily: int) -> Table:
    """``name key: column, ...`` with a column as name, a sign for its kind and what the kind needs."""
    head, _, tail = text.partition(":")
    name, key = head.split()
    columns = [Column(key, "key")]
    for part in tail.split(","):
        match = _COLUMN.match(part.strip())
        assert match, part
        kind, rest = _KINDS[match["kind"]], match["rest"]
        low, _, high = rest.partition("-") if kind in ("money", "number") else ("0", "", "0")
        columns.append(
            Column(
                match["name"],
                kind,
                values=tuple(rest.split("/")) if kind in ("choice", "text") else (),
                low=int(low),
                high=int(high),
                target=rest if kind in ("link", "spread") else "",
            )
        )
    return Table(name, tuple(columns), base, daily)


def _sales(
    name: str,
    owner: str,
    texts: tuple[str, str, str, str, str],
    branches: tuple[Branch, ...],
    teams: tuple[str, str, str],
) -> Domain:
    party, item, document, line, profile = texts
    return Domain(
        shape="sales",
        name=name,
        owner=owner,
        directory=".",
        roles={
            "party": _table(party, 60, 2),
            "item": _table(item, 30, 1),
            "document": _table(document, 60, 20),
            "line": _table(line, 150, 50),
            "profile": _table(profile, 120, 4),
        },
        branches=branches,
        teams=tuple((team, f"{team}@{owner}.example") for team in teams),
    )


def _service(
    name: str,
    owner: str,
    texts: tuple[str, str],
    site: str,
    sites: tuple[tuple[str, str], ...],
    branches: tuple[Branch, ...],
    teams: tuple[str, str],
) -> Domain:
    party, job = texts
    return Domain(
        shape="service",
        name=name,
        owner=owner,
        directory="transform",
        roles={"party": _table(party, 25, 1), "job": _table(job, 50, 20)},
        branches=branches,
        teams=tuple((team, f"{team}@{owner}.example") for team in teams),
        site=site,
        sites=sites,
    )


def _branch(text: str, category: str, measure: str, renamed: str, novelty: str, reported: bool = True) -> Branch:
    return Branch(_table(text, 40, 15), category, measure, renamed, novelty, reported)


SALES = (
    _sales(
        "shop",
        "acme",
        (
            "customers customer_id: full_name~Ada Byron/Max Frisch/Ines Roth/Juan Soler/Mei Tan, country~DE/FR/ES/NL, signed_up_at@",
            "products product_id: product_name~Lamp/Chair/Desk/Shelf/Sofa, category~lighting/seating/storage, list_price$5-400",
            "orders order_id: customer_id>customers, status=placed/shipped/completed/cancelled, shipping_fee$0-15, ordered_at@",
            "order_items order_item_id: order_id>>orders, product_id>products, quantity#1-4, unit_price$5-400",
            "customer_addresses address_id: customer_id>>customers, region~north/south/east/west, postal_code~10115/20095/50667, is_current?",
        ),
        (
            _branch(
                "payments payment_id: customer_id>customers, method=card/invoice/wallet, amount$5-900, paid_at@",
                "method",
                "amount",
                "gross_amount",
                "crypto",
            ),
            _branch(
                "reviews review_id: customer_id>customers, channel=web/app/email, rating#1-5, reviewed_at@",
                "channel",
                "rating",
                "stars",
                "whatsapp",
            ),
            _branch(
                "returns return_id: customer_id>customers, reason=damaged/too_late/wrong_item, refund$5-300, returned_at@",
                "reason",
                "refund",
                "refunded",
                "changed_mind",
                reported=False,
            ),
            _branch(
                "sessions session_id: customer_id>customers, device=desktop/mobile/tablet, page_views#1-40, started_at@",
                "device",
                "page_views",
                "pages_viewed",
                "smart_tv",
                reported=False,
            ),
        ),
        ("finance", "growth", "analytics"),
    ),
    _sales(
        "billing",
        "northwind",
        (
            "accounts account_id: company_name~Umbra/Vanta/Kelso/Orbis, industry~retail/media/energy, created_at@",
            "plans plan_id: plan_name~Starter/Team/Business/Scale, tier~basic/plus/premium, monthly_fee$9-500",
            "invoices invoice_id: account_id>accounts, status=draft/open/paid/void, tax$0-40, issued_at@",
            "invoice_lines invoice_line_id: invoice_id>>invoices, plan_id>plans, seats#1-30, seat_price$5-50",
            "account_contacts contact_id: account_id>>accounts, region~emea/amer/apac, language~en/de/ja, is_current?",
        ),
        (
            _branch(
                "charges charge_id: account_id>accounts, processor=stripe/adyen/bank, charged$9-900, charged_at@",
                "processor",
                "charged",
                "charge_total",
                "paypal",
            ),
            _branch(
                "tickets ticket_id: account_id>accounts, severity=low/normal/urgent, minutes_open#5-900, opened_at@",
                "severity",
                "minutes_open",
                "open_minutes",
                "blocker",
            ),
            _branch(
                "credit_notes credit_note_id: account_id>accounts, reason=outage/goodwill/billing_error, credited$5-200, credited_at@",
                "reason",
                "credited",
                "credit_total",
                "downgrade",
                reported=False,
            ),
            _branch(
                "logins login_id: account_id>accounts, client=browser/desktop/mobile, duration_s#10-5000, logged_in_at@",
                "client",
                "duration_s",
                "duration_sec",
                "cli",
                reported=False,
            ),
        ),
        ("revenue", "support", "data_platform"),
    ),
    _sales(
        "clinic",
        "meadow",
        (
            "patients patient_id: full_name~Lea Marsh/Omar Diab/Nora Lind/Ken Abe, blood_type~a/b/o, registered_at@",
            "treatments treatment_id: treatment_name~Cleaning/Filling/X-ray/Check-up, department~dental/imaging/general, base_fee$20-600",
            "visits visit_id: patient_id>patients, status=booked/attended/billed/missed, copay$0-50, visited_at@",
            "visit_procedures procedure_id: visit_id>>visits, treatment_id>treatments, units#1-3, unit_fee$20-600",
            "patient_policies policy_id: patient_id>>patients, insurer~alpine/union/civic, plan_code~p1/p2/p3, is_current?",
        ),
        (
            _branch(
                "claims claim_id: patient_id>patients, route=portal/fax/api, claimed$20-900, claimed_at@",
                "route",
                "claimed",
                "claim_value",
                "kiosk",
            ),
            _branch(
                "surveys survey_id: patient_id>patients, medium=sms/email/paper, score#0-10, answered_at@",
                "medium",
                "score",
                "nps_score",
                "tablet",
            ),
            _branch(
                "prescriptions prescription_id: patient_id>patients, form=tablet/liquid/injection, cost$3-200, prescribed_at@",
                "form",
                "cost",
                "drug_cost",
                "patch",
                reported=False,
            ),
            _branch(
                "reminders reminder_id: patient_id>patients, outcome=delivered/bounced/ignored, attempts#1-4, sent_at@",
                "outcome",
                "attempts",
                "tries",
                "blocked",
                reported=False,
            ),
        ),
        ("claims_team", "patient_care", "reporting"),
    ),
)

SERVICE = (
    _service(
        "freight",
        "acme",
        (
            "carriers carrier_id: carrier_name~Hollis/Brandt/Quay/Tern, mode~road/rail/sea, joined_at@",
            "shipments shipment_id: carrier_id>carriers, depot_code~HAM/ROT/ANT/LEH, weight_kg#20-900, transit_minutes#60-4000, promised_minutes#60-4000, dispatched_at@",
        ),
        "depot",
        (("HAM", "Hamburg"), ("ROT", "Rotterdam"), ("ANT", "Antwerp"), ("LEH", "Le Havre")),
        (
            _branch(
                "scans scan_id: carrier_id>carriers, event=loaded/departed/arrived/delivered, dwell_minutes#1-300, scanned_at@",
                "event",
                "dwell_minutes",
                "dwell_min",
                "returned",
            ),
            _branch(
                "tolls toll_id: carrier_id>carriers, payer=carrier/customer/depot, toll$1-80, charged_at@",
                "payer",
                "toll",
                "toll_total",
                "broker",
                reported=False,
            ),
        ),
        ("operations", "procurement"),
    ),
    _service(
        "rides",
        "northwind",
        (
            "drivers driver_id: driver_name~Ruiz/Okafor/Lam/Berg, vehicle~car/van/bike, hired_at@",
            "trips trip_id: driver_id>drivers, zone_code~CEN/AIR/HAR/UNI, passengers#1-6, transit_minutes#4-90, promised_minutes#4-90, picked_up_at@",
        ),
        "zone",
        (("CEN", "Centre"), ("AIR", "Airport"), ("HAR", "Harbour"), ("UNI", "University")),
        (
            _branch(
                "pings ping_id: driver_id>drivers, network=lte/wifi/nr, signal#1-100, pinged_at@",
                "network",
                "signal",
                "signal_strength",
                "satellite",
            ),
            _branch(
                "tips tip_id: driver_id>drivers, paid_by=card/cash/voucher, tip$1-30, tipped_at@",
                "paid_by",
                "tip",
                "tip_total",
                "points",
                reported=False,
            ),
        ),
        ("dispatch", "driver_success"),
    ),
    _service(
        "repairs",
        "meadow",
        (
            "technicians technician_id: technician_name~Voss/Adler/Chen/Silva, trade~lift/hvac/power, certified_at@",
            "work_orders work_order_id: technician_id>technicians, plant_code~NTH/STH/EST/WST, parts_used#0-12, transit_minutes#20-900, promised_minutes#20-900, started_at@",
        ),
        "plant",
        (("NTH", "North works"), ("STH", "South works"), ("EST", "East works"), ("WST", "West works")),
        (
            _branch(
                "readings reading_id: technician_id>technicians, sensor=vibration/heat/noise, level#1-500, read_at@",
                "sensor",
                "level",
                "reading_level",
                "pressure",
            ),
            _branch(
                "purchases purchase_id: technician_id>technicians, supplier=local/central/oem, price$2-700, bought_at@",
                "supplier",
                "price",
                "net_price",
                "surplus",
                reported=False,
            ),
        ),
        ("maintenance", "sourcing"),
    ),
)
