"""Names that look alike: which of them may be a slip of the pen for another, and which mean another thing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher, get_close_matches

SLIP = 0.75
# Words that tell one measure, moment or person from another of the same name: never a slip for each other or for nothing.
_MEASURES = (
    "km m cm mm mile miles mi metre metres meter meters foot feet ft inch inches yard yards kilometre kilometres kilometer kilometers",
    "kg g mg kilo kilos gram grams kilogram kilograms lb lbs oz pound pounds ounce ounces ton tons tonne tonnes t",
    "l ml litre litres liter liters gallon gallons gal",
    "c f k celsius fahrenheit kelvin degc degf",
    "s sec secs second seconds ms millis us min mins minute minutes h hr hrs hour hours day days week weeks month months quarter "
    "quarters year years daily weekly monthly yearly hourly",
    "cent cents penny pence dollar dollars euro euros usd eur gbp chf jpy cad aud sek nok dkk pln local_currency",
    "net gross tax vat discount fee fees refund refunds pretax posttax incl excl including excluding",
    "utc local gmt cet est pst tz timezone",
    "created updated modified deleted inserted loaded ordered shipped delivered paid cancelled canceled closed opened due sent "
    "received signed expired booked arrived departed refunded returned",
    "first last middle previous prev next old new current initial final latest earliest original",
    "start end begin started ended from to until since valid effective",
    "min max avg mean median sum total count cnt qty quantity number pct percent percentage ratio rate share score rank",
    "in out inbound outbound incoming outgoing debit credit buy sell bought sold source target origin destination",
    "planned actual forecast budget estimated expected real raw clean adj adjusted",
    "before after pre post with without not is has un non",
    "b kb mb gb tb bytes bits kw kwh mw mwh w wh",
)
_OTHERS = (
    "billing shipping home work parent child sender recipient buyer seller customer vendor supplier user account",
    "id key name code type status label title url email phone date time at on ts timestamp datetime dt",
    "x y z lat lon lng latitude longitude width height length depth",
)
# One word in its spellings: who writes one of them means the others. "min" is no spelling of minutes, as it is also the least.
_SPELLINGS = (
    "minute minutes mins|second seconds sec secs|millisecond milliseconds millis ms|hour hours hr hrs|day days|week weeks wk wks|"
    "month months mth mths|quarter quarters qtr qtrs|year years yr yrs|kilometre kilometres kilometer kilometers km kms|"
    "metre metres meter meters|mile miles|kilogram kilograms kilo kilos kg kgs|gram grams|tonne tonnes|litre litres liter liters|"
    "pound pounds lb lbs|celsius degc|fahrenheit degf|cent cents|dollar dollars usd|euro euros eur|percent percentage pct|"
    "quantity qty|amount amt|count cnt|average avg|maximum max|minimum min|number num nr|timestamp ts|datetime dt|"
    "longitude lon lng|latitude lat|address addr|customer cust|account acct|transaction txn|department dept|"
    "organization organisation org|description descr|identifier ident id|reference ref|category cat|color colour|center centre"
)
_SPELT = {word: group.split()[0] for group in _SPELLINGS.split("|") for word in group.split()}
_MEASURING = frozenset(word for group in _MEASURES for word in group.split())
_TELLING = _MEASURING | frozenset(word for group in _OTHERS for word in group.split())


def may_be_a_slip(written: str, meant: str) -> bool:
    """Whether one name may be a misspelling of the other: no word, number or unit of either is missing in the other.

    ``amuont_usd`` may be ``amount_usd``, ``delay_mins`` ``delay_minutes``; ``amount`` is not ``amount_usd``, nor ``first_name`` ``last_name``.
    """
    return not _apart(written, meant)


def changes_the_measure(old: str, new: str) -> bool:
    """Whether a word that only one of the names has tells a unit, a currency, a moment or a side, or is a number."""
    return any(word in _MEASURING or any(sign.isdigit() for sign in word) for word in _apart(old, new))


def _apart(written: str, meant: str) -> list[str]:
    """Words of either name that the other has not, spelt right or wrong."""
    left, right = _words(written), _words(meant)
    if "".join(left) == "".join(right):
        return []
    for word in list(left):
        if word in right:
            left.remove(word)
            right.remove(word)
    for word in list(left):
        near = next((one for one in right if _misspelt(word, one)), None)
        if near is not None:
            left.remove(word)
            right.remove(near)
    return [*left, *right]


def plausible(written: str, names: Iterable[str], *, cutoff: float = SLIP, most: int = 4) -> list[str]:
    """Names that could be meant, nearest first, those of another meaning among them."""
    by_name = {name.lower(): name for name in names if name.lower() != written.lower()}
    near = get_close_matches(written.lower(), list(by_name), n=most, cutoff=cutoff)
    # Letters that changed places make two short names less alike than they look.
    near += [one for one in by_name if one not in near and sorted(one) == sorted(written.lower())]
    stem = set(_words(written))
    kin = [one for one in by_name if one not in near and _share_a_stem(stem, set(_words(one)))]
    return [by_name[one] for one in (*near, *kin)][:most]


def only_slip(written: str, names: Sequence[str]) -> str | None:
    """The one name of several that a slip can explain; None where there is none, or more than one."""
    slips = [one for one in names if may_be_a_slip(written, one)]
    return slips[0] if len(slips) == 1 else None


def _misspelt(word: str, other: str) -> bool:
    """Whether both are one word: spelt in two ways, or one of them wrongly."""
    if word in _SPELT and _SPELT[word] == _SPELT.get(other):
        return True
    if re.search(r"\d", word + other):
        return False
    if word in _TELLING and other in _TELLING:
        # cent and cents are one word, paid and sent are not.
        return word.rstrip("s") == other.rstrip("s") and min(len(word), len(other)) > 2
    if sorted(word) == sorted(other) and len(word) > 2:
        return True
    return min(len(word), len(other)) > 2 and SequenceMatcher(None, word, other).ratio() >= SLIP


def _share_a_stem(stem: set[str], other: set[str]) -> bool:
    plain = {word for word in stem if word not in _TELLING and not word.isdigit()}
    return bool(plain) and plain == {word for word in other if word not in _TELLING and not word.isdigit()}


def _words(name: str) -> list[str]:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return [word for word in re.split(r"[^a-z0-9]+", spaced.lower()) if word]
