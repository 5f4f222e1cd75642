"""Write the golden tables that are missing: ``python -m tests.golden``."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from tests import golden

for study in golden.studies():
    if not golden.kept(study).exists():
        with TemporaryDirectory() as folder:
            shutil.copyfile(golden.write(study, Path(folder)), golden.kept(study))
        print(f"wrote {golden.kept(study).name}")
