"""One image, one phrase, no index: what the command line asks."""

from __future__ import annotations

from pathlib import Path

from rag.corpus.images import load_image
from rag.encoders.features import encode_with_features
from rag.encoders.registry import load_image_encoder
from rag.grounding.region import Grounding
from rag.grounding.registry import load_grounder
from rag.grounding.standing import UNLIKE, ground_in, standing_of, told
from rag.language.clinical_text import Texts
from rag.language.lexicon import Lexicon
from rag.retrieval.router import Router
from rag.settings import Settings


def ask_where(
    image: Path,
    phrase: str,
    settings: Settings,
    *,
    domain: str | None = None,
    by: str | None = None,
    anyway: bool = False,
) -> tuple[Grounding, tuple[int, int]]:
    """Where a phrase is in an image file, and the image's size (width, height).

    Args:
        domain: what kind of image it is; the router's opinion of the image unless given.
        by: the grounder's name; that of the settings unless given.
        anyway: look also where it was measured to be no use, or never measured; ``standing`` says so.

    Raises:
        InputError: the image cannot be read, or there is no such domain or grounder.
        MissingDependencyError: a model is not on this machine.
    """
    picture = load_image(image)
    router = Router.open(settings.routing, load_image_encoder(settings.encoders), ())
    if domain is None:
        vectors, features = encode_with_features(load_image_encoder(settings.encoders), [image])
        seen = router.route("", vector=vectors, features=features)
        domain = UNLIKE if seen.out_of_domain else seen.name
    else:
        domain = router.named(domain).name
    grounder = load_grounder(settings, Texts(Lexicon.load()), by)
    if anyway:
        (found,) = grounder.ground(picture, [phrase])
        return told(found, standing_of(grounder, domain)), picture.size
    (found,) = ground_in(domain, grounder, picture, [phrase])
    return found, picture.size
