"""Eyes for a LLaVA: the feature map of a convolutional trunk, as image tokens.

The compact Med-LVLM is transformers' own LLaVA (projector, processor, generation and all); what transformers lacks is a
vision tower whose last feature map is a sequence: its timm backbones give maps to those who segment. So this one class
is ours. Import it after :func:`rag.encoders.runtime.torch`.
"""

from __future__ import annotations

from typing import Any

from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from rag.generation.compact_lvlm.parts import IMAGE_SIZE

TRUNK = "tf_efficientnet_lite0"


class TimmTokensConfig(PretrainedConfig):  # type: ignore[misc]
    """``trunk`` is a timm model whose last feature map has ``hidden_size`` channels.

    An image of ``image_size`` pixels squared becomes (image_size / stride)² tokens.
    """

    model_type = "clincite_timm_tokens"

    def __init__(
        self, trunk: str = TRUNK, hidden_size: int = 1280, image_size: int = IMAGE_SIZE, stride: int = 32, **more: Any
    ) -> None:
        self.trunk = trunk
        self.hidden_size = hidden_size
        self.image_size = image_size
        self.stride = stride
        super().__init__(**more)


class TimmTokens(PreTrainedModel):  # type: ignore[misc]
    """(n, 3, side, side) pixels -> (n, tokens, channels), row by row; both the last and the only hidden state."""

    config_class = TimmTokensConfig
    main_input_name = "pixel_values"

    def __init__(self, config: TimmTokensConfig) -> None:
        import timm

        super().__init__(config)
        self.trunk = timm.create_model(config.trunk, pretrained=False, num_classes=0)
        self.post_init()

    def forward(self, pixel_values: Any, **_: Any) -> BaseModelOutput:
        tokens = self.trunk.forward_features(pixel_values).flatten(2).transpose(1, 2)
        return BaseModelOutput(last_hidden_state=tokens, hidden_states=(tokens,))


def register() -> None:
    """Let transformers' Auto classes know the tower; registering again changes nothing."""
    AutoConfig.register(TimmTokensConfig.model_type, TimmTokensConfig, exist_ok=True)
    AutoModel.register(TimmTokensConfig, TimmTokens, exist_ok=True)
