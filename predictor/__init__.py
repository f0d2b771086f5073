"""The predictor: reads a request and says how much of each dimension it needs.

`render.render` makes the text, `load().predict(text)` the requirements vector.
"""

from predictor.predictor import Predictor, PredictorError, load

__all__ = ["Predictor", "PredictorError", "load"]
