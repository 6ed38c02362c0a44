"""Plain images as slides of one level, read by Pillow: PNG, JPEG, BMP, JPEG 2000 and RGB TIFF."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import Jpeg2KImagePlugin, TiffImagePlugin, _imaging  # noqa: F401 - else Pillow loads all formats for these two

from wsipsm.core.errors import OutputError, PixelFormatError, UnreadableSlideError, WsipsmError
from wsipsm.core.files import appearing
from wsipsm.core.geometry import Box, Image
from wsipsm.core.memory import free_memory
from wsipsm.slide.base import EXPECTED_RGB, MAKE_PYRAMID, Slide
from wsipsm.slide.header import Header, Level
from wsipsm.slide.readers.messages import silence_libtiff, without_library_messages
from wsipsm.slide.resample import over_white
from wsipsm.slide.resolution import Claim, imagej_claim, number, ome_claim, per_unit, resolve

_FORMATS = ("PNG", "JPEG", "BMP", "JPEG2000", "TIFF")
_COLOUR_MODES = frozenset({"RGB", "RGBA", "RGBX", "P", "PA", "YCbCr"})
_LARGE_PX = 1 << 25
_BYTES_PER_PX = 8  # 4 of Pillow and 3 of the array, and a strip of both
_MEMORY_SHARE = 0.8
_STRIP = 256
_LARGEST_TIFF_PX = 1 << 28
_COMPRESSIONS = frozenset({"raw", "packbits", "tiff_lzw", "jpeg", "tiff_adobe_deflate", "tiff_deflate"})
_BITS_PER_SAMPLE, _SAMPLES_PER_PIXEL = 258, 277
_UNITS = {2: "inch", 3: "centimeter"}
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, TypeError, LookupError)
"""What Pillow raises for files that are cut off or damaged."""

# Pillow's limit against decompression bombs holds for the whole process and is far below the size of a plain scan;
# memory is checked here instead. It is lifted for good: restored after one read, it would fail that of another thread.
Pillow.MAX_IMAGE_PIXELS = None
silence_libtiff(_imaging.__file__)


def refuse_other_pixels(path: Path) -> None:
    """Refuse a file that Pillow knows and whose pixels are not 8-bit colour.

    Raises
    ------
    PixelFormatError
        Grey, CMYK, more than 8 bits, or planes of single channels.
    """
    try:
        with _opened(path) as image:
            tags = getattr(image, "tag_v2", {})
            bits, samples = max(tags.get(_BITS_PER_SAMPLE, (8,))), tags.get(_SAMPLES_PER_PIXEL, len(image.getbands()))
            pages = getattr(image, "n_frames", 1)
    except _DAMAGE:
        return
    if image.mode not in _COLOUR_MODES or bits > 8 or samples > 4:
        kind = f"{image.format} of {pages} pages" if pages > 1 else f"{image.format} image"
        raise PixelFormatError(
            f"{path}: {kind} of {samples} x {bits} bits in Pillow mode {image.mode!r}; {EXPECTED_RGB}"
        )


def is_plain(path: Path) -> bool:
    """Whether Pillow is the right reader: it decodes the file, and the first page is the whole image.

    False for what Pillow does not know, for TIFFs above 268 Mpx, of rare compressions, or whose first page is not the
    largest.
    """
    try:
        with _opened(path) as image:
            return image.format != "TIFF" or _is_one_picture(image)
    except _DAMAGE:
        return False


class PlainSlide(Slide):
    """A plain image, decoded whole at the first read, or read from a file of decoded pixels, see `keep_pixels`."""

    reader = "pillow"

    def __init__(self, path: Path, mpp: float | None = None) -> None:
        self._lock = threading.Lock()
        self._array: Image | None = None
        self._why_not = ""
        self._closed = False
        try:
            with _opened(path) as image:
                header = _header(path, image, mpp)
        except _DAMAGE as error:
            raise UnreadableSlideError(f"{path}: Pillow cannot open it ({error})") from None
        super().__init__(path, header, mpp=mpp)

    def close(self) -> None:
        """Release the pixels; closing twice is harmless."""
        self._closed = True
        self._array = None

    def _read_level(self, level: int, box: Box) -> Image:
        self._refuse_closed(self._closed)
        with self._lock:
            if self._array is None:
                self._array = self._decoded()
            return np.ascontiguousarray(self._array[box.slices])

    def _decoded(self) -> Image:
        if self._why_not:  # it would fail again for each part, after as long
            raise UnreadableSlideError(self._why_not)
        try:
            with _one_at_a_time() if self.width_l0 * self.height_l0 >= _LARGE_PX else nullcontext():
                _refuse_too_large(self.path, self.levels[0])
                return _decode(self.path)
        except UnreadableSlideError as error:
            self._why_not = str(error)
            raise

    def keep_pixels(self, file: Path) -> None:
        """Write what is decoded to a file, unless it is small; where there is no room for it, each reader decodes."""
        if self._array is None or self.width_l0 * self.height_l0 < _LARGE_PX:
            return
        with suppress(OutputError), appearing(file) as draft, draft.open("wb") as opened:
            np.save(opened, self._array)

    def take_pixels(self, file: Path) -> None:
        """Read from a file that `keep_pixels` has written; the image itself, where that is not there or damaged."""
        with suppress(OSError, ValueError, EOFError):
            pixels = np.load(file, mmap_mode="r")
            if pixels.shape == (self.height_l0, self.width_l0, 3) and pixels.dtype == np.uint8:
                self._array = pixels


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Wait for other processes of this machine that decode: what they are about to take still looks free."""
    with ExitStack() as stack:
        with suppress(OSError, WsipsmError):  # where there are no locks, or not there
            from wsipsm.core.lock import locked_file

            file = Path(tempfile.gettempdir()) / f".wsipsm-decode-{os.getuid()}.lock"
            stack.enter_context(locked_file(file, wait_seconds=-1))
        yield


@contextmanager
def _opened(path: Path) -> Iterator[Pillow.Image]:
    with without_library_messages(), Pillow.open(path, formats=_FORMATS) as image:
        yield image


def _is_one_picture(image: Pillow.Image) -> bool:
    first = image.size
    for page in range(1, getattr(image, "n_frames", 1)):
        image.seek(page)
        if image.size[0] >= first[0] or image.size[1] >= first[1]:
            return False
    return first[0] * first[1] <= _LARGEST_TIFF_PX and image.info.get("compression") in _COMPRESSIONS


def _header(path: Path, image: Pillow.Image, mpp: float | None) -> Header:
    return Header(
        vendor=str(image.format).lower(),
        levels=(Level(image.width, image.height, 1.0),),
        resolution=resolve(path, _claims(image), mpp),
        properties={
            str(key): str(value) for key, value in image.info.items() if isinstance(value, str | int | float | tuple)
        },
    )


def _claims(image: Pillow.Image) -> list[Claim]:
    tags = getattr(image, "tag_v2", None)
    if image.format == "TIFF" and tags is not None:
        description = str(tags.get(270, ""))
        x, y = number(_ratio(tags.get(282))), number(_ratio(tags.get(283)))
        by_tags = per_unit("tiff.XResolution", x, y, _UNITS.get(tags.get(296, 2), ""))
        return [ome_claim(description), imagej_claim(description, x, y), by_tags]
    dpi = image.info.get("dpi", (None, None))
    return [per_unit(f"{str(image.format).lower()}.dpi", number(dpi[0]), number(dpi[1]), "inch")]


def _ratio(value: object) -> object:
    """Value of a tag's rational number; None if there is none or its denominator is 0."""
    numerator, denominator = getattr(value, "numerator", None), getattr(value, "denominator", None)
    if numerator is None or denominator is None:
        return None
    return numerator / denominator if denominator else None


def _refuse_too_large(path: Path, level: Level) -> None:
    need, free = level.width * level.height * _BYTES_PER_PX, free_memory()
    if need > free * _MEMORY_SHARE:
        raise UnreadableSlideError(
            f"{path}: a plain image of {level.width} x {level.height} pixels needs {need / 1e9:.1f} GB of memory, "
            f"{free / 1e9:.1f} GB are free; {MAKE_PYRAMID}"
        )


def _decode(path: Path) -> Image:
    try:
        with _opened(path) as image:
            if image.format == "PNG" and _is_of_16_bits(image):
                return _to_8_bits(path)
            return _as_array(image)
    except _DAMAGE as error:
        raise UnreadableSlideError(
            f"{path}: Pillow cannot read its pixels ({error}); the file is damaged: copy it again from its source"
        ) from None
    except MemoryError:
        raise UnreadableSlideError(f"{path}: memory ran out while it was decoded as a whole; {MAKE_PYRAMID}") from None


def _is_of_16_bits(image: Pillow.Image) -> bool:
    """Whether the raw mode that Pillow decodes, such as ``RGB;16B``, has 16 bits a sample."""
    return any(";16" in str(part[3]) for part in getattr(image, "tile", ()))


def _as_array(image: Pillow.Image) -> Image:
    """Pixels over white, converted strip by strip: Pillow's 4 bytes a pixel and these 3 are all that is held."""
    image.load()
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, _STRIP):
        strip = image.crop((0, top, image.width, min(top + _STRIP, image.height)))
        if image.mode in {"P", "PA", "RGBA"}:
            pixels[top : top + _STRIP] = over_white(np.asarray(strip.convert("RGBA")))
        else:
            pixels[top : top + _STRIP] = np.asarray(strip.convert("RGB"))
    return pixels


def _to_8_bits(path: Path) -> Image:
    """Pixels of a PNG of 16 bits a sample, over white.

    Cameras store 10, 12 or 14 bits in 16. The largest value tells how many there are: the fewest of 8, 10, 12, 14 and
    16 that hold it, which are scaled to 8. Pillow would keep the upper 8 of the 16, which is black for 12 bits.
    """
    from imagecodecs import png_decode

    values = png_decode(path.read_bytes())
    colour = values[..., :3]
    bits = next(bits for bits in (8, 10, 12, 14, 16) if colour.max(initial=0) < 1 << bits)
    scaled = ((colour.astype(np.uint32) * 255 + (1 << bits >> 1)) // ((1 << bits) - 1)).astype(np.uint8)
    if values.shape[2] < 4:
        return np.ascontiguousarray(scaled)
    return over_white(np.dstack([scaled, (values[..., 3] >> 8).astype(np.uint8)]))
