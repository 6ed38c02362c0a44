"""A script that imports the cells of a whole output folder into a QuPath project."""

from __future__ import annotations

from pathlib import Path

from wsipsm.core.errors import OutputError
from wsipsm.core.files import write_bytes

PROJECT_SCRIPT = "import_into_project.groovy"

_SCRIPT = """\
// Imports the cells of all slides of an output folder of wsipsm into the images of the project that is open.
// Add the slides to a project, then run this script in QuPath (Automate > Script editor), or without a window:
//   QuPath script import_into_project.groovy --project PROJECT.qpproj --args FOLDER
// An image is matched by the name of its file; where several slides have one name, by the path that the run read.
// Objects that an image has already, by their ids, are not imported again.
// An image without a type gets that of the run's stain.
import com.google.gson.Gson
import qupath.lib.images.ImageData
import qupath.lib.io.PathIO

def project = getProject()
if (project == null) {
    println 'Open a project first'
    return
}
def folder = new File(@FOLDER@)
if (binding.hasVariable('args') && args)
    folder = new File(args[0])
if (!folder.isDirectory())
    folder = qupath.fx.dialogs.FileChoosers.promptForDirectory('Output folder of wsipsm run', null)
if (folder == null)
    return

def slides = []
for (slide in folder.listFiles().sort()) {
    def record = new File(slide, 'run.json')
    if (!record.isFile())
        continue
    def run = new Gson().fromJson(record.getText('UTF-8'), Map.class)
    def path = run.slide.path
    def type = run.config?.recognizer?.stain == 'ihc' ? 'BRIGHTFIELD_H_DAB' : 'BRIGHTFIELD_H_E'
    def files = slide.listFiles().findAll { it.name ==~ /cells(-\\d+)?\\.geojson\\.gz/ }.sort()
    slides << [name: path.tokenize('/').last(), path: path, type: type, files: files]
}

for (entry in project.getImageList()) {
    def name = entry.getImageName()
    def paths = entry.getURIs().collect { it.getPath() }
    def found = slides.findAll { name == it.name || name.startsWith(it.name + ' - ') }
    if (found.size() > 1)
        found = found.findAll { it.path in paths }
    if (found.size() != 1) {
        println name + ': ' + (found ? 'several slides have this name' : 'no cells in ' + folder)
        continue
    }
    def imageData = entry.readImageData()
    if (imageData.getImageType() == ImageData.ImageType.UNSET)
        imageData.setImageType(ImageData.ImageType.valueOf(found[0].type))
    def hierarchy = imageData.getHierarchy()
    def known = hierarchy.getAllObjects(false).collect { it.getID() } as Set
    def count = 0
    for (file in found[0].files) {
        def objects = PathIO.readObjects(file).findAll { !(it.getID() in known) }
        hierarchy.addObjects(objects)
        count += objects.size()
    }
    entry.saveImageData(imageData)
    imageData.getServer().close()
    println name + ': ' + count + ' objects imported'
}
"""


def write_project_script(out: Path) -> tuple[Path, int]:
    """Write the script into the output folder of a run.

    The script looks into the folder when it runs: it need not be written again after another run.

    Parameters
    ----------
    out : Path
        Output folder of a run.

    Returns
    -------
    (Path, int)
        The script, and how many finished slides there are now.

    Raises
    ------
    OutputError
        The folder holds no finished slide, or cannot be written.
    """
    count = sum(1 for _ in out.glob("*/run.json"))
    if not count:
        raise OutputError(f"{out}: holds no finished slide; expected the output folder of wsipsm run")
    path = out / PROJECT_SCRIPT
    write_bytes(path, project_script(out).encode())
    return path, count


def project_script(out: Path) -> str:
    """Text of the script for an output folder."""
    return _SCRIPT.replace("@FOLDER@", _quoted(str(out.resolve())))


def _quoted(text: str) -> str:
    """Text as a literal of Groovy."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
