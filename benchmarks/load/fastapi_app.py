"""What someone without Triton would write: FastAPI around PyTorch eager. GENERATOR names the weights."""

import os

import torch
from fastapi import FastAPI, Response
from pydantic import BaseModel

from core.checkpoint import load_generator
from export.graphs.modules import ExportGraph

generator = load_generator(os.environ["GENERATOR"])
graph = ExportGraph(generator)
app = FastAPI()


class Wanted(BaseModel):
    seed: int
    truncation: float = 1.0


@app.post("/image")
def image(wanted: Wanted) -> Response:
    random = torch.Generator().manual_seed(wanted.seed)
    z = torch.randn(1, generator.spec.latent_dim, generator=random)
    with torch.inference_mode():
        pixels = graph(z, torch.full((1, 1), wanted.truncation))
    return Response(pixels.numpy().tobytes(), media_type="application/octet-stream")
