"""``smappee-async export``: sessions of a copy as a file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

import attrs

from smappee_async.cli.copying import missing_of_copy
from smappee_async.cli.ending import ExitCode, run_async, tell, tell_missing
from smappee_async.cli.presentation import Presentation
from smappee_async.cli.progress import ProgressCallback, progress
from smappee_async.cli.ranges import RangeText
from smappee_async.cli.sinks import tell_leftovers
from smappee_async.errors import ConfigurationError
from smappee_async.export import Exported, about_query
from smappee_async.models import SessionBatch
from smappee_async.sync import CopiedSessions, open_copy


@attrs.frozen(kw_only=True)
class ExportOptions:
    """What the command writes.

    :param parks: service location ids, each once; none for all parks of the copy.
    :param copy: the URL of the copy.
    :param zone: an IANA name.
    """

    parks: tuple[str, ...]
    copy: str = attrs.field(repr=False)
    range_text: RangeText
    zone: str

    def __attrs_post_init__(self) -> None:
        self.range_text.in_zone(self.zone)  # refused before anything is read


def show_export(options: ExportOptions, presentation: Presentation) -> ExitCode:
    """Write the file."""
    tell_leftovers(presentation.path)
    with progress("Export") as on_progress:
        written, missing = run_async(_export(options, presentation, on_progress))
    code = tell_missing(missing)
    tell(f"wrote {written.sessions:,} sessions to {written.path}")
    return code


async def _export(
    options: ExportOptions, presentation: Presentation, on_progress: ProgressCallback
) -> tuple[Exported, Sequence[str]]:
    """The file, and what the copy lacks of it."""
    time_range = options.range_text.in_zone(options.zone)
    wanted = [int(park) for park in options.parks]
    async with open_copy(options.copy) as copy:
        if not copy.parks:
            raise ConfigurationError("the copy is empty", advice="Run a sync first, to the same place")
        sessions = copy.sessions(wanted or None, time_range)
        parks = [park for park in copy.parks if not wanted or park.service_location_id in wanted]
        missing = missing_of_copy(parks, time_range, options.range_text.now)
        done = 0

        def park_done() -> None:
            nonlocal done
            done += 1

        about = about_query(dict.fromkeys([park.service_location_id for park in parks], time_range), "all")
        written = await presentation.export(
            _Copied(sessions, missing, park_done),
            options.zone,
            about=[*about, *(("Missing in the copy", each) for each in missing)],
            on_progress=lambda count: on_progress(done / len(parks), f"{count:,} sessions"),
        )
    return written, missing


@attrs.frozen
class _Copied:
    """Sessions of a copy as a source of a file.

    :param failures: what the copy lacks of them.
    :param on_park: is called after the last batch of each park.
    """

    _sessions: CopiedSessions
    failures: Sequence[str]
    _on_park: Callable[[], None]

    async def batches(self) -> AsyncIterator[SessionBatch]:
        async for batch in self._sessions.batches():
            yield batch
            if batch.is_last:
                self._on_park()

    async def aclose(self) -> None:
        await self._sessions.aclose()
