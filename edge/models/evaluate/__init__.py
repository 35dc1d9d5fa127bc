"""How good a model is on a labelled set: metrics, their intervals, the matrix of conditions, what went wrong and where."""
