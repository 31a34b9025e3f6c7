"""The plan: nothing is asked for twice, nothing is missed, and every target gets a turn."""

from __future__ import annotations

import random
from collections import Counter, UserDict, deque
from collections.abc import Callable
from datetime import timedelta
from itertools import islice, pairwise, zip_longest
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smappee_async.query.plan import Chunk, Plan
from smappee_async.query.seen import Seen
from smappee_async.query.target import Target
from smappee_async.timerange import TimeRange, merge, remaining

MINUTE, DAY = 60_000, 86_400_000
START = 1_767_225_600_000  # 2026-01-01T00:00Z
NOW = START + 360 * DAY
PARKS = [Target(12345), Target(67890), Target(serial_number="6120009999")]

bounds = st.integers(0, 400 * 24 * 60).map(lambda minutes: START + minutes * MINUTE)


@st.composite
def ranges(draw: st.DrawFn) -> list[TimeRange]:
    """Separate ranges of up to a year, earliest first; the last may have an open end."""
    edges = sorted(draw(st.lists(bounds, max_size=6, unique=True)))
    return [TimeRange.from_ms(start, end) for start, end in zip_longest(edges[::2], edges[1::2])]


queries = st.tuples(ranges(), ranges(), ranges()).map(lambda lists: dict(zip(PARKS, lists, strict=True)))
orders = st.integers(0, 2**32).map(random.Random)
sizes = st.sampled_from([None, 50])
#: What was seen of each target before, right or wrong.
seen_before = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        PARKS,
        st.builds(
            Seen,
            st.integers(0, 40) | st.integers(0, 10**9),
            st.timedeltas(timedelta(hours=1), timedelta(days=2_000)),
        ),
    ),
)


@attrs.define(slots=False)
class Run:
    """Works a plan off in a random order, and keeps the books."""

    plan: Plan
    chance: random.Random
    under_way: list[Chunk] = attrs.field(factory=list)
    unreturned: list[Chunk] = attrs.field(factory=list)
    read: list[Chunk] = attrs.field(factory=list)
    asked: list[Chunk] = attrs.field(factory=list)
    in_line: list[set[Target]] = attrs.field(factory=list)
    dropped: list[Chunk] = attrs.field(factory=list)
    cuts: int = 0

    def __attrs_post_init__(self) -> None:
        self.sessions_a_day = {target: self.chance.choice([0, 3, 40]) for target in PARKS}
        self.opened_ms = {target: START + self.chance.choice([0, 200]) * DAY for target in PARKS}

    def held(self) -> Counter[Target]:
        return Counter(chunk.target for chunk in [*self.under_way, *self.unreturned])

    def ask(self) -> None:
        chunk = self.plan.next()
        if chunk is None:
            assert self.under_way or self.unreturned or self.plan.is_done, "the plan stands still"
            return
        self.asked.append(chunk)
        started = set(self.plan._queues) | self.plan._finished
        waiting_first = {target for target, unread in self.plan._ranges.items() if unread and target not in started}
        self.in_line.append({queue.target for queue in self.plan._round_robin} | waiting_first)
        self.under_way.append(chunk)

    def finish(self) -> None:
        chunk = self._draw_from(self.under_way)
        if chunk is not None:
            end_ms = max(NOW, chunk.time_range.start_ms) if chunk.time_range.end_ms is None else chunk.time_range.end_ms
            days = max(0, end_ms - max(chunk.time_range.start_ms, self.opened_ms[chunk.target])) / DAY
            sessions = round(days * self.sessions_a_day[chunk.target])
            self.plan.mark_read(chunk, sessions=sessions, elapsed_s=self.chance.choice([0.1, 1.0]))
            self.read.append(chunk)
            self.unreturned.append(chunk)

    def give_back(self) -> None:
        chunk = self._draw_from(self.unreturned)
        if chunk is not None:
            self.plan.give_back(chunk)

    def split(self) -> None:
        chunk = self._draw_from(self.under_way)
        if chunk is not None and not (self.cuts < 10 and self.plan.split(chunk)):
            self.under_way.append(chunk)
        self.cuts += 1

    def give_up(self) -> None:
        chunk = self._draw_from(self.under_way)
        if chunk is not None:
            self.plan.give_up(chunk)
            self.dropped.append(chunk)

    def abandon(self) -> None:
        target = self.chance.choice(PARKS)
        self.dropped += [Chunk(target, each) for each in self.plan.abandon(target)]

    def to_the_end(self, *, giving_up: bool = False, cutting: bool = True) -> None:
        actions = [self.ask, self.finish, self.give_back]
        actions += [self.split] if cutting else []
        actions += [self.abandon, self.give_up] if giving_up else []
        for action in self.chance.choices(actions, k=self.chance.randrange(60)):
            action()
        while not self.plan.is_done or self.unreturned:
            self.ask()
            self.finish()
            self.give_back()

    def _draw_from(self, chunks: list[Chunk]) -> Chunk | None:
        return chunks.pop(self.chance.randrange(len(chunks))) if chunks else None


def ranges_of(target: Target, chunks: list[Chunk]) -> list[TimeRange]:
    return sorted((chunk.time_range for chunk in chunks if chunk.target == target), key=lambda each: each.start_ms)


def assert_tiles(chunks: list[TimeRange], whole: list[TimeRange]) -> None:
    assert all(before.end_ms is not None and before.end_ms <= after.start_ms for before, after in pairwise(chunks))
    assert merge(chunks) == merge(whole)


# --- nothing twice, nothing missed ------------------------------------------------------------------------------------


@given(queries, sizes, st.none() | st.integers(1, 3), seen_before, orders)
def test_in_whatever_order_it_is_worked_off_every_chunk_is_read_exactly_once(
    query: dict[Target, list[TimeRange]],
    size: int | None,
    per_target: int | None,
    seen: dict[Target, Seen],
    chance: random.Random,
) -> None:
    run = Run(Plan(query, target_sessions=size, now_ms=NOW, per_target=per_target, seen_of=seen.get), chance)
    run.to_the_end()
    for target, whole in query.items():
        assert_tiles(ranges_of(target, run.read), whole)
    assert run.plan.next() is None


@given(queries, sizes, st.none() | st.integers(1, 3), seen_before, orders)
def test_what_was_given_up_and_what_was_read_make_the_whole(
    query: dict[Target, list[TimeRange]],
    size: int | None,
    per_target: int | None,
    seen: dict[Target, Seen],
    chance: random.Random,
) -> None:
    run = Run(Plan(query, target_sessions=size, now_ms=NOW, per_target=per_target, seen_of=seen.get), chance)
    run.to_the_end(giving_up=True)
    for target, whole in query.items():
        assert_tiles(ranges_of(target, run.read + run.dropped), whole)


@given(queries, sizes, st.integers(1, 3), orders)
def test_no_target_holds_more_chunks_than_it_may(
    query: dict[Target, list[TimeRange]], size: int | None, per_target: int, chance: random.Random
) -> None:
    run = Run(Plan(query, target_sessions=size, now_ms=NOW, per_target=per_target), chance)
    for action in chance.choices([run.ask, run.finish, run.give_back, run.split], k=60):
        action()
        assert all(held <= per_target for held in run.held().values())


@given(queries, sizes, orders)
def test_the_earliest_unread_instant_is_where_the_read_chunks_leave_off(
    query: dict[Target, list[TimeRange]], size: int | None, chance: random.Random
) -> None:
    run = Run(Plan(query, target_sessions=size, now_ms=NOW), chance)
    for action in chance.choices([run.ask, run.finish, run.split], k=chance.randrange(40)):
        action()
    for target, whole in query.items():
        read = ranges_of(target, run.read)
        unread = [rest for each in whole for rest in remaining(each, read)]
        assert run.plan.earliest_unread_ms(target) == min((rest.start_ms for rest in unread), default=None)


def test_a_plan_without_chunks_is_done_at_once() -> None:
    plan = Plan({PARKS[0]: []}, target_sessions=50, now_ms=NOW)
    assert plan.is_done
    assert plan.next() is None


def test_a_plan_is_not_done_while_a_chunk_is_under_way() -> None:
    plan = Plan({PARKS[0]: [TimeRange.from_ms(START)]}, target_sessions=None, now_ms=NOW)
    chunk = plan.next()
    assert chunk is not None
    assert not plan.is_done
    plan.mark_read(chunk)
    assert plan.is_done


# --- turns ------------------------------------------------------------------------------------------------------------


@given(queries, sizes, orders)
def test_between_two_chunks_of_a_target_every_other_that_waits_gets_one(
    query: dict[Target, list[TimeRange]], size: int | None, chance: random.Random
) -> None:
    run = Run(Plan(query, target_sessions=size, now_ms=NOW), chance)
    run.to_the_end(cutting=False)
    order = [chunk.target for chunk in run.asked]
    for target in PARKS:
        turns = [index for index, each in enumerate(order) if each == target]
        for before, after in pairwise(turns):
            assert run.in_line[before] - {target} <= set(order[before:after])


def days(*numbers: int) -> list[TimeRange]:
    """The days of these numbers, as ranges of their own."""
    return [TimeRange.from_ms(START + number * DAY, START + (number + 1) * DAY) for number in numbers]


def following(plan: Plan) -> Chunk:
    chunk = plan.next()
    assert chunk is not None
    return chunk


def test_targets_take_turns_in_the_order_in_which_they_were_given() -> None:
    plan = Plan({park: days(0, 2) for park in PARKS}, target_sessions=None, now_ms=NOW)
    chunks = [following(plan) for _ in PARKS]
    assert chunks == [Chunk(park, days(0)[0]) for park in PARKS]
    for chunk in chunks:
        plan.mark_read(chunk)
    assert [following(plan) for _ in PARKS] == [Chunk(park, days(2)[0]) for park in PARKS]


class Counting(UserDict[Target, list[TimeRange]]):
    """Counts the targets whose time ranges were looked up."""

    looked_up = 0

    def __getitem__(self, target: Target) -> list[TimeRange]:
        self.looked_up += 1
        return super().__getitem__(target)


def test_a_target_costs_nothing_before_its_first_turn() -> None:
    ranges = Counting({Target(number): days(0) for number in range(1, 1001)})
    plan = Plan(ranges, target_sessions=None, now_ms=NOW)
    assert [following(plan).target for _ in range(5)] == [Target(number) for number in range(1, 6)]
    assert not plan.is_done
    assert ranges.looked_up <= 6


def test_targets_of_which_nothing_is_left_are_passed_over() -> None:
    plan = Plan(dict(zip(PARKS, ([], days(0), []), strict=True)), target_sessions=None, now_ms=NOW)
    chunk = following(plan)
    assert (chunk.target, plan.next()) == (PARKS[1], None)
    plan.mark_read(chunk)
    assert plan.is_done


def test_a_target_that_was_abandoned_before_its_turn_is_passed_over() -> None:
    plan = Plan({park: days(0) for park in PARKS}, target_sessions=None, now_ms=NOW)
    assert plan.abandon(PARKS[1]) == days(0)
    assert [chunk.target for chunk in iter(plan.next, None)] == [PARKS[0], PARKS[2]]
    assert not plan.has_more(PARKS[1])


def test_a_target_that_is_full_lets_the_others_pass_until_it_gives_back() -> None:
    full, other = PARKS[:2]
    plan = Plan({full: days(0, 2), other: days(0)}, target_sessions=None, now_ms=NOW, per_target=1)
    first, second = following(plan), following(plan)
    assert (first.target, second.target) == (full, other)
    plan.mark_read(first)
    assert plan.next() is None
    plan.give_back(first)
    assert following(plan) == Chunk(full, days(2)[0])


def test_of_a_target_that_the_consumer_waits_for_more_is_held_within_what_all_may_hold_more() -> None:
    full, other = PARKS[:2]
    ranges = {park: [TimeRange.from_ms(START, START + 400 * DAY)] for park in (full, other)}
    plan = Plan(ranges, target_sessions=50, now_ms=NOW, per_target=1, more=2)
    for chunk in [following(plan), following(plan)]:
        plan.mark_read(chunk, sessions=1000)
    assert plan.next() is None
    for _ in range(3):
        plan.is_waited_for(full)

    assert [chunk.target for chunk in iter(plan.next, None)] == [full, full]


def test_one_chunk_at_a_time_is_asked_of_a_target_until_its_density_is_known() -> None:
    plan = Plan({PARKS[0]: [TimeRange.from_ms(START, NOW)]}, target_sessions=50, now_ms=NOW)
    first = following(plan)
    assert plan.next() is None
    plan.mark_read(first, sessions=1000)
    assert plan.next() is not None
    assert plan.next() is not None


# --- a target that is busy in a part of its range only -----------------------------------------------------------------

FIVE_YEARS = TimeRange.from_ms(START, START + 1_826 * DAY)


def read_alone(
    density: Callable[[int], float], whole: TimeRange = FIVE_YEARS, **options: Any
) -> list[tuple[Chunk, int]]:
    """The chunks of one target, one after the other, and how many sessions each had.

    :param density: sessions a day on the day of this number.
    """
    assert whole.end_ms is not None
    plan = Plan({PARKS[0]: [whole]}, target_sessions=2_000, now_ms=whole.end_ms, **options)
    found = []
    while (chunk := plan.next()) is not None:
        start_ms, end_ms = chunk.time_range.start_ms, chunk.time_range.end_ms or 0
        sessions = 0.0
        for day in range((start_ms - START) // DAY, -(-(end_ms - START) // DAY)):
            first_ms = START + day * DAY
            sessions += density(day) * (min(end_ms, first_ms + DAY) - max(start_ms, first_ms)) / DAY
        plan.mark_read(chunk, sessions=round(sessions))
        plan.give_back(chunk)
        found.append((chunk, round(sessions)))
    return found


@pytest.mark.parametrize("opened", [180, 900, 1_650])
@pytest.mark.parametrize("per_day", [30, 500, 5_000])
def test_no_response_of_a_park_that_opened_in_the_middle_is_much_too_large(per_day: int, opened: int) -> None:
    found = read_alone(lambda day: per_day if day >= opened else 0)
    assert max(sessions for _, sessions in found) <= 4_000
    assert len(found) <= 1.25 * per_day * (1_826 - opened) / 2_000 + 8


@pytest.mark.parametrize("per_day", [30, 500, 5_000])
def test_of_a_park_that_closed_the_empty_years_take_few_requests(per_day: int) -> None:
    found = read_alone(lambda day: per_day if day < 900 else 0)
    assert max(sessions for _, sessions in found) <= 4_000
    assert sum(sessions == 0 for _, sessions in found) <= 10


@pytest.mark.parametrize("per_day", [30, 500])
def test_of_a_park_that_closed_few_empty_chunks_are_under_way_at_once(per_day: int) -> None:
    plan = Plan({PARKS[0]: [FIVE_YEARS]}, target_sessions=2_000, now_ms=NOW)
    under_way: deque[Chunk] = deque()
    empty = 0
    while not plan.is_done:
        while len(under_way) < 16 and (chunk := plan.next()) is not None:
            under_way.append(chunk)
        chunk = under_way.popleft()
        start_ms, end_ms = chunk.time_range.start_ms, chunk.time_range.end_ms
        assert end_ms is not None
        open_ms = max(0, min(end_ms, START + 900 * DAY) - start_ms)
        plan.mark_read(chunk, sessions=per_day * open_ms // DAY)
        plan.give_back(chunk)
        empty += open_ms == 0
    assert empty <= 5


def test_a_park_that_opened_later_is_found_although_its_latest_hours_are_quiet() -> None:
    found = read_alone(lambda day: 100 if 1_000 <= day < 1_825 else 0)
    assert max(sessions for _, sessions in found) <= 14_000
    assert len(found) <= 60


@pytest.mark.parametrize("before", [100, 500])
def test_a_time_that_was_much_busier_is_forgotten_after_some_weeks(before: int) -> None:
    found = read_alone(lambda day: 0 if day < 600 else before if day < 1_700 else 5_000)
    sessions = before * 1_100 + 5_000 * 126
    assert len(found) <= 1.25 * sessions / 2_000 + 60


def test_a_park_without_sessions_takes_four_requests() -> None:
    assert len(read_alone(lambda _: 0)) == 4


def seen_of(sessions: int) -> Callable[[Target], Seen]:
    """So many seen in a year."""
    return lambda _: Seen(sessions, timedelta(days=365))


def test_a_park_that_was_seen_without_sessions_takes_two_requests() -> None:
    assert len(read_alone(lambda _: 0, seen_of=seen_of(0))) == 2


@pytest.mark.parametrize("sessions", [1, 30, 500, 5_000])
def test_a_park_that_was_seen_busy_and_has_no_sessions_takes_few_requests(sessions: int) -> None:
    assert len(read_alone(lambda _: 0, seen_of=seen_of(sessions * 365))) <= 6


@pytest.mark.parametrize("opened", [180, 900, 1_650])
@pytest.mark.parametrize("per_day", [30, 500, 5_000])
def test_no_response_of_a_park_that_was_seen_without_sessions_and_opened_since_is_too_large(
    per_day: int, opened: int
) -> None:
    found = read_alone(lambda day: per_day if day >= opened else 0, seen_of=seen_of(0))
    assert max(sessions for _, sessions in found) <= 4_000
    assert len(found) <= 1.25 * per_day * (1_826 - opened) / 2_000 + 8


@pytest.mark.parametrize("opened", [40, 66, 77, 180, 900, 1_500])
@pytest.mark.parametrize("per_day", [30, 500, 5_000])
def test_no_response_of_a_park_that_opened_within_what_was_seen_before_is_much_too_large(
    per_day: int, opened: int
) -> None:
    """The average of all five years is less than its density, and more than what the first years have."""
    whole = Seen(per_day * (1_826 - opened), timedelta(days=1_826))
    found = read_alone(lambda day: per_day if day >= opened else 0, seen_of=lambda _: whole)
    assert max(sessions for _, sessions in found) <= 5 * 2_000
    assert len(found) <= 1.25 * per_day * (1_826 - opened) / 2_000 + 8


def test_one_chunk_at_a_time_is_asked_of_a_target_of_which_only_an_earlier_time_was_seen() -> None:
    whole = TimeRange.from_ms(START, NOW)
    plan = Plan({PARKS[0]: [whole]}, target_sessions=50, now_ms=NOW, seen_of=seen_of(100_000))
    first = following(plan)
    assert plan.next() is None
    plan.mark_read(first, sessions=50)
    assert plan.next() is not None
    assert plan.next() is not None


def test_the_latest_hours_are_not_looked_at_first_where_chunks_come_by_time_or_the_range_is_short() -> None:
    by_time = [chunk.time_range.start_ms for chunk, _ in read_alone(lambda _: 1, per_target=1)]
    short = [
        chunk.time_range.start_ms for chunk, _ in read_alone(lambda _: 1, TimeRange.from_ms(START, START + 80 * DAY))
    ]
    assert by_time == sorted(by_time)
    assert short == sorted(short)


# --- cutting ----------------------------------------------------------------------------------------------------------


def only_chunk(each: TimeRange, now_ms: int = NOW) -> tuple[Plan, Chunk]:
    plan = Plan({PARKS[0]: [each]}, target_sessions=None, now_ms=now_ms)
    return plan, following(plan)


@pytest.mark.parametrize("end_ms", [NOW, None])
def test_without_a_size_to_aim_at_a_chunk_is_asked_as_it_is(end_ms: int | None) -> None:
    _, chunk = only_chunk(TimeRange.from_ms(START, end_ms))
    assert chunk == Chunk(PARKS[0], TimeRange.from_ms(START, end_ms))


@pytest.mark.parametrize(("end_ms", "middle_ms"), [(START + DAY, START + DAY // 2), (None, (START + NOW) // 2)])
def test_the_parts_of_what_was_too_much_come_next_the_earlier_first_and_an_open_end_stays_open(
    end_ms: int | None, middle_ms: int
) -> None:
    plan, chunk = only_chunk(TimeRange.from_ms(START, end_ms))
    assert plan.split(chunk)
    parts = [each.time_range for each in iter(plan.next, None)]
    assert parts == [TimeRange.from_ms(START, middle_ms), TimeRange.from_ms(middle_ms, end_ms)]


@pytest.mark.parametrize(
    ("length_ms", "can"), [(2 * MINUTE, True), (2 * MINUTE - 1, False), (MINUTE, False), (1, False)]
)
def test_no_chunk_is_cut_below_a_minute(length_ms: int, *, can: bool) -> None:
    plan, chunk = only_chunk(TimeRange.from_ms(START, START + length_ms))
    assert plan.split(chunk) is can
    assert (plan.next() is not None) is can


@pytest.mark.parametrize("now_ms", [START - DAY, START, START + MINUTE])
def test_an_open_chunk_that_begins_about_now_or_later_cannot_be_cut(now_ms: int) -> None:
    plan, chunk = only_chunk(TimeRange.from_ms(START), now_ms=now_ms)
    assert not plan.split(chunk)


@given(st.integers(1, 400 * DAY))
def test_what_is_always_too_much_gets_shorter_each_time_until_it_cannot_be_cut(length_ms: int) -> None:
    plan, chunk = only_chunk(TimeRange.from_ms(START, START + length_ms))
    lengths = [chunk.time_range.duration]
    while plan.split(chunk):
        chunk = following(plan)
        lengths.append(chunk.time_range.duration)
    assert all(after is not None and before is not None and after < before for before, after in pairwise(lengths))


def test_what_is_cut_again_comes_in_the_order_of_time() -> None:
    plan, chunk = only_chunk(TimeRange.from_ms(START, START + 4 * DAY))
    plan.split(chunk)
    first, second = following(plan), following(plan)
    assert plan.split(first)
    assert plan.split(second)
    assert [each.time_range for each in iter(plan.next, None)] == days(0, 1, 2, 3)


# --- giving up --------------------------------------------------------------------------------------------------------


def test_a_chunk_that_is_given_up_makes_room_for_the_next() -> None:
    plan = Plan({PARKS[0]: days(0, 2)}, target_sessions=None, now_ms=NOW, per_target=1)
    plan.give_up(following(plan))
    assert following(plan) == Chunk(PARKS[0], days(2)[0])


def test_a_plan_of_which_all_was_given_up_is_done() -> None:
    plan, chunk = only_chunk(TimeRange.from_ms(START))
    plan.give_up(chunk)
    assert plan.is_done


def test_abandoning_says_what_nobody_had_asked_for_earliest_first() -> None:
    plan = Plan({park: days(0, 2, 4) for park in PARKS[:2]}, target_sessions=None, now_ms=NOW)
    following(plan)
    assert plan.abandon(PARKS[0]) == days(2, 4)
    assert {chunk.target for chunk in iter(plan.next, None)} == {PARKS[1]}
    assert plan.abandon(PARKS[0]) == []


def test_a_chunk_of_an_abandoned_target_is_not_cut_for_its_parts_would_be_asked() -> None:
    plan, chunk = only_chunk(TimeRange.from_ms(START, START + DAY))
    plan.abandon(chunk.target)
    assert not plan.split(chunk)
    assert plan.next() is None


def test_giving_up_all_says_of_each_target_once_what_nobody_had_asked_for() -> None:
    plan = Plan({park: days(0, 2) for park in PARKS}, target_sessions=None, now_ms=NOW)
    chunk = following(plan)
    plan.mark_read(chunk)
    plan.give_back(chunk)
    rest = plan.abandon_all()
    assert plan.next() is None

    assert list(islice(rest, 2)) == [(PARKS[0], days(2)), (PARKS[1], days(0, 2))]
    assert not plan.is_done
    assert list(rest) == [(PARKS[2], days(0, 2))]
    assert plan.is_done
    assert [plan.earliest_unread_ms(park) for park in PARKS] == [None, None, None]


@pytest.mark.parametrize("abandoned", [False, True])
def test_the_plan_says_whether_more_of_a_target_may_come(*, abandoned: bool) -> None:
    unread = [TimeRange.from_ms(START, START + DAY), TimeRange.from_ms(START + 2 * DAY)]
    plan = Plan({PARKS[0]: unread, PARKS[1]: unread[:1]}, target_sessions=None, now_ms=NOW)
    more = []
    while (chunk := plan.next()) is not None:
        plan.mark_read(chunk)
        if abandoned:
            plan.abandon(PARKS[0])
        plan.give_back(chunk)
        more.append((chunk.target, plan.has_more(chunk.target)))
    expected = [(PARKS[0], not abandoned), (PARKS[1], False)]
    assert more == (expected if abandoned else [*expected, (PARKS[0], False)])
