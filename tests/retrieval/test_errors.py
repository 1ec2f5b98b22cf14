"""Errors that people read."""

import pickle

from retrieval.errors import StoreError


def test_an_error_survives_the_way_from_another_process():
    error = pickle.loads(pickle.dumps(StoreError("It is broken.", "Mend it.")))

    assert (type(error), error.message, error.cure) == (StoreError, "It is broken.", "Mend it.")
