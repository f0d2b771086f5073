"""A rollup's rows as they lie in Redis.

Pure; what they mean is rollups.py. A rollup is a hash with a field for each row. Its name has the
row's values, `["model","key","mode","pool"]`, in the twins by tag, user or session with that one
after them. It holds the sums, `[1,100,20,null,164000000,600000000,436000000]`, in the order of
MEASURES. One that was never known is null, so that unknown money is not a zero. Earlier versions
kept a field for each measure, `["model","key","mode","pool"] requests`, and the first of them no
pool; a hash may hold all three forms.
"""

import json
from collections.abc import Mapping
from typing import Final

import orjson

from gateway.redis_keys import By
from gateway.rollups import COLUMNS, MAIN, MEASURES, OTHER, Measures, Row

# Adds a row's amounts to its sums, as text: Lua's numbers are doubles, exact to fifteen digits, and
# longer ones are added in halves. What would not fit into 64 bits, or is no number, is left alone.
# Answers the new sums and how many were left alone.
ADDED: Final = """
local function halves(text)
  local sign, digits = string.match(text, '^(%-?)(%d+)$')
  if not sign then return end
  local high = tonumber('0' .. string.sub(digits, 1, -10))
  local low = tonumber(string.sub(digits, -9))
  if sign == '-' then return -high, -low end
  return high, low
end
local function plus(one, other)
  if other == 'null' then return one end
  if one == 'null' then one = '0' end
  local number, number_too = tonumber(one), tonumber(other)
  if not (number and number_too) then return end
  if #one < 16 and #other < 16 then return string.format('%.0f', number + number_too) end
  local high, low = halves(one)
  local high_too, low_too = halves(other)
  if not (high and high_too) then return end
  high, low = high + high_too, low + low_too
  local carry = math.floor(low / 1e9)
  high, low = high + carry, low - carry * 1e9
  if high < 0 and low > 0 then high, low = high + 1, low - 1e9 end
  if math.abs(high) > 9.2e9 then return end
  if high == 0 then return string.format('%.0f', low) end
  return string.format('%.0f%09.0f', high, math.abs(low))
end
local function added(sums, amounts)
  local totals, left = {}, 0
  local next_sum = string.gmatch(sums, '[^%[%],]+')
  for amount in string.gmatch(amounts, '[^%[%],]+') do
    local sum = next_sum() or 'null'
    local total = plus(sum, amount)
    if not total then left = left + 1 end
    totals[#totals + 1] = total or sum
  end
  return '[' .. table.concat(totals, ',') .. ']', left
end
"""

StoredRow = tuple[str, Measures]  # the name of its field, and its sums

_PLACES: Final = {measure: place for place, measure in enumerate(MEASURES)}
_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def field_of(row: Row) -> str:
    """The name of a row's field."""
    return _json(row)


def other_field(row: Row) -> str:
    """The same under the value that takes what is too many."""
    return _json((*row[:-1], OTHER))


def amounts_of(measures: Measures) -> str:
    """What a row's field holds, and what is added to it."""
    return _json(measures)


def row_and_rest(field: str) -> tuple[str, str]:
    """A field's name as its row and, in an earlier version's, the measure with its space.

    >>> row_and_rest('["a","b","iso","default"] requests')
    ('["a","b","iso","default"]', ' requests')
    >>> row_and_rest('["a","b","iso","default"]')
    ('["a","b","iso","default"]', '')
    """
    end = field.rfind("]") + 1
    return field[:end], field[end:]


def read(
    stored: Mapping[str, str], by: By | None = None, *, key: str | None = None
) -> list[StoredRow]:
    """The rows of a rollup hash, those of the first version with an empty pool; a row may come in
    several parts. `key`: the rows of this one alone."""
    if key is not None:
        needle = _json(key)
        stored = {field: text for field, text in stored.items() if needle in field}
    old: dict[str, Measures] = {}
    for field in [field for field in stored if field[-1] != "]"]:
        row, measure = row_and_rest(field)
        of_row = old.setdefault(row, [None] * len(MEASURES))
        of_row[_PLACES[measure[1:]]] = int(stored[field])
    if old:
        stored = {field: text for field, text in stored.items() if field[-1] == "]"}
    # There may be tens of thousands in an answer: a hash is parsed as one text.
    rows = list(zip(stored, orjson.loads(f"[{','.join(stored.values())}]"), strict=True))
    for row, measures in old.items():
        values: list[str] = json.loads(row)
        if len(values) < len(COLUMNS[by]):
            values.insert(MAIN.index("pool"), "")
        rows.append((field_of(tuple(values)), measures))
    if key is None:
        return rows
    place = COLUMNS[by].index("key")
    return [(field, measures) for field, measures in rows if values_of(field)[place] == key]


def values_of(field: str) -> Row:
    """The values in a field's name, by a split where nothing in it is escaped.

    >>> values_of('["a","b","iso","default"]')
    ('a', 'b', 'iso', 'default')
    """
    return tuple(json.loads(field) if "\\" in field else field[2:-2].split('","'))


def last_of(field: str) -> Row:
    """The last of them alone."""
    if "\\" in field:
        return values_of(field)[-1:]
    return (field[field.rfind('"', 0, -2) + 1 : -2],)
