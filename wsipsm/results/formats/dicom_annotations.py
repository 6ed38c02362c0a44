"""Chosen cells as DICOM Microscopy Bulk Simple Annotations (supplement 222), which Slim and OHIF show on the slide."""

from __future__ import annotations

import uuid
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from wsipsm.cells.classes import CLASSES
from wsipsm.cells.measurements import Measurement
from wsipsm.cells.table import Cells, measurements_of
from wsipsm.core.errors import ExtraError, OutputError
from wsipsm.core.files import appearing
from wsipsm.core.versions import versions
from wsipsm.results.export_source import ExportSource

if TYPE_CHECKING:
    from pydicom import Dataset

OWN_SCHEME = "99WSIPSM"
"""Coding scheme of measurements that DICOM has no code for: their value is the name of the column."""

_WHOLE_SLIDE_IMAGE = "1.2.840.10008.5.1.4.1.1.77.1.6"
_UIDS = uuid.uuid5(uuid.NAMESPACE_DNS, "dicom.wsipsm")
_PATIENT_AND_STUDY = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber"),
    *("StudyID", "StudyDate", "StudyTime"),
)


class DicomAnnotations:
    """Polygons in pixels of the total pixel matrix, which is level 0; a group a class with all measurements.

    The file refers to the slide: to its level 0 where it is DICOM itself. Of another slide patient and study are empty,
    and the UIDs of study, series, image and frame of reference are made of its content, so that all exports of a slide
    agree.

    Parameters
    ----------
    target : Path
        ``.dcm``.
    source : ExportSource
        The slide.

    Raises
    ------
    ExtraError
        highdicom is not installed.
    """

    def __init__(self, target: Path, source: ExportSource) -> None:
        try:
            import highdicom
        except ImportError:
            raise ExtraError("dicom", "highdicom") from None
        self._target, self._source, self._highdicom = target, source, highdicom

    def write(self) -> list[Path]:
        """Write the file; errors as `export`.

        Raises
        ------
        OutputError
            There is no cell: DICOM has no annotations without any.
        """
        cells = [(one.moved(self._source.offset_l0), labels) for one, labels, _ in self._source.cells()]
        if not cells:
            raise OutputError(f"{self._target}: there is no cell to write, and DICOM takes no empty annotations")
        present = np.unique(np.concatenate([one.class_ for one, _ in cells])).tolist()
        groups = [self._group(number, class_, cells) for number, class_ in enumerate(present, 1)]
        uid, version = self._highdicom.UID, versions()["wsipsm"]
        annotations = self._highdicom.ann.MicroscopyBulkSimpleAnnotations(
            source_images=[_image(self._source)],
            annotation_coordinate_type="2D",
            annotation_groups=groups,
            series_instance_uid=uid(),
            series_number=1,
            sop_instance_uid=uid(),
            instance_number=1,
            manufacturer="wsipsm",
            manufacturer_model_name="wsipsm",
            software_versions=version,
            device_serial_number=version,
            content_label="NUCLEI",
            content_description="Nuclei found by wsipsm",
        )
        with appearing(self._target) as path:
            annotations.save_as(path, enforce_file_format=True)
        return [self._target]

    def _group(self, number: int, class_: int, cells: list[tuple[Cells, npt.NDArray[np.int64]]]) -> Any:
        from pydicom.sr.codedict import codes

        some = [(one.take(one.class_ == class_), labels[one.class_ == class_]) for one, labels in cells]
        algorithm = self._highdicom.AlgorithmIdentificationSequence(
            name="wsipsm", family=codes.DCM.ArtificialIntelligence, version=versions()["wsipsm"]
        )
        return self._highdicom.ann.AnnotationGroup(
            number=number,
            uid=self._highdicom.UID(),
            label=CLASSES.names[class_],
            annotated_property_category=codes.SCT.AnatomicalStructure,
            annotated_property_type=codes.SCT.Nucleus,
            graphic_type="POLYGON",
            graphic_data=[ring for one, _ in some for ring in _open_rings(one)],
            algorithm_type="AUTOMATIC",
            algorithm_identification=algorithm,
            measurements=self._measured(some),
            display_color=self._highdicom.color.CIELabColor.from_rgb(*CLASSES.colors[class_]),
        )

    def _measured(self, cells: list[tuple[Cells, npt.NDArray[np.int64]]]) -> list[Any]:
        values = {
            one: np.concatenate([some.columns[name] for some, _ in cells])
            for name, one in measurements_of(cells[0][0], self._source.stain).items()
        }
        values[Measurement("label", "Label", 0)] = np.concatenate([labels for _, labels in cells])
        coded = [(numbers, *_name_and_unit(one)) for one, numbers in values.items()]
        return [self._highdicom.ann.Measurements(name, numbers, unit) for numbers, name, unit in coded]


def _open_rings(cells: Cells) -> list[npt.NDArray[np.float64]]:
    """Rings without their last vertex, which repeats the first: here DICOM forbids it."""
    return [cells.vertices_l0[start : stop - 1] for start, stop in pairwise(cells.ring_offsets.tolist())]


def _name_and_unit(measurement: Measurement) -> tuple[Any, Any]:
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import Code

    known = {
        "area_um2": (codes.SCT.Area, codes.UCUM.SquareMicrometer),
        "perimeter_um": (codes.SCT.Perimeter, codes.UCUM.Micrometer),
    }
    own = Code(measurement.column, OWN_SCHEME, measurement.title), codes.UCUM.NoUnits
    return known.get(measurement.column, own)


def _image(source: ExportSource) -> Dataset:
    """What the annotations refer to: the header of the slide if it is DICOM, else one made for it."""
    from pydicom import Dataset, dcmread
    from pydicom.errors import InvalidDicomError

    try:
        image: Dataset = dcmread(source.path, stop_before_pixels=True)
    except (InvalidDicomError, OSError):
        image = Dataset()
    if image.get("TotalPixelMatrixColumns") != source.box_l0.width:
        image = Dataset()
        image.SOPClassUID, image.Modality = _WHOLE_SLIDE_IMAGE, "SM"
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
            setattr(image, keyword, f"2.25.{uuid.uuid5(_UIDS, f'{source.fingerprint}/{keyword}').int}")
    for keyword in _PATIENT_AND_STUDY:
        if keyword not in image:
            setattr(image, keyword, "")
    return image
