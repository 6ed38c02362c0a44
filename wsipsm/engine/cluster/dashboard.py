"""Dask's dashboard of a local cluster, loaded when somebody opens it: Bokeh takes half a second to import."""

from __future__ import annotations

from typing import Any

from distributed import LocalCluster
from tornado import web


def offer_dashboard(cluster: LocalCluster) -> None:
    """Let the scheduler's web server answer for its dashboard, which it was started without."""
    scheduler: Any = cluster.scheduler
    waiting = web.Application([(r"/.*", _Waiting, {"scheduler": scheduler})])
    scheduler.http_application.add_application(waiting)


class _Waiting(web.RequestHandler):
    """Loads the dashboard at the first request and sends it there; all later ones come to the dashboard itself."""

    def initialize(self, scheduler: Any) -> None:
        """Keep the scheduler."""
        self._scheduler = scheduler

    def get(self) -> None:
        """Answer the first request."""
        from distributed.dashboard.scheduler import connect

        served = self._scheduler.http_application
        if self.application in served.applications:
            served.applications.remove(self.application)
            connect(served, self._scheduler.http_server, self._scheduler)
        self.redirect(self.request.uri or "/")
