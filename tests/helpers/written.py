"""The last tasks of a slide, one after the other."""

from __future__ import annotations

from wsipsm.engine.job import JobRef
from wsipsm.engine.reports import OutputReport, Tally
from wsipsm.engine.tasks.assemble import assemble
from wsipsm.engine.tasks.publish import publish
from wsipsm.engine.tasks.write_labels import write_labels


def written(ref: JobRef, tally: Tally) -> OutputReport:
    """Write and publish the results of a slide whose tiles are done."""
    labels = write_labels(ref)
    return publish(ref, assemble(ref, tally), labels, tally.seconds)
