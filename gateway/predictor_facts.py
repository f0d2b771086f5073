"""What the catalog needs to know of a predictor: its axes, bands and the table beside its model."""

from gateway.catalog import REFERENCE_FILE
from gateway.profile import PredictorFacts
from predictor import Predictor


def facts(model: Predictor) -> PredictorFacts:
    """The predictor's facts; the reference table lies in its folder."""
    return PredictorFacts(
        dimensions=model.dimensions,
        bands=model.bands,
        reference=model.folder / REFERENCE_FILE,
        alpha=model.alpha,
        beta=model.beta,
    )
