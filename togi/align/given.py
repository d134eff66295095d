"""`align.adapter`: an adapter that is there already, to be judged or trained further."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from pydantic import Field

from togi.errors import DataError
from togi.step import StepSettings, Work

CONFIG = "adapter_config.json"


class AdapterSettings(StepSettings):
    """Take an adapter from a folder in PEFT's layout."""

    source: str = Field(min_length=1)
    "The adapter's folder, such as `runs/quickstart/steps/sft-.../adapter`."


def run_adapter(settings: AdapterSettings, work: Work) -> dict[str, Any]:
    """Copy the adapter into the run, which then depends on nothing outside; outputs `adapter`.

    Raises:
        DataError: the folder is not an adapter's, or holds weights that are not safetensors.
    """
    source = Path(settings.source).expanduser()
    wanted = [CONFIG, "adapter_model.safetensors"]
    missing = [name for name in wanted if not (source / name).is_file()]
    if missing:
        raise DataError(
            "not an adapter's folder",
            where=str(source),
            found=f"no {missing[0]}",
            expected=" and ".join(wanted),
        )
    shutil.rmtree(work.folder / "adapter", ignore_errors=True)
    (work.folder / "adapter").mkdir()
    for name in wanted:
        shutil.copyfile(source / name, work.folder / "adapter" / name)
    return {"adapter": "adapter"}
