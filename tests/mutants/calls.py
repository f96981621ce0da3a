"""Bugs in what makes calls of legs, and counts them."""

from __future__ import annotations

from .mutant import Mutant

ANSWERED = "cdr_exporter/calls/reachable_time.py"
BOOK = "cdr_exporter/calls/open_calls.py"
BOOKS = "cdr_exporter/ingest/pbx_state.py"
CALL = "cdr_exporter/calls/call.py"
CALLEE = "cdr_exporter/calls/callee.py"
COUNTING = "cdr_exporter/metrics/call_metrics.py"
LEG = "cdr_exporter/calls/leg.py"
OPEN_CALLS = "cdr_exporter/store/call_rows.py"
SETTLING = "cdr_exporter/ingest/call_assembly.py"
STORE = "cdr_exporter/store/store.py"

GOLDEN = ("tests/calls/test_calls.py",)
COUNTED = ("tests/metrics/test_call_metrics.py",)
OVER = ("tests/ingest/test_call_assembly.py",)
MODEL = ("tests/test_exactly_once.py::TestQuickly",)
STATE = ("tests/store/test_call_rows.py",)
TIME = ("tests/calls/test_reachable_time.py",)

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "any outcome may stand for the strongest",
        CALL,
        "    outcome = min((leg.outcome for leg in legs), key=_STRENGTH.__getitem__)\n",
        "    outcome = legs[-1].outcome\n",
        GOLDEN,
    ),
    Mutant(
        "the trunk is that of the first leg, whoever decided",
        CALL,
        "        trunk=_trunk(deciding[0], legs),\n",
        "        trunk=_trunk(legs[0], legs),\n",
        GOLDEN,
    ),
    Mutant(
        "a call whose deciding leg has no trunk has none",
        CALL,
        "    named = (leg.trunk for leg in (deciding, *legs) if leg.trunk != NO_TRUNK)\n",
        "    named = (leg.trunk for leg in (deciding,) if leg.trunk != NO_TRUNK)\n",
        GOLDEN,
    ),
    Mutant(
        "talk that overlaps counts twice",
        CALL,
        "        covered += max(0, end - max(begin, until))\n",
        "        covered += end - begin\n",
        GOLDEN,
    ),
    Mutant(
        "the wait begins with the leg that was answered",
        CALL,
        "        wait=min((_begin(leg, began) + leg.ring - began for leg in with_people), "
        "default=None),\n",
        "        wait=min((leg.ring for leg in with_people), default=None),\n",
        GOLDEN,
    ),
    Mutant(
        "the order in which legs come decides between equals",
        CALL,
        "    return known, _FIRST_TYPE.get(leg.call_type, len(_FIRST_TYPE)), leg\n",
        "    return known, 0, 0\n",
        GOLDEN,
    ),
    Mutant(
        "machines are people",
        LEG,
        '    if disposition == "ANSWERED" and called.is_machine:\n',
        '    if disposition == "ANSWERED" and False:\n',
        GOLDEN,
    ),
    Mutant(
        "a ring group that talks is a machine",
        LEG,
        '        return "answered" if by_phone else "machine"\n',
        '        return "machine"\n',
        GOLDEN,
    ),
    Mutant(
        "whoever is called Ivrea is an IVR",
        CALLEE,
        "    return any(name.startswith(word) and not name[len(word) :][:1].isalpha() "
        "for word in words)\n",
        "    return any(name.startswith(word) for word in words)\n",
        GOLDEN,
    ),
    Mutant(
        "the shortest beginning of a number wins",
        LEG,
        "        beginnings = (number[:length] for length in range(len(number), 0, -1))\n",
        "        beginnings = (number[:length] for length in range(1, len(number) + 1))\n",
        GOLDEN,
    ),
    Mutant(
        "a hang-up hands the call on",
        LEG,
        '    return called.is_machine and disposition == "ANSWERED" and not ended\n',
        '    return called.is_machine and disposition == "ANSWERED"\n',
        GOLDEN,
    ),
    Mutant(
        "a leg that comes in another poll replaces those before",
        BOOK,
        "        return OpenCall.of([*known.legs, *new], max(seen, known.seen))\n",
        "        return OpenCall.of(new, seen)\n",
        (*OVER, *MODEL),
    ),
    Mutant(
        "a late leg is a call of its own",
        BOOK,
        "            if closed is not None:\n",
        "            if closed is not None and not closed.counted:\n",
        OVER,
    ),
    Mutant(
        "late legs are not told of",
        BOOK,
        "                late += closed.counted\n",
        "                late += 0\n",
        (*OVER, *MODEL),
    ),
    Mutant(
        "a call from before the start is put together from its rest",
        BOOK,
        "        legs = [each for each in legs if each[0] not in passed or each[0] in self.open]\n",
        "        passed = {}\n",
        OVER,
    ),
    Mutant(
        "a call is over at once",
        BOOK,
        "    return at.waited(call) >= wait\n",
        "    return True\n",
        OVER,
    ),
    Mutant(
        "a call is over though older legs of it are still to be read",
        BOOK,
        "        return call.started_at <= self.began or call.ended_at <= self.ended\n",
        "        return False\n",
        OVER,
    ),
    Mutant(
        "legs one by one are not waited for",
        BOOK,
        "    goes_on = terms.one_by_one and call.may_go_on\n",
        "    goes_on = False\n",
        OVER,
    ),
    Mutant(
        "calls of an outage are waited for as if they were seen live",
        BOOK,
        "        if at.catching_up and not fresh:\n",
        "        if False:\n",
        OVER,
    ),
    Mutant(
        "open calls are without bound",
        BOOK,
        "        return dict(left[: max(0, len(left) - MOST_OPEN)])\n",
        "        return {}\n",
        OVER,
    ),
    Mutant(
        "closed calls are without bound",
        BOOK,
        "        return [*surplus, *(uid for uid, _ in old)]\n",
        "        return []\n",
        OVER,
    ),
    Mutant(
        "what is over is counted and stays open",
        BOOK,
        "        for uid in (*change.closed, *change.forgotten):\n"
        "            self.open.pop(uid, None)\n",
        "",
        (*OVER, *MODEL),
    ),
    Mutant(
        "time without answers is time of waiting",
        ANSWERED,
        "        if self._succeeded:\n            self._polled",
        "        if True:\n            self._polled",
        (*OVER, *TIME),
    ),
    Mutant(
        "a sweep covers what came after it began",
        ANSWERED,
        "        read = takewhile(lambda mark: mark[0] <= oldest_read, self._marks)\n",
        "        read = iter(self._marks)\n",
        TIME,
    ),
    Mutant(
        "calls that are over are committed without the change of the open ones",
        BOOKS,
        "            self._commit(self.ledger, after, calls.change)\n",
        "            self._commit(self.ledger, after)\n",
        (*OVER, *MODEL),
    ),
    Mutant(
        "the legs of a page are committed without their calls",
        BOOKS,
        "        self._commit(verdict.ledger, after, calls.change)\n",
        "        self._commit(verdict.ledger, after)\n",
        (*OVER, *MODEL),
    ),
    Mutant(
        "what came after the poll began is taken for old",
        SETTLING,
        "    return {row.uid for row in verdict.counted if row.id > high}\n",
        "    return set()\n",
        OVER,
    ),
    Mutant(
        "calls are shown before they were counted, after a silence",
        "cdr_exporter/tail/tail.py",
        "            self._state.count_finished_calls()\n"
        "            self._state.visibility.shown = True\n",
        "            self._state.visibility.shown = True\n"
        "            self._state.count_finished_calls()\n",
        OVER,
    ),
    Mutant(
        "rows that are whole calls are counted though more of their uid are there",
        SETTLING,
        "            several |= {uid for uid, times in Counter(uids).items() if times > 1}\n",
        "            pass\n",
        COUNTED,
    ),
    Mutant(
        "rows that are whole calls wait for nobody",
        SETTLING,
        "                if ended < row.started_at + row.duration <= latest and "
        "row.uid not in several_legs\n",
        "                if ended < row.started_at + row.duration "
        "and row.uid not in several_legs\n",
        (*COUNTED, *OVER),
    ),
    Mutant(
        "rows that are whole calls have no destination",
        COUNTING,
        "            talk = {destination: sum(row.talk_duration for row in rows)} "
        "if destination else {}\n",
        "            talk: dict[str, int] = {}\n",
        COUNTED,
    ),
    Mutant(
        "a call beyond max_trunks keeps its trunk",
        COUNTING,
        "        trunk = trunk if trunk in self._trunks else OTHER_TRUNK\n",
        "",
        COUNTED,
    ),
    Mutant(
        "abandonment is not observed",
        COUNTING,
        "            times.abandons += durations\n",
        "            pass\n",
        COUNTED,
    ),
    Mutant(
        "open calls are not written down",
        OPEN_CALLS,
        "    for uid, call in change.opened.items():\n",
        "    for uid, call in ():\n",
        (*OVER, *STATE),
    ),
    Mutant(
        "forgotten calls stay in the file",
        OPEN_CALLS,
        '    db.executemany("DELETE FROM calls WHERE uid = ?", gone)\n',
        "",
        (*OVER, *STATE),
    ),
    Mutant(
        "a commit that failed changes the calls",
        STORE,
        "        try:\n            with self._transaction():\n                ledgers.write",
        "        self.calls.apply(calls)\n"
        "        try:\n            with self._transaction():\n                ledgers.write",
        STATE,
    ),
    Mutant(
        "numbers that are no longer named stay",
        STORE,
        "            if key.family not in self.dropped and (not _is_number(key) or "
        "key in self._numbers)\n",
        "            if key.family not in self.dropped\n",
        STATE,
    ),
)
