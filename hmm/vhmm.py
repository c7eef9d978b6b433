"""hmmlearn's ``vhmm`` by the same name: the models that are fitted by variational Bayes."""

from hmm.models.variational_categorical import VariationalCategoricalHMM
from hmm.models.variational_gaussian import VariationalGaussianHMM

__all__ = ["VariationalCategoricalHMM", "VariationalGaussianHMM"]
