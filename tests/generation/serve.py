"""Runs ``transformers serve`` with one model on a free port: ``python serve.py FOLDER``.

A torchvision without its compiled decoders (as beside a CPU build of torch) gets Pillow's for images in requests.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from rag.encoders.runtime import torch  # noqa: E402


def decoded(data: Any, **options: Any) -> Any:
    import numpy as np
    from PIL import Image

    with Image.open(io.BytesIO(data.numpy().tobytes())) as image:
        return torch().from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


if __name__ == "__main__":
    torch()
    import torchvision.io
    from torchvision.extension import _has_ops

    if not _has_ops():
        torchvision.io.decode_image = decoded
    from transformers.cli.serve import Serve

    Serve(sys.argv[1], host="127.0.0.1", port=0, device="cpu", dtype="float32")
