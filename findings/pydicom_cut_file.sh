#!/usr/bin/env bash
# Guess: `pydicom.dcmread` of a file whose copy broke off raises EOFError.
# Seen: it returns at whatever byte the file ends. What stands behind the break is not there: a file cut in its first
#   elements has no Rows and no PatientName (`get` gives None), with no error and no warning. Only `pixel_array`
#   raises, "The dataset has no 'Pixel Data'", the words for a report or a structured document that never had pixels.
# Versions: pydicom 3.0.2, numpy 2.4.6, Python 3.11; 2026-12-01.
# So: a job that sorts or counts images by their elements SUCCEEDS over broken copies and puts them among the
#   unknown; and "no 'Pixel Data'" is a broken copy as well as a wrong kind of file: compare sizes before the list is
#   blamed.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  pydicom==3.0.2 numpy==2.4.6 || exit 2
cd "$folder"

"$folder/venv/bin/python" - <<'PYTHON'
import sys
import warnings
from pathlib import Path

import numpy
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

image = Dataset()
image.file_meta = FileMetaDataset()
image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID = CTImageStorage
image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID = "1.2.3"
image.PatientName = "Lab"
image.Rows = image.Columns = 64
image.BitsAllocated = image.BitsStored = 16
image.HighBit, image.PixelRepresentation, image.SamplesPerPixel = 15, 0, 1
image.PhotometricInterpretation = "MONOCHROME2"
image.PixelData = numpy.arange(64 * 64, dtype=numpy.uint16).tobytes()
image.save_as("whole.dcm", enforce_file_format=True)
whole = Path("whole.dcm").read_bytes()
if pydicom.dcmread("whole.dcm").pixel_array.shape != (64, 64):
    sys.exit(2)


def read(name, end):
    Path(name).write_bytes(whole[:end])
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        dataset = pydicom.dcmread(name)
    elements = (dataset.get("PatientName"), dataset.get("Rows"), "PixelData" in dataset, len(warned))
    try:
        pixels = str(dataset.pixel_array.shape)
    except Exception as error:
        pixels = f"{type(error).__name__}: {error}"
    print(f"{name}: PatientName, Rows, PixelData, warnings: {elements}; pixels: {pixels[:90]}")
    return elements, pixels


start = whole.index(b"Lab")
head, no_pixels = read("cut_in_elements.dcm", start - 8)
body, few_pixels = read("cut_in_pixels.dcm", len(whole) // 2)
sys.exit(
    head != (None, None, False, 0)
    or "The dataset has no 'Pixel Data'" not in no_pixels
    or body != ("Lab", 64, True, 0)
    or "less than expected" not in few_pixels
)
PYTHON
