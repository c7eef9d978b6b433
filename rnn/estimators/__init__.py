"""Sequence models as scikit-learn has estimators, one file each."""

from rnn.estimators.classifier import SequenceClassifier
from rnn.estimators.regressor import SequenceRegressor
from rnn.estimators.tagger import SequenceTagger

__all__ = ["SequenceClassifier", "SequenceRegressor", "SequenceTagger"]
