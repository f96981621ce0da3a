"""Rules of Prometheus over weeks of one target at once: what promtool judges minute by minute.

promtool and Prometheus evaluate a rule at one time after the other, which takes an hour for weeks
of many offices. Here each series is an array with a value a scrape, and an expression is evaluated
for all times together. Only what the shipped rules use is known; anything else is an error. That
it says the same as promtool is a test of its own (`tests/prometheus/test_promql.py`).

Grid      the minutes: scrapes, and evaluations a little later
Vector    labels → values, NaN where there is none
evaluate  expression → vector
alerts    what `for` and `keep_firing_for` make of one

A value that is no number (0 / 0) is taken for none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Labels = frozenset[tuple[str, str]]
Vector = dict[Labels, Array]


@dataclass(frozen=True)
class Grid:
    """*size* scrapes, *step* seconds from one to the next, the first at *begin* (epoch seconds).

    Rules are evaluated *delay* seconds after each scrape: with 0, a window of an hour holds 61
    samples in Prometheus 2, and their difference is exact, which only promtool sees. With any
    other it holds 60 of them, and `increase` makes up for what is missing, as it does in life.
    With *left_open*, as in Prometheus 3, a window leaves out a sample at its very beginning.
    """

    begin: int
    size: int
    step: int = 60
    delay: int = 20
    left_open: bool = False

    def evaluated(self) -> Array:
        """Return the times of evaluation, in epoch seconds."""
        return self.begin + self.delay + self.step * np.arange(self.size, dtype=np.float64)

    def shifted(self, values: Array, seconds: int) -> Array:
        """Return *values* of so many *seconds* ago."""
        steps = seconds // self.step
        if not steps:
            return values
        return np.concatenate([np.full(steps, np.nan), values])[: len(values)]

    def steps(self, duration: str | None) -> int:
        """Return how many evaluations a *duration* takes, at least."""
        return -(-_seconds(duration) // self.step) if duration else 0

    def reach(self, window: int, delay: int) -> int:
        """Return how many scrapes before the newest, which is *delay* old, are in a *window*."""
        return (window - delay - self.left_open) // self.step


class Data:
    """The series there are: *raw* ones are scraped, others are added as rules record them."""

    def __init__(self, grid: Grid, raw: Mapping[str, Vector]) -> None:
        self.grid = grid
        self._raw = raw
        self.recorded: dict[str, Vector] = {}

    def record(self, name: str, vector: Vector, labels: Mapping[str, str]) -> None:
        """Add what a rule recorded as *name*; several rules may record into one metric."""
        found = self.recorded.setdefault(name, {})
        for known, values in vector.items():
            key = frozenset({**dict(known), **labels}.items())
            assert key not in found, (name, key)
            found[key] = values

    def series(self, name: str, matchers: Sequence[Matcher]) -> Vector:
        found = self.recorded.get(name) or self._raw.get(name, {})
        return {
            labels: values
            for labels, values in found.items()
            if all(each.matches(dict(labels).get(each.label, "")) for each in matchers)
        }

    def delay_of(self, name: str) -> int:
        """Return how many seconds before an evaluation the newest sample of *name* was taken."""
        return 0 if name in self.recorded else self.grid.delay


# --- What an expression is made of ----------------------------------------------------------------


class Matcher(NamedTuple):
    label: str
    sign: str
    value: str

    def matches(self, value: str) -> bool:
        if self.sign in ("=~", "!~"):
            return bool(re.fullmatch(self.value, value)) == (self.sign == "=~")
        return (value == self.value) == (self.sign == "=")


class Number(NamedTuple):
    value: float


class Selector(NamedTuple):
    """Seconds; *window* and *step* are 0 where the selector has none."""

    name: str
    matchers: tuple[Matcher, ...]
    window: int = 0
    step: int = 0
    offset: int = 0


class Call(NamedTuple):
    name: str
    arguments: tuple[Any, ...]


class Aggregation(NamedTuple):
    name: str
    without: frozenset[str]
    argument: Any


class Matching(NamedTuple):
    """*on*: the labels named are those that count; else all others. *many*: `group_left`."""

    on: bool = False
    labels: frozenset[str] = frozenset()
    many: bool = False


class Binary(NamedTuple):
    sign: str
    left: Any
    right: Any
    matching: Matching


_TOKEN = re.compile(
    r"\s+|(?P<duration>\d+[smhdw])\b|(?P<number>\d+(?:\.\d+)?)|(?P<word>[A-Za-z_][\w:]*)"
    r'|(?P<text>"[^"]*")|(?P<sign>==|!=|<=|>=|=~|!~|[-+*/%<>=(){}\[\],:])'
)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def _seconds(duration: str) -> int:
    return int(duration[:-1]) * _SECONDS[duration[-1]]


_BINDING = (
    ("or",),
    ("and", "unless"),
    ("==", "!=", "<=", "<", ">=", ">"),
    ("+", "-"),
    ("*", "/", "%"),
)
_AGGREGATIONS = ("sum", "max", "min", "count")


def parse(text: str) -> Any:
    """Return the tree of an expression."""
    parser = _Parser(text)
    tree = parser.binary(0)
    assert parser.peek() == "", (text, parser.peek())
    return tree


class _Parser:
    def __init__(self, text: str) -> None:
        found = list(_TOKEN.finditer(text))
        assert "".join(each[0] for each in found) == text, text
        self._tokens = [each[0] for each in found if each[0].strip()]
        self._at = 0

    def peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def take(self, *expected: str) -> str:
        token = self.peek()
        assert not expected or token in expected, (token, expected)
        self._at += 1
        return token

    def binary(self, level: int) -> Any:
        if level == len(_BINDING):
            return self._operand()
        left = self.binary(level + 1)
        while self.peek() in _BINDING[level]:
            sign = self.take()
            matching = self._matching()
            left = Binary(sign, left, self.binary(level + 1), matching)
        return left

    def _matching(self) -> Matching:
        if self.peek() not in ("on", "ignoring"):
            return Matching()
        on = self.take() == "on"
        labels = self._names()
        many = self.peek() == "group_left"
        if many:
            self.take()
            assert not self._names()
        return Matching(on, labels, many)

    def _names(self) -> frozenset[str]:
        self.take("(")
        found = set()
        while self.peek() != ")":
            found.add(self.take())
            if self.peek() == ",":
                self.take()
        self.take(")")
        return frozenset(found)

    def _operand(self) -> Any:
        token = self.peek()
        if token == "(":
            self.take()
            inner = self.binary(0)
            self.take(")")
            return inner
        if token == "-":
            self.take()
            return Number(-float(self.take()))
        if token[0].isdigit():
            return Number(float(self.take()))
        return self._named(self.take())

    def _named(self, name: str) -> Any:
        if name in _AGGREGATIONS:
            self.take("without")
            without = self._names()
            self.take("(")
            inner = self.binary(0)
            self.take(")")
            return Aggregation(name, without, inner)
        if self.peek() == "(":
            return Call(name, tuple(self._arguments()))
        return self._selector(name)

    def _arguments(self) -> Iterator[Any]:
        self.take("(")
        while self.peek() != ")":
            yield self.binary(0)
            if self.peek() == ",":
                self.take()
        self.take(")")

    def _selector(self, name: str) -> Selector:
        matchers, window, step, offset = [], 0, 0, 0
        if self.peek() == "{":
            self.take()
            while self.peek() != "}":
                label, sign, value = self.take(), self.take(), self.take()
                matchers.append(Matcher(label, sign, value[1:-1]))
                if self.peek() == ",":
                    self.take()
            self.take("}")
        if self.peek() == "[":
            self.take()
            window = self._duration()
            if self.take(":", "]") == ":":
                step = self._duration()
                self.take("]")
        if self.peek() == "offset":
            self.take()
            offset = self._duration()
        return Selector(name, tuple(matchers), window, step, offset)

    def _duration(self) -> int:
        return _seconds(self.take())


# --- What it is -----------------------------------------------------------------------------------


def evaluate(tree: Any, data: Data) -> Vector | Array | float:
    """Return what an expression is in each minute: a vector, or a number or one a minute."""
    with np.errstate(all="ignore"):
        found: Vector | Array | float = _evaluated(tree, data)
    return found


def _evaluated(tree: Any, data: Data) -> Any:
    if isinstance(tree, Number):
        return tree.value
    if isinstance(tree, Selector):
        found = data.series(tree.name, tree.matchers)
        return {labels: data.grid.shifted(each, tree.offset) for labels, each in found.items()}
    if isinstance(tree, Call):
        return _FUNCTIONS[tree.name](data, *tree.arguments)
    if isinstance(tree, Aggregation):
        return _aggregated(tree, _evaluated(tree.argument, data))
    left, right = _evaluated(tree.left, data), _evaluated(tree.right, data)
    return _combined(tree, left, right)


def _reduced(labels: Labels, drop: Collection[str]) -> Labels:
    return frozenset(pair for pair in labels if pair[0] not in drop)


def _aggregated(tree: Aggregation, vector: Vector) -> Vector:
    groups: dict[Labels, list[Array]] = {}
    for labels, values in vector.items():
        groups.setdefault(_reduced(labels, tree.without), []).append(values)
    return {labels: _AGGREGATE[tree.name](found) for labels, found in groups.items()}


def _sum(found: Sequence[Array]) -> Array:
    total = np.nansum(found, axis=0)
    return np.where(np.isnan(found).all(axis=0), np.nan, total)


_AGGREGATE: Mapping[str, Callable[[Sequence[Array]], Array]] = {
    "sum": _sum,
    "max": lambda found: np.fmax.reduce(found),
    "min": lambda found: np.fmin.reduce(found),
    "count": lambda found: _sum([np.where(np.isnan(each), np.nan, 1.0) for each in found]),
}


def _remainder(left: Array, right: Array) -> Array:
    return np.fmod(left, right)


_ARITHMETIC: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "%": _remainder,
}
_COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}


def _of_values(sign: str, left: Any, right: Any, *, keep: Any) -> Any:
    if sign in _ARITHMETIC:
        return _ARITHMETIC[sign](left, right)
    return np.where(_COMPARISONS[sign](left, right), keep, np.nan)


def _combined(tree: Binary, left: Any, right: Any) -> Any:
    if isinstance(left, dict) and isinstance(right, dict):
        if tree.sign in ("and", "unless", "or"):
            return _of_sets(tree, left, right)
        return _matched(tree, left, right)
    if isinstance(left, dict):
        return {key: _of_values(tree.sign, v, right, keep=v) for key, v in left.items()}
    if isinstance(right, dict):
        return {key: _of_values(tree.sign, left, v, keep=v) for key, v in right.items()}
    assert tree.sign in _ARITHMETIC, tree.sign
    return _ARITHMETIC[tree.sign](left, right)


def _key(labels: Labels, matching: Matching) -> Labels:
    if matching.on:
        return frozenset(pair for pair in labels if pair[0] in matching.labels)
    return _reduced(labels, matching.labels)


def _matched(tree: Binary, left: Vector, right: Vector) -> Vector:
    others: dict[Labels, list[Array]] = {}
    for labels, values in right.items():
        others.setdefault(_key(labels, tree.matching), []).append(values)
    found: Vector = {}
    for labels, values in left.items():
        key = _key(labels, tree.matching)
        for other in others.get(key, ()):
            result = _of_values(tree.sign, values, other, keep=values)
            result = np.where(np.isnan(values) | np.isnan(other), np.nan, result)
            _put(found, labels if tree.matching.many else key, result)
    return found


def _put(found: Vector, labels: Labels, values: Array) -> None:
    if (known := found.get(labels)) is not None:
        assert not (~np.isnan(known) & ~np.isnan(values)).any(), f"many to one: {sorted(labels)}"
        values = np.fmax(known, values)
    found[labels] = values


def _there(vector: Vector, matching: Matching) -> dict[Labels, NDArray[np.bool_]]:
    found: dict[Labels, NDArray[np.bool_]] = {}
    for labels, values in vector.items():
        key = _key(labels, matching)
        found[key] = found.get(key, np.zeros(len(values), bool)) | ~np.isnan(values)
    return found


def _of_sets(tree: Binary, left: Vector, right: Vector) -> Vector:
    if tree.sign == "or":
        there = _there(left, tree.matching)
        found = dict(left)
        for labels, values in right.items():
            mask = there.get(_key(labels, tree.matching), np.False_)
            _put(found, labels, np.where(mask, np.nan, values))
        return found
    there = _there(right, tree.matching)
    return {
        labels: np.where(
            there.get(_key(labels, tree.matching), np.zeros(len(values), bool))
            == (tree.sign == "and"),
            values,
            np.nan,
        )
        for labels, values in left.items()
    }


# --- Functions ------------------------------------------------------------------------------------


def _increase(data: Data, selector: Selector, *, per_second: bool = False) -> Vector:
    found = data.series(selector.name, selector.matchers)
    delay = data.delay_of(selector.name)
    return {
        labels: data.grid.shifted(
            _extrapolated(data.grid, values, selector.window, delay), selector.offset
        )
        / (selector.window if per_second else 1)
        for labels, values in found.items()
    }


def _extrapolated(grid: Grid, values: Array, window: int, delay: int) -> Array:
    """Return what `extrapolatedRate` of Prometheus says of a counter, in each minute."""
    places = np.arange(len(values))
    first, last, samples = _in_window(grid, values, window, delay)
    risen = _without_resets(values)
    result = risen[last] - risen[first]
    sampled = (last - first) * float(grid.step)
    average = sampled / np.maximum(samples - 1, 1)
    to_start = (first - places) * float(grid.step) + window - delay
    to_end = (places - last) * float(grid.step) + delay
    to_zero = np.where(result > 0, sampled * values[first] / result, np.inf)
    to_start = np.minimum(to_start, to_zero)
    limit = average * 1.1
    reached = sampled + np.where(to_start < limit, to_start, average / 2)
    reached = reached + np.where(to_end < limit, to_end, average / 2)
    enough = samples >= 2
    return np.where(enough, result * reached / np.where(enough, sampled, 1), np.nan)


Places = NDArray[np.intp]


def _in_window(grid: Grid, values: Array, window: int, delay: int) -> tuple[Places, Places, Places]:
    """Return the places of the first and the last sample in each window, and how many it has."""
    size = len(values)
    there = ~np.isnan(values)
    places = np.arange(size)
    last = np.maximum.accumulate(np.where(there, places, -1))
    following = np.minimum.accumulate(np.where(there, places, size)[::-1])[::-1]
    earliest = np.maximum(places - grid.reach(window, delay), 0)
    first = np.minimum(following[earliest], size - 1)
    number = np.concatenate([[0], np.cumsum(there)])
    return first, last, number[places + 1] - number[earliest]


def _resets(data: Data, selector: Selector) -> Vector:
    found = data.series(selector.name, selector.matchers)
    delay = data.delay_of(selector.name)
    return {
        labels: data.grid.shifted(
            _falls(data.grid, values, selector.window, delay), selector.offset
        )
        for labels, values in found.items()
    }


def _falls(grid: Grid, values: Array, window: int, delay: int) -> Array:
    """Return how often a counter fell from one sample to the next, within each window."""
    first, last, samples = _in_window(grid, values, window, delay)
    there = np.flatnonzero(~np.isnan(values))
    fallen = np.zeros(len(values))
    fallen[there] = np.cumsum(np.diff(values[there], prepend=0.0) < 0)
    return np.where(samples > 0, fallen[last] - fallen[first], np.nan)


def _without_resets(values: Array) -> Array:
    """Return a counter that never falls: what it shows after a fall is added to it."""
    there = np.flatnonzero(~np.isnan(values))
    found = np.full(len(values), np.nan)
    steps = np.diff(values[there], prepend=0.0)
    steps = np.where(steps < 0, values[there], steps)
    found[there] = np.cumsum(steps)
    return found


def _over_time(reduce: str) -> Callable[[Data, Selector], Vector]:
    def function(data: Data, selector: Selector) -> Vector:
        found = data.series(selector.name, selector.matchers)
        delay = data.delay_of(selector.name)
        window = _subquery if selector.step else _window
        return {
            labels: data.grid.shifted(
                window(data.grid, values, selector, delay, reduce), selector.offset
            )
            for labels, values in found.items()
        }

    return function


_NEUTRAL = {"max": -np.inf, "min": np.inf}


def _window(grid: Grid, values: Array, selector: Selector, delay: int, reduce: str) -> Array:
    reach = grid.reach(selector.window, delay)
    if reduce == "last":
        places = np.arange(len(values))
        last = np.maximum.accumulate(np.where(~np.isnan(values), places, -1))
        return np.where((last >= 0) & (places - last <= reach), values[last], np.nan)
    if reduce == "avg":
        first, last, samples = _in_window(grid, values, selector.window, delay)
        total = np.cumsum(np.nan_to_num(values))
        found = total[last] - total[first] + np.nan_to_num(values[first])
        return np.where(samples > 0, found / np.maximum(samples, 1), np.nan)
    pick = np.fmax if reduce == "max" else np.fmin
    assert reduce in _NEUTRAL, reduce
    # Windows of 1, 2, 4, … samples; the last two overlap.
    found, length = values, 1
    while 2 * length <= reach + 1:
        found = pick(found, grid.shifted(found, length * grid.step))
        length *= 2
    return pick(found, grid.shifted(found, (reach + 1 - length) * grid.step))


def _subquery(grid: Grid, values: Array, selector: Selector, delay: int, reduce: str) -> Array:
    """Return the same of the values at multiples of the step."""
    # A point of a subquery stands at a full step; its value is the newest sample by then.
    step, every = selector.step, selector.step // grid.step
    evaluated = grid.begin + grid.delay + grid.step * np.arange(len(values)) - selector.offset
    age = grid.delay - delay  # of a sample, after the begin of its minute
    first_point = -(-(grid.begin + age) // step)
    points = first_point * step + step * np.arange(len(values) // every)
    at = (points - grid.begin - age) // grid.step
    at = at[at < len(values)]
    sampled = np.append(np.full(selector.window // step + 1, np.nan), values[at])
    shift = selector.window // step + 1 - first_point
    high = evaluated // step + shift
    begin = evaluated - selector.window
    low = (begin // step + 1 if grid.left_open else -(-begin // step)) + shift
    high = np.clip(high, 0, len(sampled) - 1).astype(int)
    low = np.clip(low, 0, len(sampled)).astype(int)
    number = np.concatenate([[0], np.cumsum(~np.isnan(sampled))])
    count = number[high + 1] - number[np.minimum(low, high + 1)]
    if reduce in ("sum", "avg"):
        total = np.concatenate([[0.0], np.cumsum(np.nan_to_num(sampled))])
        found = total[high + 1] - total[np.minimum(low, high + 1)]
        found = found / np.maximum(count, 1) if reduce == "avg" else found
    else:
        pick = np.fmax if reduce == "max" else np.fmin
        pairs, where = np.unique(np.stack([low, high]), axis=1, return_inverse=True)
        each = [pick.reduce(sampled[b : e + 1], initial=np.nan) for b, e in pairs.T]
        found = np.array(each)[where.reshape(-1)]
    # The offset is applied to the result, which is already shifted here.
    found = np.where(count > 0, found, np.nan)
    back = selector.offset // grid.step
    return np.concatenate([found[back:], np.full(back, np.nan)])


def _clamp(data: Data, argument: Any, low: Number, high: Number) -> Vector:
    vector = _evaluated(argument, data)
    return {labels: np.clip(values, low.value, high.value) for labels, values in vector.items()}


def _map(function: Callable[[Array], Array]) -> Callable[[Data, Any], Vector]:
    def mapped(data: Data, argument: Any) -> Vector:
        return {labels: function(values) for labels, values in _evaluated(argument, data).items()}

    return mapped


def _quantile(data: Data, fraction: Number, argument: Any) -> Vector:
    groups: dict[Labels, dict[float, Array]] = {}
    for labels, values in _evaluated(argument, data).items():
        bound = float(dict(labels)["le"])
        groups.setdefault(_reduced(labels, ("le",)), {})[bound] = values
    return {labels: _quantile_of(fraction.value, found) for labels, found in groups.items()}


def _quantile_of(fraction: float, buckets: Mapping[float, Array]) -> Array:
    bounds = np.array(sorted(buckets))
    counts = np.maximum.accumulate([buckets[each] for each in bounds])
    rank = fraction * counts[-1]
    place = np.minimum((counts < rank).sum(axis=0), len(bounds) - 1)
    columns = np.arange(counts.shape[1])
    below = np.where(place > 0, counts[place - 1, columns], 0.0)
    begin = np.where(place > 0, bounds[place - 1], 0.0)
    inside = counts[place, columns] - below
    end = np.where(np.isinf(bounds[place]), 0.0, bounds[place])
    found = begin + (end - begin) * (rank - below) / inside
    found = np.where(place == len(bounds) - 1, bounds[-2], found)
    return np.where(counts[-1] > 0, found, np.nan)


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "increase": _increase,
    "resets": _resets,
    "rate": lambda data, selector: _increase(data, selector, per_second=True),
    "sum_over_time": _over_time("sum"),
    "avg_over_time": _over_time("avg"),
    "max_over_time": _over_time("max"),
    "min_over_time": _over_time("min"),
    "last_over_time": _over_time("last"),
    "asin": _map(np.arcsin),
    "clamp": _clamp,
    "sqrt": _map(np.sqrt),
    "abs": _map(np.abs),
    "hour": _map(lambda time: time % 86400 // 3600),
    "day_of_week": _map(lambda time: (time // 86400 + 4) % 7),
    "histogram_quantile": _quantile,
    "time": lambda data: data.grid.evaluated(),
}


# --- Rules ----------------------------------------------------------------------------------------

Rule = Mapping[str, Any]


def in_order(rules: Sequence[Rule]) -> list[Rule]:
    """Return *rules* so that each stands behind those that record what it reads."""
    waiting, found = list(rules), list[Rule]()
    while waiting:
        names = {rule.get("record") for rule in waiting}
        ready = [rule for rule in waiting if not names & _read_by(rule["expr"])]
        assert ready, names
        found += ready
        waiting = [rule for rule in waiting if rule not in ready]
    return found


def _read_by(expression: str) -> set[str]:
    return set(re.findall(r"[A-Za-z_]\w*:\w+(?::\w+)?", expression))


Spell = tuple[int, int]
"""First and last evaluation (counted from the first) at which an alert fires without a break."""


def apply(rules: Sequence[Rule], data: Data) -> dict[str, dict[Labels, list[Spell]]]:
    """Record what the rules say; return the spells of each alert, by the labels of its series."""
    found: dict[str, dict[Labels, list[Spell]]] = {}
    for rule in in_order(rules):
        vector = evaluate(parse(rule["expr"]), data)
        assert isinstance(vector, dict), rule
        if "record" in rule:
            data.record(rule["record"], vector, rule.get("labels", {}))
        else:
            times = [data.grid.steps(rule.get(key)) for key in ("for", "keep_firing_for")]
            firing = {k: list(_firing(values, *times)) for k, values in vector.items()}
            found[rule["alert"]] = {key: each for key, each in firing.items() if each}
    return found


def _firing(values: Array, wait: int, keep: int) -> Iterator[Spell]:
    """Yield when an alert fires that must be true for *wait* evaluations, and for *keep* more."""
    there = np.concatenate([[False], ~np.isnan(values), [False]])
    edges = np.flatnonzero(there[1:] != there[:-1])
    spell: Spell | None = None
    for begin, end in zip(edges[::2].tolist(), (edges[1::2] - 1).tolist(), strict=True):
        if spell and begin <= spell[1] + 1:
            spell = spell[0], max(spell[1], min(end + keep, len(values) - 1))
            continue
        if spell:
            yield spell
            spell = None
        if end - begin >= wait:
            spell = begin + wait, min(end + keep, len(values) - 1)
    if spell:
        yield spell
