"""Everything that decides a training run, in one model. The defaults are the recipe of the compact model."""

from __future__ import annotations

from pydantic import Field

from rag.training.hyperparameters import Hyperparameters


class Recipe(Hyperparameters):
    """Hyperparameters of a retriever. Stages and layers are counted from the top, where training changes most."""

    base: str = Field(
        "pretrained",
        description="What to start from: 'pretrained' (the compact architecture: ImageNet's image tower, MiniLM, "
        "untrained projections), 'compact', 'local-dir:<folder>' or 'hf-hub:<owner>/<name>'.",
    )
    dim: int = Field(256, ge=2, le=4096, description="Width of the joint space, where base is 'pretrained'.")
    image_size: int = Field(288, ge=32, le=1024, description="Pixels, where base is 'pretrained'.")
    context: int = Field(128, ge=8, le=512, description="Most tokens of a text, where base is 'pretrained'.")
    image_stages: int = Field(2, ge=0, le=99, description="Image tower: stages to train; 0 freezes the tower.")
    text_layers: int = Field(2, ge=0, le=99, description="Text tower: layers to train; 0 freezes the tower.")
    views: int = Field(
        3, ge=0, le=64, description="Random views of each image to learn from, beside the image as it is."
    )
    crop: float = Field(0.7, gt=0, le=1, description="Smallest share of the image's square that a view shows.")
    rotation: float = Field(8.0, ge=0, le=180, description="Most degrees that a view is turned.")
    contrast: float = Field(0.2, ge=0, lt=1, description="Most relative change of contrast and of brightness.")
    sentences: float = Field(0.6, ge=0, le=1, description="How often only some of a text's sentences are shown.")
    dropout: float = Field(0.5, ge=0, lt=1, description="Of pooled image features.")
    text_dropout: float = Field(0.2, ge=0, lt=1, description="Of pooled text features.")
    concepts: float = Field(
        0.3, ge=0, le=1, description="Share of the target that goes to cases with like concept codes (MedCLIP)."
    )
    batch_size: int = Field(128, ge=2, le=65536, description="Images contrasted with each other.")
    chunk: int = Field(256, ge=1, description="Inputs per forward pass; larger batches use gradient caching.")
    head_epochs: int = Field(
        20,
        ge=0,
        description="Epochs in which the projections alone learn, before parts of the towers do: random projections "
        "would spoil pretrained towers (LP-FT, Kumar et al. 2022). None where both towers are frozen.",
    )
    epochs: int = Field(8, ge=1, le=10_000, description="At most; those before are not counted.")
    patience: int = Field(6, ge=1, description="Epochs without a better recall on dev before training stops.")
    image_rate: float = Field(3e-4, gt=0, le=1, description="Learning rate of the image tower's last stage.")
    text_rate: float = Field(1e-4, gt=0, le=1, description="Learning rate of the text tower's last layer.")
    head_rate: float = Field(1e-3, gt=0, le=1, description="Learning rate of the projections while they learn alone.")
    joint_head_rate: float = Field(3e-4, gt=0, le=1, description="Their learning rate once the towers learn, too.")
    decay: float = Field(0.75, gt=0, le=1, description="Factor of the learning rate per stage or layer downward.")
    weight_decay: float = Field(0.05, ge=0, le=10)
    warmup: float = Field(0.1, ge=0, lt=1, description="Share of the steps in which the rate rises; then a cosine.")
    averaging: float = Field(
        0.9,
        ge=0,
        lt=1,
        description="What is measured and kept is a running mean of the weights, of this decay per step; 0: the last.",
    )
    clip: float = Field(1.0, gt=0, description="Largest norm of the gradient.")
    temperature: float = Field(0.07, gt=0, le=1, description="At the start; it is learned.")
    seed: int = Field(0, ge=0, lt=2**31)
