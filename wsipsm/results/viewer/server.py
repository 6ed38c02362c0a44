"""The pages of the viewer: an application of Starlette over an output folder."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from wsipsm.core.errors import InputError, RegionError, WsipsmError
from wsipsm.results.draw import viridis
from wsipsm.results.result import Result
from wsipsm.results.viewer.guard import Guard
from wsipsm.results.viewer.listing import Listing
from wsipsm.results.viewer.picture import Picture
from wsipsm.results.viewer.regions import FILE
from wsipsm.results.viewer.slide_view import SlideView
from wsipsm.results.viewer.unfinished import UNFINISHED, UnfinishedView

STATIC = Path(__file__).with_name("static")
View = SlideView | UnfinishedView
OPEN_SLIDES = 8
"""Slides whose files are kept open."""
_LARGEST_BODY = 8 << 20
_FOR_EVER = {"Cache-Control": "private, max-age=86400, immutable"}
_FRESH = {"Cache-Control": "no-store"}


class Desk:
    """Slides that somebody looks at, the last few of them open.

    Parameters
    ----------
    listing : Listing
        Of the output folder.
    slide_folders : tuple of Path
        Where else to look for files of slides.
    """

    def __init__(self, listing: Listing, slide_folders: tuple[Path, ...] = ()) -> None:
        self.listing, self._folders = listing, slide_folders
        self._open: OrderedDict[str, View] = OrderedDict()
        self._lock, self._few = threading.Lock(), threading.Semaphore(2)

    def view(self, slide_id: str) -> View:
        """A slide as it is now: opened again where its results have come, or have changed.

        Raises
        ------
        InputError
            No such slide.
        OutputError
            Its results cannot be read.
        """
        version = self.listing.version(slide_id)
        with self._lock:
            found = self._open.pop(slide_id, None)
            if found is None or found.version != (version or UNFINISHED):
                found = self._opened(slide_id, version)
            self._open[slide_id] = found
            if len(self._open) > OPEN_SLIDES:
                self._open.popitem(last=False)[1].picture.close()
        return found

    def _opened(self, slide_id: str, version: str) -> View:
        if not version:
            return UnfinishedView(slide_id, self.listing.unfinished(slide_id), self._folders)
        return SlideView(self.listing.folder(slide_id), version, self._folders)

    def thumbnail(self, slide_id: str) -> bytes:
        """Thumbnail of a slide as JPEG; a list of thousands does not close the slide that is looked at."""
        if not self.listing.version(slide_id):
            return self.view(slide_id).picture.thumbnail()
        picture = Picture.of_result(Result(self.listing.folder(slide_id)), self._folders)
        try:
            with self._few:
                return picture.thumbnail()
        finally:
            picture.close()


def make_app(
    listing: Listing, *, token: str, host: str = "127.0.0.1", slide_folders: tuple[Path, ...] = ()
) -> Starlette:
    """Application that shows an output folder to whoever has the token.

    Parameters
    ----------
    listing : Listing
        Of the output folder.
    token : str
        Secret that the link carries.
    host : str
        Address that the server listens on.
    slide_folders : tuple of Path
        Where to look for slides that are no longer where the run found them.
    """
    desk = Desk(listing, slide_folders)
    slide = "/api/slides/{slide}"
    routes = [
        Route("/", lambda _: FileResponse(STATIC / "index.html", headers=_FRESH)),
        Route("/api/slides", _answers(lambda _: _json(listing.table() | {"ramp": _ramp()}))),
        Route(slide, _answers(lambda asked: _json(_of(desk, asked).facts))),
        Route(slide + "/thumbnail", _answers(lambda asked: _jpeg(desk.thumbnail(asked.path_params["slide"])))),
        Route(slide + "/picture/{level:int}/{col:int}_{row:int}", _answers(lambda asked: _picture(desk, asked))),
        Route(slide + "/labels/{level:int}/{col:int}_{row:int}", _answers(lambda asked: _labels(desk, asked))),
        Route(slide + "/outlines/{col:int}_{row:int}", _answers(lambda asked: _outlines(desk, asked))),
        Route(slide + "/columns/{name}", _answers(lambda asked: _column(desk, asked))),
        Route(slide + "/cells/{label:int}", _answers(lambda asked: _cell(desk, asked))),
        Route(slide + "/regions", _answers(lambda asked: _json(_of(desk, asked).regions()))),
        Route(
            slide + "/regions", _takes(lambda asked, sent: _json(_of(desk, asked).save_regions(sent))), methods=["PUT"]
        ),
        Route(slide + "/" + FILE, _takes(lambda asked, sent: _geojson(_of(desk, asked), sent)), methods=["POST"]),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    return Starlette(routes=routes, middleware=[Middleware(Guard, token=token, host=host)])


def _answers(answer: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """Endpoint whose errors are answers; Starlette runs it in a thread."""

    def endpoint(request: Request) -> Response:
        try:
            return answer(request)
        except (WsipsmError, OSError, LookupError, TypeError, ValueError) as error:
            status = 404 if isinstance(error, InputError) else 422 if isinstance(error, RegionError) else 503
            return _json({"error": " ".join(str(error).split()) or repr(error)}, status)

    return endpoint


def _takes(answer: Callable[[Request, Any], Response]) -> Callable[[Request], Any]:
    """Endpoint that is sent JSON."""

    async def endpoint(request: Request) -> Response:
        if int(request.headers.get("content-length", _LARGEST_BODY + 1)) > _LARGEST_BODY:
            return _json({"error": f"regions: expected at most {_LARGEST_BODY} bytes"}, 413)
        body = await request.body()
        return await run_in_threadpool(_answers(lambda asked: answer(asked, orjson.loads(body))), request)

    return endpoint


def _of(desk: Desk, asked: Request) -> View:
    """Slide that a request asks for, as it is now or not at all: labels and columns of two runs do not go together."""
    found = desk.view(asked.path_params["slide"])
    if asked.query_params.get("v", found.version) != found.version:
        raise InputError("the results were written again: load the slide again")
    return found


def _place(asked: Request, *names: str) -> tuple[int, ...]:
    return tuple(asked.path_params[name] for name in names)


def _picture(desk: Desk, asked: Request) -> Response:
    tile = _of(desk, asked).picture.tile(*_place(asked, "level", "col", "row"))
    if tile is None:
        raise InputError("no such tile")
    return _jpeg(tile)


def _labels(desk: Desk, asked: Request) -> Response:
    tile = _of(desk, asked).label_tile(*_place(asked, "level", "col", "row"))
    return Response(status_code=204, headers=_FOR_EVER) if tile is None else _bytes(tile, "image/png")


def _outlines(desk: Desk, asked: Request) -> Response:
    return _bytes(_of(desk, asked).outlines(*_place(asked, "col", "row")), "application/octet-stream")


def _column(desk: Desk, asked: Request) -> Response:
    return _bytes(_of(desk, asked).cells.column(asked.path_params["name"]), "application/octet-stream")


def _cell(desk: Desk, asked: Request) -> Response:
    return _json(_of(desk, asked).cells.cell(asked.path_params["label"]))


def _geojson(view: View, drawings: Any) -> Response:
    return Response(view.regions_as_geojson(drawings), 200, _FRESH, "application/geo+json")


def _ramp() -> list[list[int]]:
    """Colours from low to high values; the darkest, which look like stained nuclei, are left out."""
    import numpy as np

    colors: list[list[int]] = viridis(np.linspace(0.2, 1, 64, dtype=np.float32)[None])[0].tolist()
    return colors


def _json(found: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(found), status, _FRESH, "application/json")


def _jpeg(content: bytes) -> Response:
    return _bytes(content, "image/jpeg")


def _bytes(content: bytes, kind: str) -> Response:
    # Addresses of such answers carry the version of the results, see the page's script.
    return Response(content, 200, _FOR_EVER, kind)
