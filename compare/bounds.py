"""What a number in a results file may be: beyond these bounds its line is damaged, and no report can be made of it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

Count = Annotated[int, Meta(ge=1, le=2**48)]
Bytes = Annotated[int, Meta(ge=0, le=2**60)]
ChangeBytes = Annotated[int, Meta(ge=-(2**60), le=2**60)]
Seconds = Annotated[float, Meta(ge=1e-12, le=1e9)]
Part = Annotated[float, Meta(ge=0, le=1e9)]  # seconds of something that may not have happened
Samples = Annotated[tuple[Seconds, ...], Meta(min_length=1)]
